"""The roster: its document, its secrecy and the trust in it. No sockets, no threads; what is durable is kept by drivers.trust_store.

Start at `trust.verify_offer` (signed, whole and new?), `codec.decode` (what does it say?), `trust.admit` (for this gate?) and
`people.gallery_of` (its people, ready to be searched).
"""
