"""A few words for writing an ONNX graph layer by layer. The same calls give the same bytes, so a graph's digest is stable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OPSET = 17
"""ONNX operator set; 17 is read by every onnxruntime since 1.12."""

IR_VERSION = 8
"""ONNX file format version that belongs to opset 17. Fixed, because `onnx` would write its own newest."""

Shape = tuple["int | str", ...]


class GraphWriter:
    """One graph being written: each method adds a layer behind `value` and returns the new value's name."""

    def __init__(self) -> None:
        import onnx.helper  # noqa: PLC0415  absent on a gate

        self._helper: Any = onnx.helper
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def constant(self, name: str, array: NDArray[Any]) -> str:
        from onnx import numpy_helper  # noqa: PLC0415  absent on a gate

        little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        self._weights.append(numpy_helper.from_array(little_endian, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def convolution(
        self, value: str, kernel: NDArray[np.float32], bias: NDArray[np.float32], *, stride: int = 1, pad: int = 0, groups: int = 1
    ) -> str:
        """Adds a convolution. kernel: (out, in / groups, rows, columns); bias: (out,); `pad` on all four sides."""
        tag = f"conv{len(self._nodes)}"
        inputs = [value, self.constant(f"{tag}.weight", kernel), self.constant(f"{tag}.bias", bias)]
        grouped = {"group": groups} if groups > 1 else {}
        return self.node("Conv", inputs, kernel_shape=list(kernel.shape[2:]), strides=[stride, stride], pads=[pad] * 4, **grouped)

    def prelu(self, value: str, slopes: NDArray[np.float32]) -> str:
        """Adds a PReLU with one slope per channel. slopes: shaped to broadcast against (n, channels, ...)."""
        return self.node("PRelu", [value, self.constant(f"prelu{len(self._nodes)}.slope", slopes)])

    def dense(self, value: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> str:
        """Adds a fully connected layer. weight: (in, out)."""
        tag = f"dense{len(self._nodes)}"
        inputs = [value, self.constant(f"{tag}.weight", weight)]
        if bias is not None:
            inputs.append(self.constant(f"{tag}.bias", bias))
        return self.node("Gemm", inputs)

    def finish(self, name: str, *, image: Shape, value: str, output: Shape) -> bytes:
        """Returns the model's bytes: one float32 input `image`, one float32 output `output`; text in a shape is a free dimension."""
        import onnx  # noqa: PLC0415  absent on a gate

        helper, f32 = self._helper, onnx.TensorProto.FLOAT
        self._nodes.append(helper.make_node("Identity", [value], ["output"], name="output"))
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("image", f32, image)],
            [helper.make_tensor_value_info("output", f32, output)],
            initializer=self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="gate-agent")
        onnx.checker.check_model(model, full_check=True)
        written: bytes = model.SerializeToString(deterministic=True)
        return written
