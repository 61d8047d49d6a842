"""A small VAE and 300 digits: nine batches an epoch, so that 24 steps shuffle three times."""

import functools
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from vae_course.models import VAE
from vae_course.training import History, fit

DIGITS = torch.tensor(load_digits().images / 16, dtype=torch.float32)[:, None]
X = DIGITS[:300]
STEPS = 24
QUICK: dict[str, Any] = dict(steps=STEPS, batch_size=32, progress=False)


def small(**arguments: Any) -> VAE:
    return VAE.mlp((1, 8, 8), d=2, hidden=(16,), **arguments)


def weights(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def trained(data: Any = X, **arguments: Any) -> tuple[Tensor, History]:
    model = small()
    history = fit(model, data, **QUICK | arguments)
    return weights(model), history


@functools.cache
def undisturbed() -> tuple[Tensor, History]:
    """What ``trained()`` gives in one go."""
    return trained()


def assert_undisturbed(run: tuple[Tensor, History]) -> None:
    """To the bit."""
    assert torch.equal(run[0], undisturbed()[0])
    for curve in ("loss", "distortion", "rate"):
        assert np.array_equal(getattr(run[1], curve), getattr(undisturbed()[1], curve))
