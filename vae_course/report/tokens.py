"""Moments of codes by channel and place, the noise taken in expectation."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vae_course.report.measures import Unmeasured

DEAD, LIVE = 0.01, 0.05
"""Nats a dimension: below the one a channel says nothing, above the other it is worth asking."""
VARIED = 0.3
"""Of the largest SD of a channel: points have no rate that says which channels are in use."""
GROUPS = 10


@dataclass(frozen=True, eq=False)
class Tokens:
    r"""The codes of n images as tokens: C numbers at each of P places; flat codes have one place.

    All are moments of :math:`z = \mu + \sigma\varepsilon`, but :math:`\varepsilon` is never drawn,

    .. math:: \langle z z^\top\rangle
              = \langle\mu\mu^\top\rangle + \mathrm{diag}\langle\sigma^2\rangle,

    which has the mean of what draws give, and less error.

    Args:
        mu, sigma: (n, C, \*places); sigma None for codes without noise.
    """

    mu: Tensor
    sigma: Tensor | None

    @cached_property
    def centres(self) -> Tensor:
        """(n, C, P)."""
        return self.mu.reshape(len(self.mu), self.mu.shape[1], -1)

    @cached_property
    def variances(self) -> Tensor:
        """sigma² of each, (n, C, P); 0 for codes without noise."""
        if self.sigma is None:
            return torch.zeros_like(self.centres)
        return self.sigma.reshape(self.centres.shape).square()

    @property
    def places(self) -> int:
        return self.centres.shape[2]

    @cached_property
    def first(self) -> Tensor:
        """Each image's mean over places, (n, C), float64."""
        return self.centres.mean(2, dtype=torch.float64)

    @cached_property
    def second(self) -> Tensor:
        """Each image's mean square about ``mean``, (n, C), float64."""
        away = self.centres - self.mean[:, None].to(self.centres.dtype)
        return (away.square() + self.variances).mean(2, dtype=torch.float64)

    @cached_property
    def mean(self) -> Tensor:
        """(C,), float64."""
        return self.first.mean(0)

    @cached_property
    def std(self) -> Tensor:
        """(C,), float64; the error of ``mean`` is added back."""
        n = len(self.first)
        lost = self.first.var(0) / n if n > 1 else 0.0
        return (self.second.mean(0) + lost).sqrt()

    @cached_property
    def group_sums(self) -> tuple[Tensor, Tensor, Tensor]:
        """Images, sum of tokens' means and of their squares about ``mean``, by tenths of the
        images: (g,), (g, C) and (g, C, C)."""
        n = len(self.mu)
        groups = min(GROUPS, n)
        counts, firsts, seconds = [], [], []
        for g in range(groups):
            away = self.centres[g::groups].double() - self.mean[:, None]
            noise = self.variances[g::groups].mean(2, dtype=torch.float64).sum(0)
            tokens = away.transpose(0, 1).flatten(1)
            counts.append(len(away))
            firsts.append(away.mean(2).sum(0))
            seconds.append(tokens @ tokens.mT / self.places + noise.diag())
        return (
            torch.tensor(counts, device="cpu").double(),
            torch.stack(firsts),
            torch.stack(seconds),
        )

    @cached_property
    def covariance(self) -> Tensor:
        """Of the C numbers of a token, (C, C), float64."""
        return self.second_moment(*(part.sum(0) for part in self.group_sums))

    @staticmethod
    def second_moment(count: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """The covariance that sums over images give."""
        mean = first / count
        return second / count - torch.outer(mean, mean)

    def quadratic(self, rows: Tensor) -> Tensor:
        r"""tr(W M_i Wᵀ) of each image's second moment M_i about ``mean``, (n,); W (k, C)."""
        away = self.centres - self.mean[:, None].to(self.centres.dtype)
        turned = torch.einsum("kc,ncp->nkp", rows.to(away.dtype), away)
        noise = self.variances.mean(2, dtype=torch.float64) @ rows.square().sum(0)
        return turned.square().sum((1, 2), dtype=torch.float64) / self.places + noise

    @cached_property
    def number(self) -> float:
        """How many independent Gaussian tokens would show the channels' variances as exactly:
        neighbours are alike, and the expectation over the noise makes up for some."""
        spread = self.second.var(0)
        independent = 2 * self.second.mean(0).square() / spread.clamp_min(1e-300) * len(self.mu)
        return min(independent.median().item(), len(self.mu) * self.places)

    # --- what codes cost, nats --------------------------------------------------------------------
    @cached_property
    def rates(self) -> Tensor:
        """KL from N(0, 1) of each latent, (n, C, P); ``Unmeasured`` where a sigma is no length."""
        if self.sigma is None:
            raise Unmeasured("the encoder gives no σ")
        wrong = (self.variances <= 0) | (self.sigma.reshape(self.centres.shape) < 0)
        if wrong.any():
            share = wrong.double().mean().item()
            raise Unmeasured(f"σ is not positive for {share:.2g} of all latents")
        return (self.centres.square() + self.variances - 1 - self.variances.log()) / 2

    @cached_property
    def channel_rates(self) -> Tensor:
        """Nats a dimension of each channel, (C,), float64."""
        return self.rates.mean((0, 2), dtype=torch.float64)

    @cached_property
    def live(self) -> Tensor:
        """Channels that cost something, the dearest first; without noise, those that vary most."""
        if self.sigma is None:
            worth, least = self.std, VARIED * self.std.max().item()
        else:
            worth, least = self.channel_rates, LIVE
        order = worth.argsort(descending=True)
        return order[worth[order] > least]
