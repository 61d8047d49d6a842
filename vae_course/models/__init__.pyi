from vae_course.models.autoencoder import (
    Autoencoder as Autoencoder,
    DenoisingAutoencoder as DenoisingAutoencoder,
)
from vae_course.models.base import LatentModel as LatentModel, LossTerms as LossTerms
from vae_course.models.code_prior import CodePrior as CodePrior
from vae_course.models.spherical import SphericalVAE as SphericalVAE, law as law
from vae_course.models.storage import load as load
from vae_course.models.vae import VAE as VAE, Posterior as Posterior
from vae_course.models.vqvae import VQVAE as VQVAE, Codes as Codes
