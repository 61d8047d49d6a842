"""Random balls for the tests of this folder."""

import torch
from torch import Tensor


def balls(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mu = torch.randn(*shape, generator=generator, dtype=torch.float64)
    sigma = 0.05 + 2 * torch.rand(*shape, generator=generator, dtype=torch.float64)
    return mu.to(dtype), sigma.to(dtype)
