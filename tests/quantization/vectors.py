"""Vectors for the tests of this folder, and the distances that brute force compares."""

import torch
from torch import Tensor


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def squared_distances(z: Tensor, codebook: Tensor) -> Tensor:
    """(n, K) in float64, differences first."""
    return (z.double().unsqueeze(1) - codebook.double()).square().sum(-1)
