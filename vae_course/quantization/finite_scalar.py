"""Finite scalar quantisation: each coordinate is rounded to a few levels; no codebook to learn."""

import math
from collections.abc import Sequence
from numbers import Integral

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vae_course.arguments import visible
from vae_course.quantization.result import (
    Quantized,
    check_finite,
    check_indices,
    check_vectors,
    straight_through,
)


class FiniteScalarQuantizer(nn.Module):
    r"""Coordinate j takes one of L_j values, evenly spaced from -1 to 1.

    .. math:: k_j = \mathrm{round}\Big((L_j - 1) \frac{\tanh z_j + 1}2\Big), \qquad
              e_j = \frac{2 k_j}{L_j - 1} - 1, \qquad
              \mathrm{index} = \sum_j k_j \prod_{i < j} L_i

    A grid in place of a learned codebook: nothing to learn, nothing to keep in use, and no loss
    (zeros). The gradient is that of tanh, straight through the rounding. Calls and results are
    those of ``VectorQuantizer``, with K the product of the levels and D their number.

    ``levels``: whole numbers, 2 or more (ValueError otherwise).
    Source: Mentzer, Minnen, Agustsson and Tschannen 2024; there the grid of an even number of
    levels is shifted by half a step, here all are symmetric.
    """

    levels: Tensor
    radix: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(levels, Sequence) or isinstance(levels, str):
            raise TypeError(f"levels must be a list of whole numbers, got {type(levels).__name__}")
        if len(levels) == 0 or any(not isinstance(n, Integral) or n < 2 for n in levels):
            raise ValueError(f"levels={list(levels)}: whole numbers, 2 or more, one a dimension")
        self.dim, self.num_codes = len(levels), math.prod(levels)
        # A float, so that it has the dtype the model is converted to.
        self.register_buffer("levels", torch.tensor(levels).float(), persistent=False)
        self.register_buffer("radix", torch.tensor([1, *levels[:-1]]).cumprod(0), persistent=False)

    @property
    def codebook(self) -> Float[Tensor, "k d"]:
        """All centres, in the order of their indices."""
        return self.lookup(torch.arange(self.num_codes, device=self.levels.device))

    def forward(self, z: Float[Tensor, "*batch d"], *, check: bool = True) -> Quantized:
        """Quantise (\\*batch, D); errors and ``check`` as in ``VectorQuantizer``."""
        check_vectors(z, self.dim, self.levels)
        if check and visible(z):
            check_finite(z)
        bounded = z.tanh()
        digit = ((bounded.detach() + 1) / 2 * (self.levels - 1)).round()
        indices = (digit.long() * self.radix).sum(-1)
        return Quantized(
            straight_through(bounded, self._centre(digit)), indices, z.new_zeros(z.shape[:-1])
        )

    quantize = forward  # nothing learns

    def lookup(self, indices: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d"]:
        """The centres of these numbers. Raises ValueError for one outside 0 … K - 1."""
        check_indices(indices, self.num_codes)
        digit = indices.unsqueeze(-1) // self.radix % self.levels.long()
        return self._centre(digit.to(self.levels.dtype))

    def _centre(self, digit: Tensor) -> Tensor:
        return 2 * digit / (self.levels - 1) - 1
