"""Train one model or a whole grid of them: resumable, the same numbers every time."""

from vae_course import lazy

__all__ = lazy(__name__)
