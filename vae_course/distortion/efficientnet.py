"""The first blocks of EfficientNet-Lite0 as plain convolutions, with batch norm folded in."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Of each block: channels in, how many times more inside, channels out, side of kernel, stride.
BLOCKS = (
    (32, 1, 16, 3, 1),
    (16, 6, 24, 3, 2),
    (24, 6, 24, 3, 1),
    (24, 6, 40, 5, 2),
    (40, 6, 40, 5, 1),
)


class Convolution(nn.Conv2d):
    """With TensorFlow's "same" padding: of an odd number, the last zero is at bottom and right."""

    bias: Tensor

    def __init__(self, channels: int, out: int, side: int, stride: int = 1, groups: int = 1):
        # Without values, which would be drawn from the global random state.
        super().__init__(channels, out, side, stride, groups=groups, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        down, across = (
            max((-(-n // step) - 1) * step + side - n, 0)
            for n, side, step in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True)
        )
        if down % 2 or across % 2:
            x = functional.pad(x, (0, across % 2, 0, down % 2))
        trained = self.weight.requires_grad or torch.compiler.is_compiling()
        apply = functional.conv2d if trained else _Frozen.apply
        padding = down // 2, across // 2
        return apply(x, self.weight, self.bias, self.stride, padding, 1, self.groups)


class _Frozen(torch.autograd.Function):
    """A convolution whose weights get no gradient, so that it is linear for autograd.

    Otherwise PyTorch's second derivative also takes the weights' mixed one, group by group, and
    throws it away: ``metric_spectrum`` would take three times as long.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        return functional.conv2d(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, *ctx.how = inputs
        ctx.save_for_backward(weight)
        ctx.save_for_forward(x, weight)
        ctx.shape = x.shape

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        (weight,), (stride, padding, _, groups) = ctx.saved_tensors, ctx.how
        ends = [
            n - ((m - 1) * step - 2 * zeros + side)
            for n, m, step, zeros, side in zip(
                ctx.shape[2:], slope.shape[2:], stride, padding, weight.shape[2:], strict=True
            )
        ]
        weight = weight.to(slope)  # which autocast may have made short
        back = functional.conv_transpose2d(slope, weight, None, stride, padding, ends, groups)
        return back, *[None] * 6

    @staticmethod
    def jvp(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, *_: Any) -> Tensor:
        at, frozen = ctx.saved_tensors
        along = functional.conv2d(x, frozen, None, *ctx.how)
        return along if weight is None else along + functional.conv2d(at, weight, bias, *ctx.how)


class Stem(nn.Sequential):
    """The first convolution, from pixels in [0, 1] less ``offset``, grey or coloured."""

    def __init__(self, offset: float) -> None:
        super().__init__(OrderedDict(conv=Convolution(3, 32, 3, 2), act=nn.ReLU6()))
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ValueError(
                f"images have shape {tuple(x.shape)}: give (batch, channels, height, width) with "
                "1 channel (grey) or 3 (red, green, blue)"
            )
        pixels = (x * 255 + (255 * self.offset - 127)) / 128
        return super().forward(pixels.expand(-1, 3, -1, -1))


class Block(nn.Sequential):
    """Inverted residual: more channels, a convolution within each, fewer channels."""

    def __init__(self, channels: int, times: int, out: int, side: int, stride: int) -> None:
        inside = channels * times
        parts: dict[str, nn.Module] = {}
        if times > 1:
            parts |= {"expand": Convolution(channels, inside, 1), "act1": nn.ReLU6()}
        depthwise = Convolution(inside, inside, side, stride, groups=inside)
        parts |= {"depthwise": depthwise, "act2": nn.ReLU6()}
        super().__init__(OrderedDict(parts | {"project": Convolution(inside, out, 1)}))
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x) if self.residual else super().forward(x)


def architecture(offset: float) -> nn.Sequential:
    """Parts "stem", "block0" … "block4", on the device "meta": still without weights."""
    parts: dict[str, nn.Module] = {"stem": Stem(offset)}
    parts |= {f"block{i}": Block(*sizes) for i, sizes in enumerate(BLOCKS)}
    return nn.Sequential(OrderedDict(parts))
