r"""What a measure gives where there is nothing to find: its null, with its Monte Carlo error.

Gap, coverage, matched correlations, label accuracy, precision and recall have a bias at finite N or
a level that chance reaches: a value says something beside its null only.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vae_course import gaussian, spd
from vae_course.arguments import (
    check_alike,
    check_finite,
    check_number,
    check_real,
    check_tensor,
    check_values,
    check_whole,
)
from vae_course.evaluation import samples
from vae_course.evaluation.intervals import Estimate
from vae_course.gaussian.divergence import check_balls

WHOLE = torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64
PAIRS = 2**18  # differences of a code and a ball held at once: a processor's cache

__all__ = [
    "ChancePrecisionRecall", "LinearCode", "held_out_gap", "linear_code", "matched_correlation",
    "neighbour_accuracy", "precision_recall", "principal_angles",
]  # fmt: skip


class LinearCode(NamedTuple):
    """What N balls of the perfect linear code measure; its population gap is exactly 0."""

    gap: Estimate
    information: Estimate
    coverage: Estimate
    rate: Estimate
    r"""Exactly :math:`\sum_j \frac12 \log^+ (2 \lambda_j / \beta)`, with error 0."""


@torch.no_grad()
def linear_code(
    eigenvalues: Float[Tensor, " k"], n: int, beta: float,
    *, d: int | None = None, draws: int = 8, seed: int = 0,
) -> LinearCode:  # fmt: skip
    r"""What N images give at best: gap, information and coverage of a code without any gap.

    On Gaussian data with these covariance ``eigenvalues`` :math:`\lambda` the optimum of the linear
    VAE is known. A latent is used where :math:`\lambda_j > \beta/2`:

    .. math:: \sigma_j^2 = \frac{\beta}{2\lambda_j}, \qquad \mu_j \sim N(0,\ 1 - \sigma_j^2);
              \qquad \text{else } \mu_j = 0,\ \sigma_j = 1

    with :math:`\beta` as in :math:`D + \beta\,\mathrm{KL}`, D the sum of squares, so that all balls
    together are exactly N(0, I): with infinitely many images the gap is 0 and the information
    equals the rate. What N balls show instead is the bias of N, largest where the rate is far above
    log N, since information cannot pass it.

    ``draws`` independent codes of n balls each are drawn by ``seed`` and measured by
    ``gaussian.information`` and ``gaussian.coverage``, with one draw a ball and 1,000 of the prior:
    the estimators of the value that this null stands beside. Each value is the mean over the codes,
    its error their standard error; one code alone scatters :math:`\sqrt{\text{draws}}` times as
    much. The d largest eigenvalues count, in any order, all if d is not given; a d above their
    number adds collapsed latents, which only coverage sees.

    Raises:
        TypeError: eigenvalues that are no floating-point tensor, counts that are no ints.
        ValueError: an eigenvalue below 0 or not finite, a ``beta`` that is not positive, fewer than
            2 balls or draws.

    It counts, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``.

    Source: the optimum, Lucas et al. 2019, *Don't blame the ELBO!*, and Dai et al. 2018; the null,
    derived, see chapter 04.
    """
    check_real("eigenvalues", eigenvalues, "k")
    check_values(
        "eigenvalues", eigenvalues, lambda v: v.isfinite() & (v >= 0), "finite and not negative"
    )
    check_whole("n", n, 2), check_whole("draws", draws, 2)
    d = len(eigenvalues) if d is None else check_whole("d", d)
    half = check_number("beta", beta, 0) / 2
    largest = eigenvalues.cpu().double().sort(descending=True).values[:d]
    ratio = torch.ones(d, dtype=torch.float64, device="cpu")
    ratio[: len(largest)] = (largest / half).clamp(min=1)
    generator = torch.Generator("cpu").manual_seed(seed)
    device = torch.device("cpu") if eigenvalues.device.type == "mps" else eigenvalues.device
    gap, information, coverage = [], [], []
    for _ in range(draws):
        noise = torch.randn(n, d, generator=generator, dtype=torch.float64, device="cpu")
        mu = (noise * (1 - 1 / ratio).sqrt()).to(device)
        sigma = ratio.rsqrt().to(device).expand_as(mu)
        # Seeds of their own: with the code's seed the noise of its balls would be the code again.
        seeds = torch.randint(2**62, (2,), generator=generator, device="cpu").tolist()
        found = gaussian.information(mu, sigma, seed=seeds[0])
        gap.append(found.gap.item())
        information.append(found.mutual.item())
        coverage.append(gaussian.coverage(mu, sigma, seed=seeds[1]).item())
    rate = Estimate.exact(0.5 * ratio.log().sum().item())
    return LinearCode(Estimate.of(gap), Estimate.of(information), Estimate.of(coverage), rate)


@torch.no_grad()
def held_out_gap(
    mu: Float[Tensor, "n d"], sigma: Float[Tensor, "n d"],
    mu_test: Float[Tensor, "m d"], sigma_test: Float[Tensor, "m d"],
    *, draws: int = 1, seed: int = 0,
) -> Estimate:  # fmt: skip
    r"""The gap at codes of images that are not in the mixture: what is left of it without N's bias.

    .. math:: E_{x \text{ held out}}\; E_{z \sim q(\cdot|x)} \log\frac{\bar q(z)}{p(z)}, \qquad
              \bar q = \frac1N \sum_i q(\cdot | x_i) \text{ of training images}

    ``gaussian.information`` finds each z near its own ball, in a mixture that holds it; here none
    is. With q the mixture over *all* images and images drawn alike, the true gap lies between:

    .. math:: E[\text{held out}] = \mathrm{KL}(q \| p) - E\,\mathrm{KL}(q \| \bar q)
              \;\le\; \mathrm{KL}(q \| p) \;\le\; E\,\mathrm{KL}(\bar q \| p) = E[\text{gap}]

    and both meet as N grows. It may be negative: of a perfect code, whose true gap is 0, it always
    is in expectation. An encoder that has learnt its training images by heart lowers it further.

    The error is one standard error over the held-out images, their choice and the ``draws`` of each
    included; the training balls are taken as given. float64. It counts, so it is not for
    ``torch.func``, ``torch.compile`` or ``torch.export``.

    Raises:
        TypeError: what is no floating-point tensor, or ``draws`` that is no int.
        ValueError: shapes, dtypes or devices that do not go together, fewer than 2 held-out balls,
            a sigma that is not positive and finite, a mu that is not finite.

    Source: derived, see chapter 04; Jensen's inequality on both sides.
    """
    check_whole("draws", draws)
    balls = {"mu": mu, "sigma": sigma, "mu_test": mu_test, "sigma_test": sigma_test}
    for name, value in balls.items():
        check_real(name, value, "n d")
    check_alike(**balls)
    shapes = {name: tuple(value.shape) for name, value in balls.items()}
    (n, d), (m, d_test) = mu.shape, mu_test.shape
    if sigma.shape != (n, d) or sigma_test.shape != (m, d_test) or d != d_test or m < 2:
        raise ValueError(
            "mu and sigma must be (n, d), mu_test and sigma_test (m, d) with m at least 2, "
            f"got {shapes}"
        )
    check_balls(mu, sigma)
    check_balls(mu_test, sigma_test, "_test")
    if mu.device.type == "mps":  # has no float64
        balls = {name: value.cpu() for name, value in balls.items()}
    mu, sigma, mu_test, sigma_test = (value.double() for value in balls.values())
    volume, rows = sigma.log().sum(1), max(1, PAIRS // mu.numel())
    generator = torch.Generator("cpu").manual_seed(seed)

    def log_ratio(z: Float[Tensor, "rows d"]) -> Float[Tensor, " rows"]:
        square = ((z[:, None] - mu) / sigma).square().sum(2)  # (rows, n)
        return (-square / 2 - volume).logsumexp(1) - math.log(n) + z.square().sum(1) / 2

    total = mu.new_zeros(m)
    for _ in range(draws):
        eps = torch.randn(m, d, generator=generator, dtype=torch.float64, device="cpu")
        z = mu_test + sigma_test * eps.to(mu.device)
        total += torch.cat([log_ratio(part) for part in z.split(rows)])
    return Estimate.of((total / draws).tolist())


def matched_correlation(
    d: int, *, quantile: float = 0.5, draws: int = 400, seed: int = 0
) -> Estimate:
    r"""Absolute correlations of matched latents of two codes that are rotations of one another.

    .. math:: |R_{i\pi(i)}|, \qquad \pi = \arg\max_\pi \sum_i |R_{i\pi(i)}|,
              \qquad R \text{ uniform on } O(d)

    Two seeds whose d latents, uncorrelated and of one variance, span the same space and share no
    axis: matching alone finds correlations far from 0, a median near .56 at d = 12. The value is
    the mean over ``draws`` rotations of this ``quantile`` over the d latents: 0.5 the median, 0 the
    smallest, 1 the largest. For infinitely many points: N of them add about :math:`1/\sqrt N`.
    ValueError for counts too small (2 draws at least) or a quantile outside [0, 1].
    Source: derived, see chapter 06; matching, Kuhn 1955.
    """
    check_whole("d", d), check_whole("draws", draws, 2)
    if not 0 <= check_number("quantile", quantile) <= 1:
        raise ValueError(f"quantile must lie in [0, 1], got {quantile}")
    found = []
    for rotation in _orthonormal(draws, d, d, torch.Generator("cpu").manual_seed(seed)):
        table = rotation.abs()
        rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
        found.append(table[rows, columns].quantile(quantile).item())
    return Estimate.of(found)


@torch.no_grad()
def neighbour_accuracy(
    labels: Int[Tensor, " n"], k: int = 5, *, draws: int = 10_000, seed: int = 0
) -> Estimate:
    r"""Share of points whose k nearest neighbours vote for the right label by chance.

    .. math:: P\big(\mathrm{mode}(y_{i_1}, \dots, y_{i_k}) = y_{i_0}\big)

    with :math:`i_0, \dots, i_k` different points drawn alike: what labels permuted over *any* codes
    give in expectation, since neighbours then carry the labels of a random choice. Ties go to the
    smallest label, as ``torch.mode`` counts. For k = 1 it is
    :math:`\sum_c n_c (n_c - 1) / (n (n - 1))`. The error is binomial, of ``draws`` draws. TypeError
    for labels that are not whole, ValueError for fewer than k + 1 of them.
    It counts, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: derived.
    """
    check_whole("k", k), check_whole("draws", draws, 2)
    if check_tensor("labels", labels).dtype not in WHOLE:
        raise TypeError(f"labels must hold whole numbers, got {labels.dtype}: give labels.long()")
    if labels.ndim != 1 or len(labels) <= k:
        raise ValueError(f"labels has shape {tuple(labels.shape)}: give (n,) with n above k = {k}")
    generator = torch.Generator("cpu").manual_seed(seed)
    known = labels.cpu()

    def hit() -> bool:
        chosen = known[_choose(len(known), k + 1, generator)]
        return bool(chosen[1:].mode().values == chosen[0])

    return Estimate.of([float(hit()) for _ in range(draws)])


def principal_angles(
    n: int, p: int, q: int | None = None, *, draws: int = 400, seed: int = 0
) -> list[Estimate]:
    r"""The angles, in radians, between two random subspaces of R^n, largest first.

    Of p and q dimensions (q = p if not given), uniformly oriented: min(p, q) angles as
    ``spd.principal_angles`` gives them, each the mean over ``draws`` pairs. In high dimensions
    random lines are nearly orthogonal, but subspaces are not: the mean of the squared cosines is
    :math:`\max(p, q) / n`, and p + q - n angles are 0 where that is positive.
    ValueError for p or q above n and counts too small. Source: Absil, Edelman, Koev 2006.
    """
    q = p if q is None else q
    check_whole("n", n), check_whole("p", p), check_whole("q", q), check_whole("draws", draws, 2)
    if max(p, q) > n:
        raise ValueError(f"p and q must be at most n = {n}, got {p} and {q}")
    generator = torch.Generator("cpu").manual_seed(seed)
    a, b = (_orthonormal(draws, n, size, generator) for size in (p, q))
    return [Estimate.of(angle) for angle in spd.principal_angles(a, b).T.tolist()]


class ChancePrecisionRecall(NamedTuple):
    """What a perfect sampler scores."""

    precision: Estimate
    recall: Estimate


@torch.no_grad()
def precision_recall(
    real: Float[Tensor, "pool *event"] | Callable[[int, torch.Generator], Tensor],
    n: int, m: int, k: int = 3, *, draws: int = 8, seed: int = 0,
) -> ChancePrecisionRecall:  # fmt: skip
    """``evaluation.precision_recall`` of n generated and m reference samples of one distribution.

    Neither is 1: a ball around m points' neighbours misses some of the law, the more the higher its
    dimension. ``real`` is either a set of at least n + m samples, split at random, or a sampler,
    ``real(size, generator)``. Each value is the mean over ``draws`` splits. Splits of one set
    overlap: the error is of the splitting, not of the set. ValueError for a set too small and
    whatever ``evaluation.precision_recall`` refuses. It counts, so it is not for ``torch.func``,
    ``torch.compile`` or ``torch.export``. Source: Kynkäänniemi et al. 2019 for the measure.
    """
    check_whole("n", n), check_whole("m", m), check_whole("draws", draws, 2)
    generator = torch.Generator("cpu").manual_seed(seed)
    if not callable(real):
        if check_real("real", real).ndim < 1 or len(real) < n + m:
            raise ValueError(
                f"real has shape {tuple(real.shape)}: n + m = {n + m} samples are needed"
            )
        check_finite(real=real)

    def both() -> Tensor:
        if callable(real):
            return real(n + m, generator)
        return real[_choose(len(real), n + m, generator).to(real.device)]

    found = []
    for _ in range(draws):
        generated, reference = both().split([n, m])
        found.append(samples.precision_recall(generated, reference, k))
    precision, recall = (Estimate.of(list(values)) for values in zip(*found, strict=True))
    return ChancePrecisionRecall(precision, recall)


def _orthonormal(
    draws: int, n: int, k: int, generator: torch.Generator
) -> Float[Tensor, "draws n k"]:
    """Orthonormal columns, uniformly oriented but for their signs, which nobody here looks at."""
    shape = draws, n, k
    return torch.linalg.qr(
        torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    )[0]


def _choose(n: int, k: int, generator: torch.Generator) -> Int[Tensor, " k"]:
    """k different indices below n."""
    return torch.randperm(n, generator=generator, device="cpu")[:k]
