"""Distortions: how far an image is from its reconstruction, and what that metric costs in nats."""

from vae_course import lazy

__all__ = lazy(__name__)
