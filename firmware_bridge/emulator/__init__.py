"""A controller in software: the behaviour of PROTOCOL.md as a pure machine, and a shell that runs it on a pseudo-terminal."""
