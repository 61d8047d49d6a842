r"""Codes as Gaussian balls: how far from the prior, how much they overlap, how tightly they pack.

A ball is a diagonal Gaussian :math:`N(\mu, \mathrm{diag}\,\sigma^2)` in :math:`d` dimensions, as an
encoder returns it. Everything is in nats, summed over the :math:`d` event dimensions.

The closed forms (``kl``, ``bhattacharyya``) are differentiable, work in the dtype of their input
and broadcast: ``mu[:, None]`` against ``mu[None]`` compares all pairs. The statistics of a whole
code (``nearest_overlap``, ``information``, ``coverage``) look at every pair of a sample and a ball,
``chunk`` pairs at a time, without gradient and in float64.
"""

from vae_course.gaussian.conventions import convert_beta
from vae_course.gaussian.divergence import (
    bhattacharyya,
    bhattacharyya_distance,
    kl,
    kl_to_standard_normal,
)
from vae_course.gaussian.packing import Information, coverage, information, nearest_overlap
from vae_course.gaussian.radius import Shell, shell, shell_mass

__all__ = [
    "kl_to_standard_normal",
    "kl",
    "bhattacharyya",
    "bhattacharyya_distance",
    "Shell",
    "shell",
    "shell_mass",
    "Information",
    "information",
    "nearest_overlap",
    "coverage",
    "convert_beta",
]
