"""The autoencoder, plain and denoising: codes are points."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vae_course.arguments import check_number
from vae_course.models.base import LatentModel, LossTerms


class Autoencoder(LatentModel):
    r"""Codes are points: :math:`z = f(x)`, loss :math:`D(x, g(z))`. The rate is reported as 0.

    Built by ``Autoencoder.mlp(image_shape, d, hidden)``, ``Autoencoder.conv(image_shape, d,
    width)`` or from your own networks. Source: Rumelhart, Hinton and Williams 1986.
    """

    heads = 1

    def encode(self, x: Float[Tensor, "batch *image"]) -> Float[Tensor, "batch d"]:
        """The code z of each image."""
        self.check_shape(x)
        return self.encoder(x)

    def draw_noise(self, n: int, generator: Generator) -> Tensor | None:
        """Nothing: an autoencoder has no noise to draw."""
        return None

    def loss_terms(self, x: Float[Tensor, "..."], eps: Tensor | None = None) -> LossTerms:
        """Loss, distortion and rate (zeros) of each image."""
        z = self.encoder(x)
        distortion = self.distortion_of(x, z)
        return LossTerms(distortion, distortion, torch.zeros_like(distortion))


class DenoisingAutoencoder(Autoencoder):
    r"""An autoencoder that is shown noisy images and has to draw the clean ones.

    .. math:: L(x) = D\big(x, g(f(x + s\,\varepsilon))\big), \qquad \varepsilon \sim N(0, I)

    The noise is on the image and there in ``loss_terms`` alone: ``encode`` takes images as they
    are. Noisy pixels may leave [0, 1]; the distortion compares the clean ones. With s = 0 this is
    the ``Autoencoder``. The best linear one, for squared error, keeps the principal directions that
    ``d`` allows and shrinks each by :math:`\lambda / (\lambda + s^2)`, with λ the data's variance
    along it: the Wiener filter.

    Built by ``DenoisingAutoencoder.mlp(image_shape, d, hidden, noise=s)``, ``conv`` or from your
    own networks. ``noise``: the standard deviation s, in the unit of a pixel, at least 0
    (ValueError). Source: Vincent, Larochelle, Bengio and Manzagol 2008.
    """

    noise: Tensor

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, *, noise: float = 0.1, **rest: Any
    ) -> None:
        super().__init__(encoder, decoder, **rest)
        if check_number("noise", noise) < 0:
            raise ValueError(f"noise={noise}: must be finite and not negative (0: no noise)")
        # A buffer, so that it is saved with the weights, and an ensemble can hold one for each run.
        self.register_buffer("noise", torch.tensor(float(noise)))

    def draw_noise(self, n: int, generator: Generator) -> Float[Tensor, "n *image"]:
        """The eps of n images: standard normal, one number a pixel, on the generator's device."""
        device, dtype = generator.device, self.noise.dtype
        return torch.randn(n, *self.image_shape, generator=generator, device=device, dtype=dtype)

    def loss_terms(self, x: Float[Tensor, "..."], eps: Tensor | None = None) -> LossTerms:
        """Loss, distortion and rate (zeros) of each image, for one draw eps of the noise; without
        eps, of the images as they are."""
        noisy = x if eps is None else x + self.noise * eps
        distortion = self.distortion_of(x, self.encoder(noisy))
        return LossTerms(distortion, distortion, torch.zeros_like(distortion))
