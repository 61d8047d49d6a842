"""Can a score tell strangers? The area under the ROC curve, how sure it is, and what is gained."""

import statistics

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_finite, check_real
from vae_course.evaluation.intervals import Interval


@torch.no_grad()
def auroc(
    inside: Float[Tensor, " n"], outside: Float[Tensor, " m"], *, level: float = 0.95
) -> Interval:
    r"""The share of pairs that a score puts in the right order: 1 is perfect, 1/2 a coin.

    .. math:: \hat A = \frac{1}{nm} \sum_{i,j} \mathbb 1[s_i < t_j]
              + \tfrac12 \mathbb 1[s_i = t_j]

    s the scores of ``inside``, what is familiar, and t of ``outside``, the strangers: **theirs
    should be higher**. It is Mann and Whitney's U over nm, and the area under the ROC curve.

    The interval is over the choice of both sets of cases, the score being fixed: what another
    training of the model behind it would give is not in it. With DeLong's variance V it is

    .. math:: \Big|\hat A - A\Big| \le q \sqrt{\frac{A (1 - A)}{k}},
              \qquad k = \max\Big(\frac{\hat A (1 - \hat A)}{V},\ \min(n, m)\Big)

    Wilson's, of k pairs. V says nothing where all pairs are in order, but it can never truly exceed
    :math:`A(1 - A)/\min(n, m)`: so the interval has a width there too, and stays in [0, 1].
    ``Interval.n`` is n + m. Cases must be independent: two crops of one image are not. float64; it
    counts, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``.

    Raises:
        TypeError: what is no floating-point tensor.
        ValueError: fewer than 2 cases of a kind, a score that is not finite, a ``level`` that is
            not between 0 and 1.

    Source: DeLong, DeLong and Clarke-Pearson 1988; Birnbaum and Klose 1957 for the bound on V; in
    Wilson's form, derived.

    >>> import torch
    >>> from vae_course.evaluation import auroc
    >>> print(auroc(torch.arange(40.0), torch.arange(40.0) + 20))
    0.875 [0.786, 0.930], n = 80
    """
    quantile = _quantile(level)
    below, above = _placements(inside=inside, outside=outside)
    area, n, m = above.mean().item(), len(below), len(above)
    spread = area * (1 - area)
    variance = (below.var() / n + above.var() / m).item()
    cases = max(spread / variance, min(n, m)) if variance > 0 else min(n, m)
    q2 = quantile**2 / cases
    middle, half = (area + q2 / 2) / (1 + q2), (q2 * (spread + q2 / 4)) ** 0.5 / (1 + q2)
    low = 0.0 if area == 0 else middle - half  # exact there, but for rounding
    high = 1.0 if area == 1 else middle + half
    return Interval(area, low, high, n + m)


@torch.no_grad()
def auroc_gain(
    inside: Float[Tensor, " n"], outside: Float[Tensor, " m"],
    inside_before: Float[Tensor, " n"], outside_before: Float[Tensor, " m"],
    *, level: float = 0.95,
) -> Interval:  # fmt: skip
    r"""What one score's ``auroc`` has above another's, on the same cases in the same order.

    Cases that are hard for both scores cancel, so that the interval is narrower than those of the
    two apart suggest (or wider, where the scores contradict each other):
    :math:`\hat A - \hat A' \pm q \sqrt V`, with V from the differences of each case's two
    placements. Where both scores agree in every pair it has no width, and then says nothing. For
    one of several comparisons give a ``level`` of 1 - 0.05 / tries.

    Everything else, errors too, as in ``auroc``; also ValueError where the counts of cases differ.
    It counts, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: DeLong, DeLong and Clarke-Pearson 1988.
    """
    quantile = _quantile(level)
    new = _placements(inside=inside, outside=outside)
    old = _placements(inside_before=inside_before, outside_before=outside_before)
    counts = [(len(placed[0]), len(placed[1])) for placed in (new, old)]
    if counts[0] != counts[1]:
        raise ValueError(
            f"inside and outside hold {counts[0]} cases, inside_before and outside_before "
            f"{counts[1]}: give two scores of the same cases"
        )
    differences = [a - b for a, b in zip(new, old, strict=True)]
    gain = differences[1].mean().item()
    half = quantile * sum(d.var().item() / len(d) for d in differences) ** 0.5
    return Interval(gain, gain - half, gain + half, sum(counts[0]))


def _quantile(level: float) -> float:
    """The normal quantile of a two-sided level."""
    if not 0 < level < 1:
        raise ValueError(f"level={level}: must lie between 0 and 1, usually 0.95")
    return statistics.NormalDist().inv_cdf((1 + level) / 2)


def _placements(**scores: Tensor) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
    """For each case the share of the other kind that it stands in the right order with."""
    for name, values in scores.items():
        if len(check_real(name, values, "cases")) < 2:
            raise ValueError(f"{name} has one case: at least 2 are needed")
    check_alike(**scores)
    check_finite(**scores)
    inside, outside = (values.cpu().double() for values in scores.values())

    def below(values: Tensor, others: Tensor) -> Tensor:
        ordered = others.sort().values
        sides = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
        return sum(sides, start=torch.zeros_like(values)) / (2 * len(others))

    return 1 - below(inside, outside), below(outside, inside)
