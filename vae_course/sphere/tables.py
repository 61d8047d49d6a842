"""Tables of constants: made once for a dtype and a device, whatever surrounds the first call."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

Tables = tuple[Tensor, ...]


def table(make: Callable[..., tuple[np.ndarray, ...]]) -> Callable[..., Tables]:
    """What ``make(*of)`` gives in float64, as a function of (dtype, device, *of) in tensors.

    Made on the CPU, whatever the default device, and moved: "mps" has no float64. Kept for the
    next call, and so free of the first caller's inference mode and transforms. Under a mode of
    torch's dispatcher (fake tensors, ``torch.export``) tensors are the mode's own, of no use when
    it is over: there a call makes its own, as where ``torch.compile`` writes them into its graph.
    """

    @lru_cache(maxsize=256)
    def keep(dtype: torch.dtype, device: torch.device, *of: Any) -> Tables:
        with torch.inference_mode(False), torch._C._DisableFuncTorch():
            arrays = (torch.from_numpy(np.ascontiguousarray(array)) for array in make(*of))
            return tuple(array.to(dtype).to(device) for array in arrays)

    @torch.compiler.assume_constant_result
    def numbers(*of: Any) -> list[Any]:
        return [array.tolist() for array in make(*of)]

    def get(dtype: torch.dtype, device: torch.device, *of: Any) -> Tables:
        if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
            return tuple(torch.tensor(a, dtype=dtype, device=device) for a in numbers(*of))
        return keep(dtype, device, *of)

    return get
