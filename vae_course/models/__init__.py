r"""Models of images: a posterior, a decoder and an objective, nothing else.

Everything is per example, in the units of the distortion: ``loss = distortion + beta * rate``, the
rate in nats. With ``squared_error`` (a sum, no ½) this is -β times the ELBO, up to a constant, of
a Gaussian decoder of variance β/2.
"""

from vae_course.models.autoencoder import Autoencoder, DenoisingAutoencoder
from vae_course.models.base import LatentModel, LossTerms
from vae_course.models.code_prior import CodePrior
from vae_course.models.spherical import SphericalVAE, law
from vae_course.models.storage import load
from vae_course.models.vae import VAE, Posterior
from vae_course.models.vqvae import VQVAE, Codes

__all__ = [
    "LatentModel",
    "LossTerms",
    "Autoencoder",
    "DenoisingAutoencoder",
    "Posterior",
    "VAE",
    "Codes",
    "VQVAE",
    "CodePrior",
    "SphericalVAE",
    "law",
    "load",
]
