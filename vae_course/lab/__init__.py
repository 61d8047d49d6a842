"""A lab's apparatus: its start, its claims, its pictures."""

from vae_course import lazy

__all__ = lazy(__name__)
