"""Model packs: the graphs of one recogniser, what they need, and the detector and embedder that run them.

A leaf: nothing of `agent` or `firmware_bridge` is imported here. Start at `pack.open_pack`.
"""
