"""The autoencoder: codes are points."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

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

    def draw_noise(self, n: int, generator: Generator) -> None:
        """Nothing: an autoencoder has no noise to draw."""

    def loss_terms(self, x: Float[Tensor, "..."], eps: None = None) -> LossTerms:
        """Loss, distortion and rate (zeros) of each image."""
        z = self.encoder(x)
        distortion = self.distortion(x, self.decoder(z))
        return LossTerms(distortion, distortion, torch.zeros_like(distortion))
