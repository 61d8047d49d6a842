"""Codes on a sphere: exact distributions with the API of ``torch.distributions``, and geometry.

``d`` is always the ambient dimension: a code is a unit vector of R^d. Densities are with respect
to the sphere's area, in nats. Each law samples with pathwise gradients and has an exact KL to
``SphericalUniform`` through ``torch.distributions.kl_divergence``; there are closed forms from
``SphericalUniform`` to each too, and between two of a kind, but for Power Spherical.
``torch.distributions.transform_to(unit_sphere)`` is ``normalise``.

``loc``, the directions, decides dtype and device of a law; its number is a Python number or a
tensor that broadcasts with the batch. Types, shapes and devices are always checked, values in
eager mode only. All but ``coverage`` and ``matched``, which look at numbers, works under
``torch.func`` (forward mode and nesting too), ``torch.compile`` and ``torch.export``; a
``torch.func`` transform inside of ``torch.compile`` breaks its graph. Autocast changes no number.
"""

from vae_course import lazy

__all__ = lazy(__name__)
