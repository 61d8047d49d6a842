"""Layers that were left in training mode: seen while a model runs, and left as they were."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.module import register_module_forward_pre_hook

MIXING = _BatchNorm, _DropoutNd
"""In training mode they mix the images of a batch, or draw at random."""


class Watch:
    """What in a model is in training mode and should not be, as far as its calls show.

    Any callable may hide a model, so modules are seen when they run, not looked for. From the first
    call on that shows one, all calls are watched, and running means and the like are put back.
    """

    def __init__(self) -> None:
        self.seen: set[nn.Module] = set()
        self._called: set[str] = set()

    def __str__(self) -> str:
        """Their kinds with their numbers; empty for none."""
        kinds = Counter(type(layer).__name__ for layer in self.seen)
        return ", ".join(f"{n} × {kind}" for kind, n in sorted(kinds.items()))

    @contextmanager
    def call(self, what: str) -> Iterator[None]:
        """Around a call of the encoder, or of the decoder."""
        if what in self._called and not self.seen:
            yield
            return
        self._called.add(what)
        kept: list[tuple[nn.Module, str, Tensor, Tensor]] = []

        def before(module: nn.Module, inputs: object) -> None:
            if not module.training:
                return
            if isinstance(module, MIXING):
                self.seen.add(module)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    kept.append((module, name, buffer, buffer.detach().clone()))

        hook = register_module_forward_pre_hook(before)
        try:
            yield
        finally:
            hook.remove()
            with torch.no_grad():
                for module, name, buffer, value in reversed(kept):
                    buffer.copy_(value)
                    module._buffers[name] = buffer
