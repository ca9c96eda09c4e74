"""Model packs: the graphs of one recogniser, what they need, and the detector and embedder that run them.

A leaf: nothing of `agent` or `firmware_bridge` is imported here. Start at `pack.open_pack`.
"""

import os

# onnxruntime from 1.29 on gives the machine an identifier and reports its use to its maker, unless this stands here before it is imported.
# A gate talks to its broker and to nobody else.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
