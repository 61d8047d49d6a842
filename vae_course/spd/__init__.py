r"""Latent tensors as matrices: covariances of their modes, ranks, distances, kernels, angles.

An m x n x k latent, channels last, becomes three symmetric positive semi-definite matrices, points
on a product of strata. Matrices are (\*batch, n, n), float32 or float64, and are refused with a
ValueError that names the first bad one when they are not what a function needs.
"""

from vae_course import lazy

__all__ = lazy(__name__)
