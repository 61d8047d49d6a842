"""A grid of runs over workers, for the tests of the runs and of their files."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.training.small import DIGITS, weights
from vae_course.models import VAE
from vae_course.training import Sweep, sweep

X = DIGITS[:400]
CONFIG: dict[str, Any] = dict(image_shape=(1, 8, 8), d=2, hidden=(32,))
OPTIONS: dict[str, Any] = dict(steps=24, batch_size=32, progress=False)
BETAS, SEEDS = (0.03, 0.3), (0, 5, 6)


def swept(folder: Path | None, build: Any = VAE.mlp, data: Any = X, **changes: Any) -> Sweep:
    arguments = dict(betas=BETAS, seeds=SEEDS, workers=2, folder=folder) | OPTIONS | changes
    return sweep(build, CONFIG, data, **arguments)


def alone(folder: Path, **changes: Any) -> Sweep:
    """A sweep of one run, in this very process."""
    return swept(folder, **dict(betas=(0.3,), seeds=(5,), workers=1) | changes)


def files(folder: Path) -> dict[str, int]:
    """Each result file with what changes when it is written again."""
    return {path.name: path.stat().st_ino for path in folder.glob("*.safetensors")}


def assert_equal(one: Sweep, other: Sweep) -> None:
    assert np.array_equal(one.history.loss, other.history.loss)
    assert np.array_equal(one.history.rate, other.history.rate)
    for ours, theirs in zip(sum(one.members, []), sum(other.members, []), strict=True):
        assert torch.equal(weights(ours), weights(theirs))
