"""The geometry of VAE latents: the library under the course's labs, chapters and exercises."""

__version__ = "0.1.0"
