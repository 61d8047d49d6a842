"""The nearest centre of each vector: one matrix product, a few rows at a time."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vae_course.arguments import check_alike, check_finite, check_real, check_tensor, check_whole


@torch.no_grad()
def nearest(
    z: Float[Tensor, "n d"], codebook: Float[Tensor, "k d"], *, chunk: int = 512
) -> Int64[Tensor, "n"]:
    r"""Number of the centre nearest to each vector; of equally near ones, the lowest.

    .. math:: \arg\min_k \|z - e_k\|^2
              = \arg\max_k\ (z - m) \cdot (e_k - m) - \tfrac12 \|e_k - m\|^2

    The right side is one matrix product, ``chunk`` rows of z at a time: memory chunk · K, whatever
    n. m is the mean of the codebook: what counts in float32 is then how far vectors and centres are
    from each other, not from the origin. The squared distance of the centre that is named exceeds
    the smallest by at most :math:`(D + 4)\,\epsilon\,(\|z - m\| + \max_k \|e_k - m\|)^2`, with
    :math:`\epsilon` = 1.2e-7 in float32, so ties are settled by rounding unless all is exact.

    Raises ValueError or TypeError for what are not two matrices of floats of one width, dtype and
    device, for no centres, a ``chunk`` below 1, and, where values can be looked at, for NaN and
    infinity. No vectors have no centres: an empty result. Source: derived from the expanded square.
    """
    check_whole("chunk", chunk)
    if check_tensor("z", z).shape[:1] != (0,):
        check_real("z", z, "n d")
    check_real("codebook", codebook, "k d")
    check_alike(z=z, codebook=codebook)
    if z.shape[1:] != codebook.shape[1:]:
        raise ValueError(
            f"z has shape {tuple(z.shape)}, the codebook {tuple(codebook.shape)}: "
            "vectors and centres must have the same width"
        )
    check_finite(z=z, codebook=codebook)
    return search(z, codebook, chunk)


def search(
    z: Float[Tensor, "n d"], codebook: Float[Tensor, "k d"], chunk: int
) -> Int64[Tensor, "n"]:
    """``nearest`` of arguments that have been checked; where one is not finite, any number."""
    mean = codebook.mean(0)
    centres = codebook - mean
    half_norm = centres.square().sum(1) / 2  # (K,)
    scores = z.new_empty(min(chunk, len(z)), len(codebook))  # one buffer for all chunks
    indices = torch.empty(len(z), dtype=torch.int64, device=z.device)
    for start in range(0, len(z), chunk):
        rows = z[start : start + chunk] - mean
        score = scores[: len(rows)]
        torch.addmm(half_norm, rows, centres.T, beta=-1, out=score)  # (rows, K)
        torch.argmax(score, 1, out=indices[start : start + chunk])
    return indices
