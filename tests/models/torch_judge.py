"""MiniFASNet evaluated by PyTorch's own functions, from its own reading of the state file. Imported only where PyTorch is installed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as f
from numpy.typing import NDArray


def logits(state: Mapping[str, Any], planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """planes: (n, 3, 80, 80) BGR. Returns (n, 3)."""
    s = {name.removeprefix("module."): value for name, value in state.items()}

    def norm(x: Any, name: str) -> Any:
        return f.batch_norm(x, s[f"{name}.running_mean"], s[f"{name}.running_var"], s[f"{name}.weight"], s[f"{name}.bias"])

    def block(x: Any, name: str, stride: int = 1, pad: int = 0) -> Any:
        kernel = s[f"{name}.conv.weight"]
        x = norm(f.conv2d(x, kernel, stride=stride, padding=pad, groups=x.shape[1] // kernel.shape[1]), f"{name}.bn")
        return f.prelu(x, s[f"{name}.prelu.weight"]) if f"{name}.prelu.weight" in s else x

    def bottleneck(x: Any, name: str, stride: int) -> Any:
        return block(block(block(x, f"{name}.conv"), f"{name}.conv_dw", stride, 1), f"{name}.project")

    def squeezed(x: Any, name: str) -> Any:
        if f"{name}.fc1.weight" not in s:
            return x
        y = f.adaptive_avg_pool2d(x, 1)
        y = f.relu(norm(f.conv2d(y, s[f"{name}.fc1.weight"]), f"{name}.bn1"))
        return x * torch.sigmoid(norm(f.conv2d(y, s[f"{name}.fc2.weight"]), f"{name}.bn2"))

    with torch.no_grad():
        x = block(block(torch.from_numpy(planes), "conv1", 2, 1), "conv2_dw", 1, 1)
        for stage, count in (("conv_23", 0), ("conv_3", 4), ("conv_34", 0), ("conv_4", 6), ("conv_45", 0), ("conv_5", 2)):
            x = x if count else bottleneck(x, stage, 2)
            for number in range(count):
                name = f"{stage}.model.{number}"
                x = x + squeezed(bottleneck(x, name, 1), f"{name}.se_module")
        x = torch.flatten(block(block(x, "conv_6_sep"), "conv_6_dw"), 1)
        x = f.linear(norm(f.linear(x, s["linear.weight"]), "bn"), s["prob.weight"])
    found: NDArray[np.float32] = x.numpy()
    return found
