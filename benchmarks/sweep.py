"""Many runs as one ensemble, against one after the other.

Twelve (4 betas x 3 seeds) on digits; and nine spherical VAEs (3 families x 3 seeds) on MNIST, at
the sizes of lab 9.

``python -m benchmarks.sweep``; see README.md for the environment.
"""

from typing import Any

import numpy as np
from torch.nn.functional import avg_pool2d

from benchmarks.rounds import Bar, Measure, cpu_seconds, interleave, matrix_products, write
from vae_course.data import load
from vae_course.models import VAE, SphericalVAE
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


FAMILIES = ("cauchy", "vmf", "power")


def families(n: int, at_least: float, rounds: int = 5, steps: int = 300) -> Measure:
    images = avg_pool2d(load("mnist_small").train, 2)
    config: dict[str, Any] = dict(
        image_shape=(1, 14, 14), d=n + 1, hidden=(64,), distortion="bernoulli", initial_rate=5.0
    )
    options: dict[str, Any] = dict(steps=steps, batch_size=BATCH, lr=1e-2, progress=False)
    losses: dict[str, np.ndarray] = {}

    def alone(number: int) -> tuple[float, dict[str, float]]:
        def train(family: str, seed: int) -> np.ndarray:
            model = SphericalVAE.mlp(**config, beta=1.0, family=family, seed=seed)
            return fit(model, images, seed=seed, **options).loss

        def work() -> None:
            curves = np.array([[train(f, s) for s in SEEDS] for f in FAMILIES])
            losses["alone"] = curves.transpose(2, 0, 1)  # (steps, family, seed)

        return cpu_seconds(work), {}

    def ensemble(number: int) -> tuple[float, dict[str, float]]:
        grid: dict[str, Any] = dict(betas=[1.0], seeds=SEEDS, families=FAMILIES)

        def work() -> None:
            many = sweep(SphericalVAE.mlp, config, images, **grid, **options)
            losses["ensemble"] = many.history.loss

        return cpu_seconds(work), {}

    measure = Measure(
        f"spheres 196-64-{n + 1} on MNIST at 14 x 14, {len(FAMILIES) * len(SEEDS)} runs of "
        f"{steps} steps, batch {BATCH}",
        [Bar("ensemble", "one after the other", at_least)],
    )
    interleave(measure, {"one after the other": alone, "ensemble": ensemble}, rounds)
    apart = np.abs(losses["ensemble"] / losses["alone"] - 1).max()
    measure.notes.append(f"largest relative difference between the losses: {apart:.1e}")
    return measure


if __name__ == "__main__":
    spheres = [families(2, 3.0), families(10, 2.5)]
    write("sweep", [compare(64, 2, 3.5), compare(256, 8, 2.2), *spheres])
