"""Codes on a sphere: exact distributions with the API of ``torch.distributions``, and geometry.

``d`` is always the ambient dimension: a code is a unit vector of R^d. Densities are with respect
to the sphere's area, in nats. Each law samples with pathwise gradients and has an exact KL to
``SphericalUniform`` through ``torch.distributions.kl_divergence``.
"""

from vae_course import lazy

__all__ = lazy(__name__)
