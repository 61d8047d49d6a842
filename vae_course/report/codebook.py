"""How much of a codebook is used, and how evenly."""

import math

import torch
from torch import Tensor

from vae_course.report.errors import jackknife
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.study import Study

ENOUGH = 10
"""Tokens a code, from which on few are missed by chance."""


def codebook(study: Study) -> dict[str, Found]:
    r"""Which share of K codes occurs, over that of an even codebook; and how evenly they do.

    .. math:: \frac{\#\{k : c_k > 0\}}{K\,\big(1 - (1 - 1/K)^n\big)}, \qquad
              \frac1K \exp\Big(-\sum_k \tfrac{c_k}n \log \tfrac{c_k}n + \frac{S - 1}{2n}\Big)

    for the counts c of n tokens, S of them not 0. With few tokens most codes of the best codebook
    are missed: so the first is relative to what chance allows. The error of the second is
    over images, whose tokens depend on each other.

    Raises ``Unmeasured`` where K is not known, ValueError for an index outside 0 … K - 1.
    Source: Miller 1955 for the entropy's bias.
    """
    k = study.declared.codes
    if k is None:
        raise Unmeasured("the size of the codebook is not known: give codes=K")
    indices = study.mu.flatten(1)
    if (most := int(indices.max())) >= k or indices.min() < 0:
        raise ValueError(f"codes={k}, but indices reach from {int(indices.min())} to {most}")
    counts = torch.bincount(indices.flatten(), minlength=k)
    study.tables["codebook_counts"] = counts.sort(descending=True).values
    n, used = indices.numel(), int((counts > 0).sum())

    def evenness(kept: Tensor) -> float:
        return perplexity(torch.bincount(indices[kept].flatten(), minlength=k)) / k

    even, each = jackknife(len(indices), evenness)
    null = expected_usage(k, n)
    few = f"; few: {n} tokens, take {ENOUGH * k}" if n < ENOUGH * k else ""
    return {
        "codebook_usage": Found(
            # What images that were not seen would add is not told by those that were: no error.
            used / k / null,
            f"{used} of {k} codes occur among {n} tokens, {used / k:.0%}; an even codebook would "
            f"show {null:.0%}{few}",
            1.0,
        ),
        "codebook_perplexity": Found(
            even,
            f"as many as {even.value * k:.0f} of {k} codes used evenly{few}",
            even_perplexity(k, n) / k,
            each,
        ),
    }


def expected_usage(k: int, n: int) -> float:
    """Share of K codes that occur among n drawn evenly, 1 - (1 - 1/K)ⁿ."""
    return -math.expm1(n * math.log1p(-1 / k)) if k > 1 else 1.0


def perplexity(counts: Tensor) -> float:
    """exp of the entropy, with Miller and Madow's first-order correction."""
    share = counts.double() / counts.sum()
    bias = (int((counts > 0).sum()) - 1) / (2 * int(counts.sum()))
    return float((torch.special.entr(share).sum() + bias).exp())


def even_perplexity(k: int, n: int) -> float:
    """What ``perplexity`` says of n tokens drawn evenly: exp of the mean of its logarithm."""
    if k == 1:
        return 1.0
    # Terms beyond the mean plus twelve standard deviations weigh nothing.
    most = min(n, math.ceil(n / k + 12 * (n / k) ** 0.5 + 40))
    c = torch.arange(1, most + 1, dtype=torch.float64, device="cpu")
    total = torch.tensor(float(n), dtype=torch.float64, device="cpu")
    log = (total + 1).lgamma() - (c + 1).lgamma() - (total - c + 1).lgamma()
    weight = (log - c * math.log(k) + (total - c) * math.log1p(-1 / k)).exp()
    entropy = math.log(n) - k / n * float((weight * c * c.log()).sum())
    return math.exp(entropy + (k * expected_usage(k, n) - 1) / (2 * n))
