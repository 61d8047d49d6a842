"""How much of a codebook is in use."""

import torch
from jaxtyping import Int
from torch import Tensor

from vae_course.quantization.result import check_indices


def perplexity(indices: Int[Tensor, "..."], num_codes: int) -> float:
    r"""Effective number of codes in use: the exponential of the entropy of their frequencies.

    .. math:: \exp\Big(-\sum_k p_k \log p_k\Big)

    From 1 (one code does everything) to ``num_codes`` (all equally often). Its logarithm, in nats,
    is what a code costs under the best prior for single codes, at most log K. In float64. Of n
    indices it is at most n, and for small n too low: take at least 10 K of them.

    Raises ValueError for no indices, or one outside 0 … num_codes - 1.
    Source: Shannon 1948; for codebooks van den Oord et al. 2017.
    """
    share = _counts(indices, num_codes) / indices.numel()
    return float(torch.special.entr(share).sum().exp())


def usage(indices: Int[Tensor, "..."], num_codes: int) -> float:
    """Share of the codes that occur at least once, in (0, 1]: 1 minus the share of dead codes.

    At least ``perplexity`` / num_codes, and equal to it only if the codes in use are so equally
    often. Arguments and errors as in ``perplexity``.
    """
    return float((_counts(indices, num_codes) > 0).double().mean())


def _counts(indices: Tensor, num_codes: int) -> Tensor:
    check_indices(indices, num_codes)
    if indices.numel() == 0:
        raise ValueError("indices is empty: no code is used, and none is not")
    return torch.bincount(indices.flatten().cpu(), minlength=num_codes).double()
