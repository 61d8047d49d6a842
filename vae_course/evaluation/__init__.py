"""Is it real, how likely, how sure? Samples, bounds and intervals, for any model."""

from vae_course import lazy

__all__ = lazy(__name__)
