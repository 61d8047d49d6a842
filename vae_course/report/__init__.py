"""The geometry of any trained VAE on one page: ``report(encode, decode, images)``."""

from vae_course import lazy

__all__ = lazy(__name__)
