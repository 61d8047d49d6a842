r"""Codes that are centres: vector quantisation, finite scalar quantisation, how a codebook is used.

A quantizer is called on vectors (..., D) and gives ``Quantized(quantized, indices, loss)``: the
centre that stands for each vector, with the gradient passed straight through; the centre's number;
and what it costs the encoder to be away from it, a squared error summed over D. It knows tensors
only: put one into a model of your own, or take ``vae_course.models.VQVAE``.
"""

from vae_course import lazy

__all__ = lazy(__name__)
