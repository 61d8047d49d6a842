r"""Many balls together: their overlap, what they tell, how much of the prior they cover.

Counted in float64 whatever the input: :math:`(z - \mu)/\sigma` with :math:`\mu \approx 3` and
:math:`\sigma \approx 10^{-3}` keeps only three digits in float32.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vae_course.arguments import check_alike, check_number, check_real, check_whole
from vae_course.gaussian.divergence import bhattacharyya_distance, check_balls


def _code(
    mu: Tensor, sigma: Tensor, least: int, code_ndim: int
) -> tuple[Tensor, Tensor, torch.Size]:
    """Checked, in float64, flattened to (members, N, d); and the batch shape to return to."""
    check_real("mu", mu)
    check_real("sigma", sigma)
    check_alike(mu=mu, sigma=sigma)
    n = -1 - check_whole("code_ndim", code_ndim)
    if mu.shape != sigma.shape or mu.ndim < -n or mu.shape[n] < least:
        code = "d" if code_ndim == 1 else f"{code_ndim} axes of a code"
        raise ValueError(
            f"mu and sigma must be (*batch, N, {code}) with N at least {least}, "
            f"got {tuple(mu.shape)} and {tuple(sigma.shape)}"
        )
    check_balls(mu, sigma)
    mu, sigma = mu.flatten(-code_ndim), sigma.flatten(-code_ndim)
    if mu.device.type == "mps":  # Apple's GPUs have no float64
        mu, sigma = mu.cpu(), sigma.cpu()
    members = (-1, *mu.shape[-2:])
    return mu.double().reshape(members), sigma.double().reshape(members), mu.shape[:-2]


def _normal(n: int, d: int, generator: torch.Generator, device: torch.device) -> Tensor:
    # Drawn on the CPU: one seed gives one set of draws on every machine.
    return torch.randn(n, d, generator=generator, dtype=torch.float64, device="cpu").to(device)


def _rows(rows: int, per_row: int, chunk: int) -> Iterator[slice]:
    step = max(1, chunk // per_row)
    return (slice(i, min(i + step, rows)) for i in range(0, rows, step))


def _squared_mahalanobis(
    z: Float[Tensor, "rows d"], mu: Float[Tensor, "n d"], sigma: Float[Tensor, "n d"]
) -> Float[Tensor, "rows n"]:
    """Squared distance of each z to each centre, in units of that ball's sigma.

    Differences first. The expanded square, one matrix product, is about 6 times faster but loses
    (mu / sigma)^2 roundings: 1e-3 nats in float64 at mu = 3, sigma = 1e-5, and 50 nats in float32
    at sigma = 1e-3.
    """
    total = z.new_zeros(len(z), len(mu))
    for j in range(z.shape[-1]):  # one latent at a time: no (rows, n, d) tensor
        t = (z[:, j, None] - mu[:, j]) / sigma[:, j]
        total.addcmul_(t, t)
    return total


@torch.no_grad()
def nearest_overlap(
    mu: Float[Tensor, "*batch_n_code"], sigma: Float[Tensor, "*batch_n_code"],
    *, codes: int = 300, seed: int = 0, chunk: int = 2**18, code_ndim: int = 1,
) -> Float[Tensor, "*batch codes"]:  # fmt: skip
    r"""Overlap of random codes with their nearest neighbour; its mean is the course's nn-BC.

    .. math:: \max_{j \ne i} \mathrm{BC}(q_i, q_j)

    ``codes`` indices i (all, if N is smaller) are chosen without replacement by ``seed``, the
    same ones for every member of the batch; j runs over all N. ``chunk`` bounds the pairs held at
    once, ``code_ndim`` is as in ``information``. Returns float64. Raises as ``information`` does.
    It counts, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: derived, see chapter 04.
    """
    check_whole("codes", codes)
    check_whole("chunk", chunk)
    mu, sigma, batch = _code(mu, sigma, 2, code_ndim)
    n, d = mu.shape[1:]
    generator = torch.Generator("cpu").manual_seed(seed)
    chosen = torch.randperm(n, generator=generator, device="cpu")[:codes].to(mu.device)

    def nearest(m: Tensor, s: Tensor, i: Int[Tensor, " rows"]) -> Tensor:
        distance = bhattacharyya_distance(m[i, None], s[i, None], m, s, check=False)  # (rows, n)
        distance[torch.arange(len(i), device=i.device), i] = math.inf  # not its own neighbour
        return (-distance.amin(-1)).exp()

    rows = list(_rows(len(chosen), n * d, chunk))
    values = [nearest(m, s, chosen[r]) for m, s in zip(mu, sigma, strict=True) for r in rows]
    return torch.cat(values).reshape(*batch, len(chosen))


class Information(NamedTuple):
    """Where the rate goes, KL = I + gap, in nats; each error is one Monte Carlo standard error."""

    kl: Tensor
    r"""The rate, mean of :math:`\log q(z|x) / p(z)`."""
    mutual: Tensor
    r"""What z tells about x, mean of :math:`\log q(z|x) / \bar q(z)`, at most ``log_n``."""
    gap: Tensor
    r"""From the balls together to the prior, mean of :math:`\log \bar q(z) / p(z)`."""
    kl_error: Tensor
    mutual_error: Tensor
    gap_error: Tensor
    n: int
    """Number of balls."""

    @property
    def log_n(self) -> float:
        """What it takes to name one ball of N."""
        return math.log(self.n)

    @property
    def n_effective(self) -> Tensor:
        r"""Number of balls that can be told apart, :math:`e^I`: from 1 (collapsed) to N."""
        return self.mutual.exp()

    @property
    def overlap(self) -> Tensor:
        r""":math:`1 - I / \log N`: 0 when all balls are apart, 1 when they coincide."""
        return 1 - self.mutual / self.log_n


@torch.no_grad()
def information(
    mu: Float[Tensor, "*batch_n_code"], sigma: Float[Tensor, "*batch_n_code"],
    *, draws: int = 1, seed: int = 0, chunk: int = 2**18, code_ndim: int = 1,
) -> Information:  # fmt: skip
    r"""Splits the mean rate of N balls into mutual information and gap (ELBO surgery).

    .. math:: \underbrace{E \log\frac{q(z|x)}{p(z)}}_{\mathrm{KL}} =
              \underbrace{E \log\frac{q(z|x)}{\bar q(z)}}_{I} +
              \underbrace{E \log\frac{\bar q(z)}{p(z)}}_{\mathrm{gap}},
              \qquad \bar q = \frac1N \sum_i q(\cdot|x_i),\quad z = \mu + \sigma\varepsilon

    The mixture includes a sample's own ball, so :math:`\bar q \ge q/N`: :math:`I \le \log N` and
    gap :math:`\ge` KL :math:`- \log N` hold for every single draw, not only on average.

    The N balls are taken as given: the errors speak of the draws, not of the choice of images.
    From two draws on they come from the spread within each ball. With one draw only the spread
    over the balls is seen, which is larger, so that the errors err on the safe side; but close to
    log N what is missing comes from rare draws, and ``mutual_error`` can be too small. For digits
    (N = 1,257, d = 8) one draw leaves a standard error of about 0.04 nats.

    From about a hundred dimensions on it is **saturated** for any code in use: no two balls meet,
    I = log N, gap = KL - log N, whatever the encoder. Of codes that are images take ``token_gap``,
    which asks the same of the vectors at their places.

    Args:
        mu: centres, ``(*batch, N, d)`` or ``(*batch, N, *code)``, N at least 2.
        sigma: standard deviations, the same shape.
        draws: samples a ball.
        seed: of the samples; every member of the batch gets the same ones, so that differences
            between members (over beta, say) are less noisy than the members.
        chunk: pairs of a sample and a ball held at once, about 30 bytes each. The default fits a
            processor's cache; raise it on a GPU, where it only has to fit the memory.
        code_ndim: how many axes a code has: 1 for vectors, 3 for images (C, H, W). What stands
            before N is an ensemble, each member by itself.

    Returns:
        ``Information`` with float64 fields of shape ``(*batch,)``.

    Raises:
        TypeError: what is no floating-point tensor; ``draws`` or ``chunk`` that are no ints.
        ValueError: shapes, dtypes or devices that differ, N < 2, ``sigma`` not positive and finite,
            ``mu`` not finite, ``draws``, ``chunk`` or ``code_ndim`` < 1.

    It counts, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``.

    Source: Hoffman and Johnson 2016; the bounds are derived in chapter 04.
    """
    check_whole("draws", draws)
    check_whole("chunk", chunk)
    mu, sigma, batch = _code(mu, sigma, 2, code_ndim)
    n, d = mu.shape[1:]
    generator = torch.Generator("cpu").manual_seed(seed)
    rate = mu.new_empty(len(mu), draws, n)
    mutual = torch.empty_like(rate)
    for t in range(draws):
        eps = _normal(n, d, generator, mu.device)
        for k, (m, s) in enumerate(zip(mu, sigma, strict=True)):
            z, log_s = m + s * eps, s.log().sum(-1)
            rate[k, t] = 0.5 * (z * z - eps * eps).sum(-1) - log_s
            for r in _rows(n, n, chunk):
                log_q = -0.5 * _squared_mahalanobis(z[r], m, s) - log_s  # of z_i under ball j
                own = log_q.diagonal(r.start)[:, None]
                # The own ball contributes exp(0): the logsumexp is >= 0, in floating point too.
                mutual[k, t, r] = math.log(n) - (log_q - own).logsumexp(-1)

    def mean_and_error(value: Tensor) -> tuple[Tensor, Tensor]:  # value: (members, draws, n)
        variance = value.var(-2).mean(-1) if draws > 1 else value.var(-1).mean(-1)
        error = (variance / (draws * n)).sqrt()
        return value.mean((-2, -1)).reshape(batch), error.reshape(batch)

    (kl, kl_error), (i, i_error), (gap, gap_error) = map(
        mean_and_error, (rate, mutual, rate - mutual)
    )
    return Information(kl, i, gap, kl_error, i_error, gap_error, n)


@torch.no_grad()
def coverage(
    mu: Float[Tensor, "*batch_n_code"], sigma: Float[Tensor, "*batch_n_code"],
    *, quantile: float = 0.95, draws: int = 1000, seed: int = 0, chunk: int = 2**18,
    code_ndim: int = 1,
) -> Float[Tensor, "*batch"]:  # fmt: skip
    r"""Share of the prior that lies inside some ball: where the decoder has been trained.

    .. math:: P_{z \sim N(0, I)}\Big(\min_i \sum_j \frac{(z_j - \mu_{ij})^2}{\sigma_{ij}^2}
              \le \chi^2_{d,\,\mathrm{quantile}}\Big)

    A ball ends where it holds ``quantile`` of its own mass. Standard error
    :math:`\sqrt{p(1-p)/\mathrm{draws}}`; the draws are the same for every member of the batch.
    Collapsed codes cover the prior perfectly: read it beside ``information``; from about a hundred
    dimensions on it is 0 for any code in use. ``code_ndim`` as in ``information``. Returns float64.
    Raises as ``information`` does (one ball is enough here), and ValueError for a ``quantile``
    outside (0, 1). It counts, so it is not for ``torch.func``, ``torch.compile`` or
    ``torch.export``.
    Source: derived, see chapter 04.
    """
    check_whole("draws", draws)
    check_whole("chunk", chunk)
    if not 0 < check_number("quantile", quantile) < 1:
        raise ValueError(f"quantile must be in (0, 1), got {quantile}")
    mu, sigma, batch = _code(mu, sigma, 1, code_ndim)
    n, d = mu.shape[1:]
    z = _normal(draws, d, torch.Generator("cpu").manual_seed(seed), mu.device)
    half = torch.tensor(d / 2, dtype=torch.float64, device=mu.device)

    def inside(m: Tensor, s: Tensor, r: slice) -> Tensor:
        nearest = _squared_mahalanobis(z[r], m, s).amin(-1)
        return torch.special.gammainc(half, nearest / 2) <= quantile  # chi-squared CDF

    rows = list(_rows(draws, n, chunk))
    hits = [inside(m, s, r) for m, s in zip(mu, sigma, strict=True) for r in rows]
    return torch.cat(hits).double().reshape(*batch, draws).mean(-1)
