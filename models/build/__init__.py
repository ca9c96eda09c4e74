"""Published weights to ONNX graphs. Needed where a pack is built, never on a gate.

`onnx`, `joblib` and `lz4` are imported inside functions, so that importing this package needs none of them.
"""
