"""Many directions through a decoder at once, in forward mode, at the speed of matrix products."""

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    gelu,
    linear,
    mish,
    scaled_dot_product_attention,
    silu,
    softplus,
)
from torch.overrides import TorchFunctionMode

from vae_course.isometry.decoder import Decoder, decode

CACHED = 2**24  # bytes of one layer's tangents: what caches and the allocator keep at hand
HELD = 2**30  # bytes at most, even for the fewest pairs
MOST_HELD = 2**36  # bytes of one code's Jacobian: more fit into no ordinary machine
UNASKED = 2**6  # pairs: not worth a look at the layers
AFFINE = {  # of their first argument, with a weight and a bias after it
    linear,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
}
DEAR = {gelu, mish, silu, softplus}  # activations whose slope takes an exponential
FEWEST, MOST = 2**8, 2**13  # pairs of a code and a direction that keep matrix products busy


class _Lean(TorchFunctionMode):
    """Spares what PyTorch would do again for each direction.

    Of linear layers it takes products with the weights' directions too, which are zeros; where the
    directions are the same for all codes, as they are up to the first layer, they go through once.
    Activations have one slope a code, not one a direction. A mode also keeps
    ``nn.TransformerEncoderLayer`` off its fused path, which has no forward mode.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in AFFINE and len(args) > 1 and not kwargs:
            x, direction = forward_ad.unpack_dual(args[0])
            if direction is not None and not any(map(_is_dual, args[1:3])):
                shared = func is linear and direction.ndim == 2 and direction.stride(0) == 0
                moved = func(direction[:1] if shared else direction, args[1], None, *args[3:])
                moved = moved.expand(len(direction), -1) if shared else moved
                return forward_ad.make_dual(func(x, *args[1:]), moved)
        if func in DEAR and args and not kwargs.get("inplace"):
            x, direction = forward_ad.unpack_dual(args[0])
            if direction is not None:
                unit = forward_ad.make_dual(x, torch.ones_like(x))
                y, slope = forward_ad.unpack_dual(func(unit, *args[1:], **kwargs))
                return forward_ad.make_dual(y, slope * direction)
        return func(*args, **kwargs)


def _is_dual(weight: Tensor | None) -> bool:
    return weight is not None and forward_ad.unpack_dual(weight).tangent is not None


@contextmanager
def forward_derivatives() -> Iterator[None]:
    load_forward_mode()
    # Fused attention has no forward mode; the plain formula does.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _Lean():
        yield


@functools.cache
def load_forward_mode() -> None:
    # The first use of forward mode lets PyTorch script decompositions, which PyTorch 2.13 itself
    # calls deprecated: nothing its users can do about.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))


class _Widest(TorchFunctionMode):
    """The most numbers that any function puts out."""

    found = 1

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and not out._is_view():  # a view of a weight is no activation
            self.found = max(self.found, out.numel())
        if func is scaled_dot_product_attention:  # inside it, each query meets each key
            query, key = (*args, *(kwargs or {}).values())[:2]
            self.found = max(self.found, query[..., 0].numel() * key.shape[-2])
        return out


def pairs_at_once(decoder: Decoder, z: Tensor) -> int:
    """How many pairs of a code and a direction to push through at once, by the widest layer."""
    widest = _Widest()
    with torch.no_grad(), widest:
        decode(decoder, z[:1])
    layer = widest.found * z.element_size()
    return max(1, min(MOST, max(CACHED // layer, min(FEWEST, HELD // layer))))


def in_blocks(
    decoder: Decoder, z: Tensor, chunk: int | None
) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """Part by part of the codes, and in it block by block of the directions: (k, rows, *output)
    columns of the Jacobian, and the decoded points (rows, *output)."""
    z = z.detach()
    d = math.prod(z.shape[1:])
    pairs = UNASKED
    if chunk is not None:
        pairs = chunk
    elif z.numel() > UNASKED:
        pairs = pairs_at_once(decoder, z)
    # Of equal size, both: a small last one would waste its products.
    for rows in z.tensor_split(math.ceil(len(z) / max(1, pairs // d))):
        yield _blocks(decoder, rows, math.ceil(d / pairs))


def _blocks(decoder: Decoder, rows: Tensor, n: int) -> Iterator[tuple[Tensor, Tensor]]:
    once: Any = (0, None)  # the decoded point is the same for all directions: not batched

    def push(direction: Tensor) -> tuple[Tensor, Tensor]:
        moving = (rows,), (direction.expand_as(rows),)
        x, column = torch.func.jvp(lambda codes: decode(decoder, codes), *moving)[:2]
        return column, x

    d = math.prod(rows.shape[1:])
    ends = [i * (d // n) + min(i, d % n) for i in range(n + 1)]
    for first, last in itertools.pairwise(ends):
        axes = rows.new_zeros(last - first, d)  # of the identity, which as a whole may not fit
        axes.diagonal(first).fill_(1)
        with forward_derivatives():
            block = torch.func.vmap(push, out_dims=once)(axes.view(-1, *rows.shape[1:]))
        yield block


def pushed(decoder: Decoder, z: Tensor, chunk: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Part by part of the codes: (d, rows, *output) columns of the Jacobian, (rows, *output)."""
    d = math.prod(z.shape[1:])
    for part in in_blocks(decoder, z, chunk):
        blocks = []
        for columns, x in part:
            blocks.append(columns)
            m = x.numel() // len(x)
            if (size := d * m * x.element_size()) > MOST_HELD:
                raise ValueError(
                    f"z has codes of {d:,} numbers and the decoder gives {m:,}: the Jacobian of "
                    f"one code takes {size / 2**30:,.0f} GB; take what needs none, "
                    "isometry.spectrum, largest, trace or diagonal"
                )
        yield joined(blocks), x


def joined(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    """``torch.cat``, which copies even where there is one part."""
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), dim)
