"""The rate-distortion function of a discrete source, by Blahut and Arimoto's iteration."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_real


class RateDistortion(NamedTuple):
    """The cheapest way to describe a source at one price of a nat."""

    rate: Float[Tensor, ""]
    """Mutual information of source and reproduction, in nats."""
    distortion: Float[Tensor, ""]
    """Mean distortion, in the unit of the distortion matrix."""
    channel: Float[Tensor, "n m"]
    """How often symbol x, a row, is reproduced as each of the m; rows sum to 1."""
    output: Float[Tensor, "m"]
    """How often each reproduction is used, the channel's rows averaged over the source."""


@torch.no_grad()
def blahut_arimoto(
    p: Float[Tensor, "n"],
    distortion_matrix: Float[Tensor, "n m"],
    beta: float,
    *,
    tolerance: float = 1e-10,
    max_steps: int = 100_000,
) -> RateDistortion:
    r"""The best code for a discrete source when a nat costs β: a point of its R(D) curve.

    .. math:: \min_{q(y|x)} E[d(x, y)] + \beta\, I(x; y), \qquad
              q(y|x) \propto q(y)\, e^{-d(x, y)/\beta}

    where q(y) is the mean of q(y|x) over the source. The two are updated in turn, from equally
    frequent reproductions, until the value of the minimum is known within ``tolerance`` β. Where
    the curve R(D) has a straight piece of slope -1/β, each of its points is a minimum, and one of
    them is returned. A VAE with any networks can't do better than this for its data's symbols.

    Args:
        p: probability of each of the n symbols, not negative, summing to 1.
        distortion_matrix: d(x, y) of each symbol and each of m reproductions, finite.
        beta: price of a nat in the unit of d, positive and finite.
        tolerance: in nats, positive: the certified bound on the loss over β.
        max_steps: updates at most. Convergence is slow, like 1/steps, where β is just at the price
            at which a reproduction falls out of use.

    Raises:
        ValueError: for probabilities that are none, a matrix that is not (n, m) or not finite, or
            a beta, tolerance or max_steps out of range.
        RuntimeError: when ``max_steps`` are not enough.

    Computed in float64, returned in the dtype of ``p``, without gradient: not for ``torch.func``,
    ``torch.compile`` or ``torch.export``. Source: Blahut 1972; Arimoto 1972; the
    bound is Csiszar's, 1974.
    """
    _check(p, distortion_matrix, beta, tolerance, max_steps)
    source, cost = p.double(), distortion_matrix.double() / beta
    log_q = torch.full_like(cost[0], -math.log(cost.shape[1]))
    for _ in range(max_steps):
        log_ratio = -cost - (log_q - cost).logsumexp(1, keepdim=True)  # of q(y|x) to q(y)
        # How much more often each reproduction is used than was assumed. At the minimum it is 1
        # for those in use and below 1 for the others, so its largest log bounds what is missing.
        factor = (source @ log_ratio.exp()).log()
        # In use are those with q > 0: 0 x log 0 is 0.
        gap = factor.max() - (log_q.exp() * factor.exp() * factor).nan_to_num(nan=0.0).sum()
        if gap <= tolerance:
            break
        log_q = log_q + factor
    else:
        raise RuntimeError(
            f"after max_steps={max_steps} the loss over beta is known within {gap:.3g} nats only, "
            f"not tolerance={tolerance:.3g}: raise either of them"
        )
    channel = (log_q + log_ratio).exp()
    joint = source.unsqueeze(1) * channel
    output = joint.sum(0)
    rate = (torch.xlogy(joint, channel) - torch.xlogy(joint, output)).sum().clamp_min(0)
    distortion = (joint * distortion_matrix).sum()
    return RateDistortion(*(t.to(p.dtype) for t in (rate, distortion, channel, output)))


def _check(p: Tensor, matrix: Tensor, beta: float, tolerance: float, max_steps: int) -> None:
    check_real("p", p)
    check_alike(p=p, distortion_matrix=check_real("distortion_matrix", matrix).to(p.dtype))
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(f"beta={beta}: must be positive and finite (near 0 the code is exact)")
    if not (math.isfinite(tolerance) and tolerance > 0) or max_steps < 1:
        raise ValueError(
            f"tolerance={tolerance}, max_steps={max_steps}: the first must be positive and finite, "
            "the second 1 or more"
        )
    if p.ndim != 1 or not (p >= 0).all() or abs(p.double().sum() - 1) > 1e-5:
        raise ValueError(
            f"p has shape {tuple(p.shape)} and sum {p.sum():.6g}: it must be (n,) probabilities, "
            "not negative, that sum to 1; p / p.sum() may be what you want"
        )
    if matrix.ndim != 2 or len(matrix) != len(p):
        raise ValueError(
            f"distortion_matrix has shape {tuple(matrix.shape)}: it must be ({len(p)}, m), a row "
            "for each symbol of p and a column for each reproduction"
        )
    if not matrix.isfinite().all():
        raise ValueError(
            "distortion_matrix must be finite; for a forbidden pair give a cost of many beta"
        )
