"""The spherical VAE: codes are laws on the unit sphere, and none is far from the prior."""

import math
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vae_course.models.base import LatentModel, LossTerms, check_beta, check_rate, one_generator
from vae_course.sphere import (
    SphericalCauchy,
    SphericalLaw,
    SphericalUniform,
    check_family,
    from_stretch,
    matched,
    normalise,
)

# Codes with half-angles of e^-10 at the least: where a VAE's sigma ends too, far from any trained.
MOST_STRETCH = 10.0


def law(
    features: Float[Tensor, "*batch features"], family: str, initial_rate: float
) -> SphericalLaw:
    r"""The law on the sphere of R^d that an encoder's d + 1 numbers stand for.

    .. math:: \mu = h_{1:d} / \|h_{1:d}\|, \qquad u = \mathrm{softplus}(c + h_{d+1})

    u is the stretch of ``sphere.from_stretch``, the same scale for all families, and c the constant
    at which the rate is ``initial_rate``: so at :math:`h_{d+1} = 0` all families cost alike, and
    from there all move at one speed. u ends at 10, a cap of 1e-4 radians, where its gradient does
    too; a direction of length 0 becomes the first axis.

    Args:
        features: (..., d + 1) with d >= 2, as the encoder's last layer gives them; any finite
            numbers are safe, and an infinite last one too. NaN stays NaN: in the code, if not in
            the rate.
        family: ``"cauchy"``, ``"vmf"`` or ``"power"``.
        initial_rate: nats, positive. c is solved in float64, and the rate at 0 met to rounding.

    Raises:
        ValueError: for an unknown family, a rate out of range or beyond the stretch of 10, or
            fewer than 3 features.
    """
    offset = offset_of(family, features.shape[-1] - 1, initial_rate)
    loc, u = direction_and_stretch(features, offset)
    return from_stretch(family, loc, u, validate_args=False)


def direction_and_stretch(
    features: Float[Tensor, "*batch features"], offset: Tensor | float
) -> tuple[Float[Tensor, "*batch d"], Float[Tensor, "*batch"]]:
    """What ``from_stretch`` makes a law of; ``offset`` is the family's, see ``offset_of``."""
    d = features.shape[-1] - 1
    u = nn.functional.softplus(features[..., d] + offset)
    return normalise(features[..., :d]), u.clamp_max(MOST_STRETCH)


@lru_cache(maxsize=256)
def offset_of(family: str, d: int, initial_rate: float) -> float:
    """The constant c of ``law``."""
    check_family(family)
    check_rate(initial_rate)
    if d < 2:
        raise ValueError(
            f"features end in {d + 1} numbers: give d + 1 of them, the direction's d >= 2 and one "
            "for the concentration"
        )
    with torch.inference_mode(False):
        first = torch.eye(1, d, dtype=torch.float64, device="cpu")[0]
        found = matched(family, first, rate=initial_rate)
    if isinstance(found, SphericalCauchy):
        u = found.r.item()
    else:
        ratio = 2 * found.concentration.item() / (d - 1)
        u = 0.5 * (math.asinh(ratio) if family == "vmf" else math.log1p(ratio))
    if u >= MOST_STRETCH:
        raise ValueError(
            f"initial_rate={initial_rate} nats on the sphere of R^{d}: more than a code of "
            f"{family!r} can cost here; give less than {initial_rate * MOST_STRETCH / u:.3g}"
        )
    return u + math.log(-math.expm1(-u))  # softplus of it is u


class SphericalVAE(LatentModel):
    r"""Codes are laws on the sphere: any of three families, any distortion, and β times the rate.

    .. math:: L(x) = D(x, g(z)) + \beta\, \mathrm{KL}(q(z|x) \| U(S^{d-1})), \qquad z \sim q(z|x)

    d is the ambient dimension: codes are unit vectors of R^d. The prior is uniform, so it pulls no
    code towards any place. Built by ``SphericalVAE.mlp(image_shape, d, hidden, family=...)``,
    ``SphericalVAE.conv(image_shape, d, width, family=...)`` or from your own networks, whose
    encoder then gives the d + 1 numbers of ``law``. ``family``: ``"cauchy"``, ``"vmf"`` or
    ``"power"``; ``beta`` >= 0 in units of the distortion per nat; ``initial_rate``, in nats: what
    every code costs at the start with ``mlp`` and ``conv``, whatever the family. ValueError for
    values out of range. Both also multiply the decoder's first weights by :math:`\sqrt d`, once:
    see ``start_decoder``. ``sweep(..., families=...)`` trains all families at once.
    Source: Davidson et al. 2018 (vmf), De Cao and Aziz 2020 (power), Sablica and Hornik 2025
    (cauchy).
    """

    beta: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        family: str = "cauchy",
        beta: float = 0.1,
        initial_rate: float = 1.0,
        **rest: Any,
    ) -> None:
        super().__init__(encoder, decoder, **rest)
        check_beta(beta)
        self.family, self.initial_rate = family, initial_rate
        self.noise_dim = law(torch.zeros(self.d + 1), family, initial_rate).noise_dim
        self.register_buffer("beta", torch.tensor(float(beta)))

    @classmethod
    def outputs(cls, d: int) -> int:
        """A direction and one number for its concentration, d + 1."""
        return d + 1

    @torch.no_grad()
    def start_rate(self, last: Any) -> None:
        """The same concentration for every image; directions stay as they were drawn."""
        last.weight[self.d] = 0
        last.bias[self.d] = 0

    @torch.no_grad()
    def start_decoder(self, first: Any) -> None:
        r"""First weights times :math:`\sqrt d`: unit vectors drive them as N(0, I) would.

        A code's coordinates are of size :math:`1/\sqrt d`, a ball's of size 1. A decoder with the
        usual first weights hardly hears the sphere's, and learns late that they say anything.
        """
        first.weight *= math.sqrt(self.d)

    def features(self, x: Float[Tensor, "..."]) -> Float[Tensor, "*batch features"]:
        """The encoder's d + 1 numbers for each image, which ``law`` reads."""
        return self.encoder(x).to(x.dtype)  # matters under bf16 only

    def posterior(self, x: Float[Tensor, "..."]) -> SphericalLaw:
        """The law q(z|x) of each image, its batch that of x."""
        return law(self.features(x), self.family, self.initial_rate)

    def encode(self, x: Float[Tensor, "batch *image"]) -> SphericalLaw:
        """The law of each image: one distribution of batch shape (batch,), event shape (d,)."""
        self.check_shape(x)
        return self.posterior(x)

    def draw_noise(self, n: int, generator: Generator) -> Float[Tensor, "n noise_dim"]:
        """The eps of n images, standard normal: what ``law.transport`` makes codes of."""
        device, dtype = generator.device, self.beta.dtype
        return torch.randn(n, self.noise_dim, generator=generator, device=device, dtype=dtype)

    def loss_terms(
        self, x: Float[Tensor, "..."], eps: Float[Tensor, "*batch noise_dim"]
    ) -> LossTerms:
        """Loss, distortion and rate (nats) of each image, for one draw eps of the noise."""
        q = self.posterior(x)
        distortion, rate = self.distortion_of(x, q.transport(eps)), q.kl_to_uniform()
        return LossTerms(distortion + self.beta * rate, distortion, rate)

    @torch.no_grad()
    def sample(
        self, n: int, generator: Generator | None = None, *, seed: int | None = None
    ) -> Float[Tensor, "n *image"]:
        """n images decoded from the uniform prior; give a generator or a seed (else ValueError)."""
        device, dtype = self.beta.device, self.beta.dtype
        prior = SphericalUniform(self.d, dtype=dtype, device=device, validate_args=False)
        return self.decode(prior.sample((n,), one_generator(generator, seed, device)))
