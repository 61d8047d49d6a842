"""Is there a relation, is there a difference? Tests on ranks and on signs, for a few seeds."""

import math
from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vae_course.arguments import check_alike, check_finite, check_real, check_whole

# Correlations of relabelled data that differ by less than this differ by rounding: they are ties.
ROUNDING = 1e-9


@torch.no_grad()
def partial_rank_correlation(
    x: Float[Tensor, " n"], y: Float[Tensor, " n"], given: Float[Tensor, "n *c"]
) -> float:
    r"""Spearman's rank correlation of x and y, with what both owe to ``given`` taken away.

    .. math:: \operatorname{corr}(e_x, e_y), \qquad
              e_v = R_v - \text{its least-squares fit by } 1, R_{g_1}, \dots, R_{g_c}

    where :math:`R` are ranks, ties averaged: each covariate is a column of ``given``, ``(n,)`` or
    ``(n, c)``. For one covariate it is :math:`(r_{xy} - r_{xg} r_{yg}) / \sqrt{(1 - r_{xg}^2)
    (1 - r_{yg}^2)}` of Spearman's r. Unchanged by an increasing map of any of its variables. Linear
    on ranks: a relation with ``given`` that rises and falls again is not taken away. In [-1, 1],
    computed in float64. It counts, without gradient, so it is not for ``torch.func``,
    ``torch.compile`` or ``torch.export``.

    Raises:
        TypeError: what is no floating-point tensor.
        ValueError: lengths, dtypes or devices that differ, fewer than c + 3 cases, a value that is
            not finite, or an x or y whose ranks follow from those of ``given``.

    Source: Spearman 1904; Kim 2015, *ppcor*, for several covariates.
    """
    check_real("x", x, "n"), check_real("y", y, "n")
    if check_real("given", given).ndim not in (1, 2) or len(given) != len(x) or len(y) != len(x):
        raise ValueError(
            f"x, y and given must be (n,), (n,) and (n,) or (n, c), got {tuple(x.shape)}, "
            f"{tuple(y.shape)} and {tuple(given.shape)}"
        )
    check_alike(x=x, y=y, given=given)
    check_finite(x=x, y=y, given=given)
    covariates = given.reshape(len(x), -1)
    if len(x) < covariates.shape[1] + 3:
        raise ValueError(
            f"x has {len(x)} cases: beside {covariates.shape[1]} covariates in given, "
            f"{covariates.shape[1] + 3} are needed"
        )
    on = torch.stack([_ranks(g) for g in covariates.T], 1)
    # Singular values, not a solver: covariates may well depend on each other.
    directions, values, _ = torch.linalg.svd(on, full_matrices=False)
    basis = directions[:, values > ROUNDING * len(x) ** 1.5]
    left = []
    for name, value in (("x", x), ("y", y)):
        ranks = _ranks(value)
        rest = ranks - basis @ (basis.T @ ranks)
        if rest.norm() <= ROUNDING * len(x) ** 1.5:
            raise ValueError(
                f"{name} has no ranks of its own: it is constant, or they follow from given's"
            )
        left.append(rest / rest.norm())
    return min(1.0, max(-1.0, float(left[0] @ left[1])))


def _ranks(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Ranks less their mean, ties averaged."""
    _, place, count = values.cpu().unique(return_inverse=True, return_counts=True)
    average = count.cumsum(0) - (count - 1) / 2
    return average.double()[place] - (len(values) + 1) / 2


class MaxT(NamedTuple):
    """Each measure's statistic, and its p alone and among all that were tried."""

    statistic: Float[Tensor, " measures"]
    r"""Student's t on a scale of [-1, 1], :math:`r = t/\sqrt{t^2 + \nu}`."""
    p_alone: Float[Tensor, " measures"]
    """As if this measure were the only one."""
    p: Float[Tensor, " measures"]
    """How often chance gives *any* of the measures an r like this one's, the adjusted p."""
    relabellings: int
    """How many were looked at with the data's own; ``p`` is at least one in so many."""
    exact: bool
    """Whether these were all there are."""


@torch.no_grad()
def max_t(
    a: Float[Tensor, "measures n"], b: Float[Tensor, "measures m"] | None = None,
    *, alternative: str = "two-sided", draws: int = 10_000, seed: int = 0,
) -> MaxT:  # fmt: skip
    r"""Several measures tried on the same few seeds: each one's p, adjusted for all the others.

    .. math:: p_j = P\Big(\max_k T_k^* \ge T_j\Big), \qquad T = |r|
              \text{ (or } r, -r \text{ one-sided)}, \quad r = \frac{t}{\sqrt{t^2 + \nu}}

    over relabellings :math:`*` that the null hypothesis makes equally likely, the same one for all
    measures at once, so that their dependence is kept: two measures that are nearly one number
    cost nearly nothing.

    - ``max_t(differences)``: paired. Row j holds measure j's difference for each seed; the signs of
      a whole seed are flipped. t is that of one sample, :math:`\nu = n - 1`.
    - ``max_t(a, b)``: two groups. The labels of whole seeds are permuted. t is Student's, with the
      pooled variance, :math:`\nu = n + m - 2`; a is larger where it is positive.

    r is t on a scale that stays finite where all seeds agree; sums of squares don't change with
    the labels, so one order serves for both. All relabellings are enumerated if there are at most
    ``draws``; otherwise so many are drawn by ``seed`` and p is (hits + 1) / (draws + 1).

    **Few seeds can say little.** Five pairs have :math:`2^5 = 32` sign flips: the smallest p is
    1/32 one-sided (``alternative="greater"`` for a > b, or ``"less"``) and 2/32 two-sided, however
    large the effect. Six pairs are needed for a two-sided p below .05. The side is chosen before
    the data are seen.

    The chance of any p below α where no measure differs is at most α; where some do, too, if the
    relabellings of the others do not depend on them (subset pivotality). A measure without any
    difference has r = 0 and p = 1. Computed in float64, no gradient. It counts, so it is not for
    ``torch.func``, ``torch.compile`` or ``torch.export``.

    Raises:
        TypeError: what is no floating-point tensor, or ``draws`` that is no int.
        ValueError: shapes that do not go together, one seed, a value that is not finite, an unknown
            ``alternative``.

    Source: Westfall and Young 1993, single-step max-T; Phipson and Smyth 2010 for the + 1.

    >>> import torch
    >>> from vae_course.evaluation import max_t
    >>> differences = torch.tensor([[0.3, 0.4, 0.2, 0.5, 0.3], [0.1, -0.2, 0.0, 0.1, -0.1]])
    >>> max_t(differences, alternative="greater").p
    tensor([0.0312, 0.9375], dtype=torch.float64)
    """
    check_whole("draws", draws)
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(
            f'alternative must be "two-sided", "greater" or "less", got {alternative!r}'
        )
    given = {"a": a} if b is None else {"a": a, "b": b}
    for name, value in given.items():
        check_real(name, value, "measures seeds")
    check_alike(**given)
    check_finite(**given)
    n, generator = a.shape[1], torch.Generator("cpu").manual_seed(seed)
    values = a.cpu().double()
    if b is None:
        if n < 2:
            raise ValueError(f"a has {n} seed: at least 2 are needed")
        all_there_are = 2**n
        relabelled = _signs(n, draws, generator) / n**0.5
    else:
        m = b.shape[1]
        if len(a) != len(b) or n + m < 3:
            raise ValueError(
                "a and b must be (measures, n) and (measures, m) with n + m at least 3, "
                f"got {tuple(a.shape)} and {tuple(b.shape)}"
            )
        values = torch.cat([values, b.cpu().double()], 1)
        magnitude = values.norm(dim=1, keepdim=True)
        values = values - values.mean(1, keepdim=True)
        values[values.norm(dim=1) <= 1e-12 * magnitude[:, 0]] = 0  # all that is left is rounding
        all_there_are = math.comb(n + m, n)
        in_a = _members(n, m, draws, generator)
        relabelled = (in_a.double() - n / (n + m)) * (1 / n + 1 / m) ** 0.5
    values = values / values.norm(dim=1, keepdim=True).clamp(min=torch.finfo(values.dtype).tiny)
    r = relabelled @ values.T  # (relabellings, measures): in front the data as they are
    t = {"two-sided": r.abs(), "greater": r, "less": -r}[alternative]

    def share(chance: Tensor) -> Tensor:  # of all, or of the drawn and the data themselves
        return (chance >= t[0] - ROUNDING).double().mean(0)

    return MaxT(r[0], share(t), share(t.amax(1, keepdim=True)), len(t), all_there_are <= draws)


def _signs(n: int, draws: int, generator: torch.Generator) -> Float[Tensor, "relabellings n"]:
    """All sign flips, or the unflipped and so many draws; in front those of the data: all 1."""
    if 2**n <= draws:
        flip = torch.arange(2**n, device="cpu")[:, None] >> torch.arange(n, device="cpu") & 1
    else:
        flip = torch.randint(2, (1 + draws, n), generator=generator, device="cpu")
        flip[0] = 0
    return 1.0 - 2.0 * flip.double()


def _members(
    n: int, m: int, draws: int, generator: torch.Generator
) -> Bool[Tensor, "relabellings both"]:
    """Who is in the first group, in all ways or in so many drawn; in front as the data are."""
    if math.comb(n + m, n) <= draws:
        groups = torch.tensor(list(combinations(range(n + m), n)), device="cpu")
    else:
        order = torch.rand(1 + draws, n + m, generator=generator, device="cpu").argsort(1)
        order[0] = torch.arange(n + m, device="cpu")
        groups = order[:, :n]
    inside = torch.zeros(len(groups), n + m, dtype=torch.bool, device="cpu")
    return inside.scatter_(1, groups, True)
