"""Distortions: how far an image is from its reconstruction, and what that metric costs in nats."""

from vae_course.distortion.adversarial import (
    Adversarial,
    SpectralConv2d,
    hinge,
    patch_discriminator,
)
from vae_course.distortion.names import NAMED, named
from vae_course.distortion.perceptual import Feature, edge, feature, ssim
from vae_course.distortion.pixel import Distortion, bernoulli, squared_error
from vae_course.distortion.rate_distortion import RateDistortion, blahut_arimoto
from vae_course.distortion.scale import Combined, combine, lipschitz_squared, null_scale
from vae_course.distortion.spectrum import (
    metric_spectrum,
    participation_ratio,
    posterior_anisotropy,
)
from vae_course.distortion.water_filling import (
    WaterFilling,
    beta_at_rate,
    rate_at_beta,
    reverse_water_filling,
)

__all__ = [
    "Distortion",
    "NAMED",
    "named",
    "squared_error",
    "bernoulli",
    "ssim",
    "edge",
    "Feature",
    "feature",
    "Adversarial",
    "SpectralConv2d",
    "patch_discriminator",
    "hinge",
    "Combined",
    "combine",
    "null_scale",
    "lipschitz_squared",
    "WaterFilling",
    "reverse_water_filling",
    "rate_at_beta",
    "beta_at_rate",
    "RateDistortion",
    "blahut_arimoto",
    "metric_spectrum",
    "posterior_anisotropy",
    "participation_ratio",
]
