"""What is recorded for derivatives of derivatives in reverse mode, and no more of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv1d, conv2d, conv3d
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = {conv1d, conv2d, conv3d}


class _Convolution(torch.autograd.Function):
    """A convolution whose derivative by its input is an ordinary operation.

    The derivative of PyTorch's own is always taken by the weight too, whoever asks: as much again.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None,
        stride: list[int], padding: list[int], dilation: list[int], groups: int,
    ) -> Tensor:  # fmt: skip
        ctx.weight, ctx.how, ctx.size = weight, (stride, padding, dilation, groups), x.shape[2:]
        return torch.convolution(
            x, weight, bias, stride, padding, dilation, False, [0] * (x.ndim - 2), groups
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        stride, padding, dilation, groups = ctx.how
        (g,) = gradients
        over = [  # what a stride leaves at the end
            n - (m - 1) * s + 2 * p - d * (k - 1) - 1
            for n, m, s, p, d, k in zip(
                ctx.size, g.shape[2:], stride, padding, dilation, ctx.weight.shape[2:], strict=True
            )
        ]
        moved = torch.convolution(
            g, ctx.weight, None, stride, padding, dilation, True, over, groups
        )
        return moved, *[None] * 6


class _Convolutions(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in CONVOLUTIONS and len(args) > 1 and not kwargs:
            x, weight = args[:2]
            rest = [*args[2:], *[None, 1, 0, 1, 1][len(args) - 2 :]]
            bias, spatial, groups = rest[0], rest[1:4], rest[4]
            words = any(isinstance(value, str) for value in spatial)
            if _plain(x, weight, bias) and x.ndim == weight.ndim and not words:
                axes = x.ndim - 2
                lists = [[v] * axes if isinstance(v, int) else list(v) for v in spatial]
                return _Convolution.apply(x, weight.detach(), _detached(bias), *lists, groups)
        return func(*args, **(kwargs or {}))


def _plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the weights are no functions of the code, and no transform is at work."""
    if torch._C._are_functorch_transforms_active():
        return False
    return x.requires_grad and all(w is None or w.is_leaf for w in (weight, bias))


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


@contextmanager
def recording() -> Iterator[None]:
    """Gradients are recorded, for second derivatives by a decoder's input."""
    # Fused attention has no second derivative; the plain formula does.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _Convolutions():
        yield
