r"""Codes as Gaussian balls: how far from the prior, how much they overlap, how tightly they pack.

A ball is a diagonal Gaussian :math:`N(\mu, \mathrm{diag}\,\sigma^2)` in :math:`d` dimensions, as an
encoder returns it. Everything is in nats, summed over the :math:`d` event dimensions.

The closed forms (``kl``, ``bhattacharyya``) are differentiable, work in the dtype of their input
and broadcast: ``mu[:, None]`` against ``mu[None]`` compares all pairs. The statistics of a whole
code (``nearest_overlap``, ``information``, ``coverage``) look at every pair of a sample and a ball,
``chunk`` pairs at a time, without gradient and in float64, in eager mode only; ``token_gap`` looks
at codes that are images. The closed forms work under ``torch.func``, ``torch.compile`` and
``torch.export``, where values are not checked.
"""

from vae_course import lazy

__all__ = lazy(__name__)
