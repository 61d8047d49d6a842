"""Codes on a sphere: exact distributions with the API of ``torch.distributions``, and geometry.

``d`` is always the ambient dimension: a code is a unit vector of R^d. Densities are with respect
to the sphere's area, in nats. Each law samples with pathwise gradients and has an exact KL to
``SphericalUniform`` through ``torch.distributions.kl_divergence``.
"""

from vae_course.sphere.cauchy import SphericalCauchy
from vae_course.sphere.cauchy_rate import cauchy_kl, cauchy_mean_cosine
from vae_course.sphere.coverage import Coverage, coverage
from vae_course.sphere.geometry import (
    angle,
    check_loc,
    hyperbolic_distance,
    moebius,
    normalise,
    slerp,
    unit_sphere,
)
from vae_course.sphere.law import SphericalLaw, log_area
from vae_course.sphere.matching import FAMILIES, check_family, from_stretch, matched
from vae_course.sphere.power_spherical import PowerSpherical
from vae_course.sphere.uniform import SphericalUniform
from vae_course.sphere.von_mises_fisher import VonMisesFisher

__all__ = [
    "SphericalUniform",
    "SphericalCauchy",
    "VonMisesFisher",
    "PowerSpherical",
    "FAMILIES",
    "SphericalLaw",
    "check_family",
    "matched",
    "from_stretch",
    "Coverage",
    "coverage",
    "cauchy_kl",
    "cauchy_mean_cosine",
    "log_area",
    "angle",
    "check_loc",
    "hyperbolic_distance",
    "moebius",
    "normalise",
    "slerp",
    "unit_sphere",
]
