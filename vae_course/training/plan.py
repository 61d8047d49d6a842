"""How to train: the arguments that ``fit`` and ``sweep`` share, and the learning rate's course."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def one_cycle(t: int, steps: int) -> float:
    """The part of lr at step t: from 1/25 to 1 in 30 % of the steps, then to 4e-6, by cosines."""
    peak = max(0.3 * steps - 1, 0)
    if t < peak:
        return _cosine(1 / 25, 1, t / peak)
    return _cosine(1, 1 / 250_000, (t - peak) / max(steps - 1 - peak, 1))


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "one_cycle": one_cycle,
    "cosine": lambda t, steps: _cosine(1, 0, t / steps),
    "constant": lambda t, steps: 1.0,
}


@dataclass(frozen=True)
class Plan:
    """How to train: the arguments that ``fit`` and ``sweep`` share, checked."""

    steps: int
    lr: float = 2e-3
    batch_size: int = 128
    schedule: str = "one_cycle"
    precision: str = "float32"
    clip: float | None = None
    checkpoint: str | Path | None = None
    checkpoint_every: int = 500
    progress: bool = True
    target_rate: float | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every"):
            value = getattr(self, name)
            if int(value) != value or value < 1:
                raise ValueError(f"{name}={value}: must be a whole number, 1 or more")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr={self.lr}: must be finite and positive; 1e-3 to 4e-3 is usual")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip={self.clip}: must be positive, or None for no clipping")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r}: choose one of {sorted(SCHEDULES)}")
        if self.precision not in ("float32", "bf16"):
            raise ValueError(f"precision={self.precision!r}: choose 'float32' or 'bf16'")
        if self.target_rate is not None and not 0 < self.target_rate < math.inf:
            raise ValueError(
                f"target_rate={self.target_rate}: must be positive and finite, in nats, or None to "
                "keep beta as it is"
            )

    def schedule_at(self, step: int) -> float:
        """The learning rate of a step as a part of the highest."""
        return SCHEDULES[self.schedule](step, self.steps)

    def lr_at(self, step: int) -> float:
        """The learning rate of a step."""
        return self.lr * self.schedule_at(step)
