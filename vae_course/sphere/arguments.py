"""What the laws and the geometry are given: vectors, numbers beside them, dimensions.

As in ``vae_course.arguments``, values are looked at in eager mode only.
"""

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from vae_course.arguments import check_alike, check_tensor, check_whole, visible


def check_vectors(least: int = 1, /, **vectors: Any) -> None:
    """Raise unless all are floating tensors (..., d >= least) that go together in all axes.

    TypeError for what is none, ValueError for shapes, dtypes and devices, with their names.
    """
    for name, value in vectors.items():
        check_tensor(name, value)
        if not value.is_floating_point():
            raise TypeError(
                f"{name} is {value.dtype}: give a floating point tensor, {name}.float()"
            )
        if value.ndim < 1 or value.shape[-1] < least:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}: give (..., d) with d >= {least}, "
                "the ambient dimension (the circle is d = 2)"
            )
    if len(vectors) > 1:
        check_alike(**vectors)
        shapes = {name: tuple(value.shape) for name, value in vectors.items()}
        if len({shape[-1] for shape in shapes.values()}) > 1 or not fit(*shapes.values()):
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ValueError(f"shapes that do not go together: {listed}; d must be the same")


def number_beside(
    name: str, value: Any, vectors: str, like: Tensor, *, other: Tensor | None = None,
    grid: bool = False,
) -> Tensor:  # fmt: skip
    """A number of each vector of ``like``, in its dtype: a concentration, a radius, a fraction.

    A number or a floating tensor that broadcasts with the batch, and that of ``other``. One of
    shape (*batch, 1) would make all pairs of two vectors' numbers, where other libraries mean one
    a vector: refused, but for a ``grid``. TypeError for what is no number, ValueError for shapes
    and devices. A tensor of no axes on the CPU is a number.
    """
    if not isinstance(value, Tensor):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(
                f"{name} must be a number or a tensor, got {type(value).__name__}: give "
                f"torch.as_tensor({name}, dtype={vectors}.dtype)"
            )
        return like.new_full((), float(value))
    if not value.is_floating_point():
        raise TypeError(f"{name} is {value.dtype}: give a floating point tensor, {name}.float()")
    if value.device != like.device and not (value.ndim == 0 and value.device.type == "cpu"):
        raise ValueError(
            f"{name} is on {value.device} and {vectors} on {like.device}: give {name}.to({vectors})"
        )
    batch = like.shape[:-1]
    if batch and batch[-1] > 1 and value.shape == (*batch, 1) and not grid:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)} and {vectors} {tuple(like.shape)}: for one "
            f"{name} a vector give {name}.squeeze(-1), of shape {tuple(batch)}; for all pairs "
            f"{vectors}.unsqueeze(-3)"
        )
    if value.shape != batch:
        whole = batch if other is None else torch.broadcast_shapes(batch, other.shape[:-1])
        if not fit(value.shape, whole):
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}, which doesn't broadcast with the batch "
                f"{tuple(whole)} of {vectors}: give one {name} a vector"
            )
    return value.to(like.device, like.dtype)


def fit(*shapes: Any) -> bool:
    """Whether the shapes broadcast."""
    try:
        torch.broadcast_shapes(*shapes)
    except RuntimeError:
        return False
    return True


def check_nonnegative(value: Tensor, name: str) -> None:
    """Raise ValueError unless all entries are finite and at least 0; looks in eager mode only."""
    if value.numel() == 0 or not visible(value):
        return
    least, most = (bound.item() for bound in value.detach().aminmax())  # NaN goes through
    if not (least >= 0 and most < math.inf):
        raise ValueError(
            f"{name} lies in [{least:.6g}, {most:.6g}]: must be finite and at least 0; softplus "
            "makes it so"
        )


def check_dim(dim: Any, least: int = 2) -> int:
    """The ambient dimension, an int (2 is the circle); TypeError or ValueError for what is none."""
    return check_whole("dim", dim, least)
