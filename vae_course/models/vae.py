"""The variational autoencoder: codes are Gaussian balls."""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vae_course.models.base import LatentModel, LossTerms, check_beta, check_rate, one_generator


class Posterior(NamedTuple):
    """The ball q(z|x) = N(mu, diag(sigma²)) of each image."""

    mu: Float[Tensor, "*batch d"]
    sigma: Float[Tensor, "*batch d"]


class VAE(LatentModel):
    r"""Codes are balls: a diagonal Gaussian posterior, any distortion, and β times the rate.

    .. math:: L(x) = D(x, g(\mu + \sigma \varepsilon)) + \beta\, \mathrm{KL}(q(z|x) \| N(0, I)),
              \qquad \varepsilon \sim N(0, I)

    Built by ``VAE.mlp(image_shape, d, hidden, beta=...)``, ``VAE.conv(image_shape, d, width,
    beta=...)`` or from your own networks, whose encoder then gives 2d numbers: mu, log sigma².
    ``beta`` ≥ 0 in units of the distortion per nat (ValueError otherwise). With an
    ``initial_rate`` > 0, in nats, log sigma² is what the encoder gives plus the constant at which
    a ball around 0 costs that much; ``mlp`` and ``conv`` start with sigma there for every image,
    so that the rate starts above it by the small mean of mu²/2 alone. Without one (None) sigma
    starts near 1, where a ball costs next to nothing. Two ablations, for
    chapters 02 and 03: with ``sampling=False`` the decoder is trained on mu alone, with
    ``pull=False`` the rate leaves out mu²/2, and is no KL divergence any more.
    Source: Kingma and Welling 2014; β: Higgins et al. 2017.
    """

    heads = 2
    beta: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        beta: float = 0.1,
        sampling: bool = True,
        pull: bool = True,
        initial_rate: float | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(encoder, decoder, **rest)
        self.sampling, self.pull, self.initial_rate = sampling, pull, initial_rate
        check_beta(beta)
        self._offset = 0.0
        if initial_rate is not None:
            check_rate(initial_rate)
            self._offset = log_variance_at(initial_rate / self.d)
        # A buffer, so that it is saved with the weights, and an ensemble can hold one for each run.
        self.register_buffer("beta", torch.tensor(float(beta)))

    @torch.no_grad()
    def start_rate(self, last: Any) -> None:
        """With an ``initial_rate``: the same sigma for every image, in any dimension."""
        if self.initial_rate is not None:
            last.weight[self.d :] = 0
            last.bias[self.d :] = 0

    def posterior(self, x: Float[Tensor, "..."]) -> tuple[Tensor, Tensor]:
        """mu and log sigma², (\\*batch, d) each, from one linear layer."""
        # The .to() matters under bf16 only: the rate is then still summed in float32.
        mu, log_variance = self.encoder(x).to(x.dtype).chunk(2, dim=-1)
        if self._offset:
            log_variance = log_variance + self._offset
        # sigma stays in [4.5e-5, 2.2e4], so that it, its square and its inverse are finite in
        # float32 however extreme the encoder's output; trained models are far from either end.
        return mu, log_variance.clamp(-20, 20)

    def encode(self, x: Float[Tensor, "batch *image"]) -> Posterior:
        """The ball (mu, sigma) of each image, (batch, d) each; sigma in [4.5e-5, 2.2e4]."""
        self.check_shape(x)
        mu, log_variance = self.posterior(x)
        return Posterior(mu, (log_variance / 2).exp())

    def draw_noise(self, n: int, generator: Generator) -> Float[Tensor, "n d"]:
        """The eps of n images: standard normal, (n, d), on the generator's device."""
        device, dtype = generator.device, self.beta.dtype
        return torch.randn(n, self.d, generator=generator, device=device, dtype=dtype)

    def loss_terms(self, x: Float[Tensor, "..."], eps: Float[Tensor, "*batch d"]) -> LossTerms:
        """Loss, distortion and rate (nats) of each image, for one draw eps of the noise."""
        mu, log_variance = self.posterior(x)
        sigma = (log_variance / 2).exp()
        z = torch.addcmul(mu, sigma, eps) if self.sampling else mu  # mu + sigma * eps, (*batch, d)
        distortion = self.distortion_of(x, z)
        # KL(q(z|x) || N(0, I)), summed over the latent dimensions
        pull = mu * mu if self.pull else 0.0  # its gradient is cheaper than square()'s
        rate = (pull + sigma * sigma - 1 - log_variance).sum(-1) / 2
        return LossTerms(distortion + self.beta * rate, distortion, rate)

    @torch.no_grad()
    def sample(
        self, n: int, generator: Generator | None = None, *, seed: int | None = None
    ) -> Float[Tensor, "n *image"]:
        """n images decoded from the prior N(0, I); give a generator or a seed (else ValueError)."""
        return self.decode(self.draw_noise(n, one_generator(generator, seed, self.beta.device)))


def log_variance_at(rate: float) -> float:
    """The log sigma² < 0 at which a ball around 0 costs ``rate`` > 0 nats a dimension.

    It is the negative root s of (e^s - 1 - s) / 2 = rate, by Newton from its left: it can't miss.
    ValueError above 9.5 nats, where sigma ends.
    """
    if rate > 9.5:
        raise ValueError(
            f"initial_rate is {rate:.4g} nats for each dimension: sigma ends at 9.5; give less"
        )
    s = -1 - 2 * rate
    for _ in range(100):
        s -= (math.expm1(s) - s - 2 * rate) / math.expm1(s)
    return s
