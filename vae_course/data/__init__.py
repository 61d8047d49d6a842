"""Data by name: ``load("digits")`` gives images in [0, 1], labels, origin and licence."""

from vae_course import lazy

__all__ = lazy(__name__)
