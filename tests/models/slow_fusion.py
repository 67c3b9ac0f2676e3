"""The fusion block as one long formula over the published parameter names; for tests only."""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor


def fuse(state: Mapping[str, Tensor], features: Sequence[Tensor]) -> Tensor:
    """Features at strides 4, 8 and 16 → the fused map at stride 32, batch norms in eval mode."""

    def conv_norm(x: Tensor, conv: str, norm: str, *, stride: int = 1, padding: int = 0) -> Tensor:
        y = F.conv2d(x, state[f"{conv}.weight"], state.get(f"{conv}.bias"), stride, padding)
        mean, var = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(y, mean, var, state[f"{norm}.weight"], state[f"{norm}.bias"])

    fine, middle, coarse = features
    p2 = (
        conv_norm(middle, "conv21", "bn21").relu()
        + conv_norm(fine, "conv1", "bn1", stride=2, padding=1).relu()
    )
    p3 = (
        conv_norm(p2, "conv2", "bn2", stride=2, padding=1).relu() + conv_norm(coarse, "conv31", "bn31").relu()
    )
    x = conv_norm(p3, "convf", "bnf").relu()
    for index in range(sum(name.startswith("bn_layer.") and name.endswith("conv1.weight") for name in state)):
        block, stride = f"bn_layer.{index}", 1 if index else 2
        y = conv_norm(x, f"{block}.conv1", f"{block}.bn1").relu()
        y = conv_norm(y, f"{block}.conv2", f"{block}.bn2", stride=stride, padding=1).relu()
        y = conv_norm(y, f"{block}.conv3", f"{block}.bn3")
        if index == 0:
            x = conv_norm(x, f"{block}.downsample.0", f"{block}.downsample.1", stride=stride)
        x = (x + y).relu()
    return x
