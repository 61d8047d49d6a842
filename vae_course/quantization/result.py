"""What a quantizer returns, and what it asks of its input."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vae_course.arguments import check_tensor, check_whole, visible


class Quantized(NamedTuple):
    """Vectors (\\*batch, D) replaced by centres."""

    quantized: Float[Tensor, "*batch d"]
    """The centres; as a function of the vectors it has the identity's gradient."""
    indices: Int64[Tensor, "*batch"]
    """The centres' numbers, from 0 to K - 1."""
    loss: Float[Tensor, "*batch"]
    """What training adds for each vector, a squared error summed over D."""


def straight_through(
    z: Float[Tensor, "*batch d"], centre: Float[Tensor, "*batch d"]
) -> Float[Tensor, "*batch d"]:
    r"""The centre in value, z in gradient: what follows is trained at the centre, what comes
    before as if nothing had been rounded.

    .. math:: \mathrm{sg}(e) + (z - \mathrm{sg}(z))

    with sg the stop-gradient. Exactly e, where the common :math:`z + \mathrm{sg}(e - z)` is off
    by a rounding. Source: Bengio, Léonard and Courville 2013.
    """
    return centre.detach() + (z - z.detach())


def check_vectors(z: object, dim: int, like: Tensor) -> None:
    """Raise unless z is a tensor (..., dim), with the dtype and on the device of the codebook."""
    z = check_tensor("z", z)
    if z.ndim < 1 or z.shape[-1] != dim:
        raise ValueError(
            f"z has shape {tuple(z.shape)}; this quantizer takes (..., {dim}): "
            "is the code in another dimension than the last?"
        )
    if z.dtype != like.dtype:
        raise TypeError(
            f"z is {z.dtype}, the codebook {like.dtype}: give z.to({like.dtype}), or use "
            f"quantizer.to({z.dtype})"
        )
    if z.device != like.device:
        raise ValueError(
            f"z is on {z.device}, the codebook on {like.device}: give z.to('{like.device}'), or "
            f"use quantizer.to('{z.device}')"
        )


def check_finite(z: Tensor) -> None:
    """Raise ValueError for NaN and infinity."""
    if not z.isfinite().all():
        raise ValueError(
            f"z holds {int((~z.isfinite()).sum())} NaN or infinite values of {z.numel()}: "
            "no centre is nearest to them; look at what made them (a lower lr, clip=1.0)"
        )


def check_indices(indices: object, num_codes: int) -> None:
    """Raise unless indices are a tensor of whole numbers from 0 to num_codes - 1."""
    check_whole("num_codes", num_codes)
    indices = check_tensor("indices", indices)
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise TypeError(f"indices have dtype {indices.dtype}; give whole numbers, as int64")
    if indices.numel() and visible(indices):
        low, high = indices.min().item(), indices.max().item()
        if not 0 <= low <= high < num_codes:
            raise ValueError(
                f"indices lie in [{low}, {high}]; with {num_codes} codes they are 0 to "
                f"{num_codes - 1}"
            )
