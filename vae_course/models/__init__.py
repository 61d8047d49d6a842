r"""Models of images: a posterior, a decoder and an objective, nothing else.

Everything is per example, in the units of the distortion: ``loss = distortion + beta * rate``, the
rate in nats. With ``squared_error`` (a sum, no ½) this is -β times the ELBO, up to a constant, of
a Gaussian decoder of variance β/2.
"""

from vae_course import lazy

__all__ = lazy(__name__)
