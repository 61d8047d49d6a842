"""Molecules as strings: tokens, a VAE of token sequences and its shipped weights.

What chemistry says of the strings is in ``vae_course.molecules.chemistry``, which needs RDKit.
"""

from vae_course import lazy

__all__ = lazy(__name__)
