"""Full precision where autocast is on: differences and small eigenvalues don't survive bfloat16."""

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """The function, computing in the dtype of its tensors also where ``torch.autocast`` is on."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not torch._C._is_any_autocast_enabled():
            return function(*args, **kwargs)
        given = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
        with ExitStack() as stack:
            for kind in {value.device.type for value in given} - {"meta"}:
                stack.enter_context(torch.autocast(kind, enabled=False))
            return function(*args, **kwargs)

    return call
