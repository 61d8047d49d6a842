"""Twelve runs (4 betas x 3 seeds) on digits as one ensemble, against one after the other.

``python -m benchmarks.sweep``; see README.md for the environment.
"""

from typing import Any

import numpy as np

from benchmarks.rounds import Bar, Measure, cpu_seconds, interleave, matrix_products, write
from vae_course.data import load
from vae_course.models import VAE
from vae_course.training import fit, sweep

BETAS, SEEDS, BATCH = (0.01, 0.1, 0.5, 1.0), (0, 1, 2), 64


def compare(hidden: int, d: int, at_least: float, rounds: int = 7, steps: int = 200) -> Measure:
    images = load("digits").train
    config: dict[str, Any] = dict(image_shape=(1, 8, 8), d=d, hidden=(hidden,))
    options: dict[str, Any] = dict(steps=steps, batch_size=BATCH, progress=False)
    losses: dict[str, np.ndarray] = {}

    def alone(number: int) -> tuple[float, dict[str, float]]:
        def work() -> None:
            grid = [
                [fit(VAE.mlp(**config, beta=b, seed=s), images, seed=s, **options) for s in SEEDS]
                for b in BETAS
            ]
            histories = [[run.loss for run in row] for row in grid]
            losses["alone"] = np.array(histories).transpose(2, 0, 1)  # (steps, beta, seed)

        return cpu_seconds(work), {}

    def ensemble(number: int) -> tuple[float, dict[str, float]]:
        def work() -> None:
            result = sweep(VAE.mlp, config, images, betas=BETAS, seeds=SEEDS, **options)
            losses["ensemble"] = result.history.loss

        return cpu_seconds(work), {}

    layers = [(64, hidden), (hidden, 2 * d), (d, hidden), (hidden, 64)]
    members = len(BETAS) * len(SEEDS)
    contenders = {
        "one after the other": alone,
        "ensemble": ensemble,
        "GEMM alone, batched": matrix_products(layers, BATCH, steps, members=members),
        "GEMM and fused Adam, batched": matrix_products(
            layers, BATCH, steps, members=members, adam=True
        ),
    }
    measure = Measure(
        f"64-{hidden}-{d} on digits, {members} runs of {steps} steps, batch {BATCH}",
        [Bar("ensemble", "one after the other", at_least)],
    )
    interleave(measure, contenders, rounds)
    apart = np.abs(losses["ensemble"] / losses["alone"] - 1).max()
    measure.notes.append(f"largest relative difference between the losses: {apart:.1e}")
    measure.note_shares("ensemble", ["GEMM alone, batched", "GEMM and fused Adam, batched"])
    return measure


if __name__ == "__main__":
    write("sweep", [compare(64, 2, 3.5), compare(256, 8, 2.2)])
