"""A VAE's training loop against pythae's and against that of PyTorch's VAE example.

``python -m benchmarks.training [loop] [digits] [time]``; see README.md for the environment.
"""

import sys
import time
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import Example, Pythae
from benchmarks.rounds import (
    Bar,
    Contender,
    Measure,
    bf16_is_fast,
    cpu_seconds,
    interleave,
    matrix_products,
    write,
)
from vae_course.data import load
from vae_course.models import VAE
from vae_course.training import fit

BATCH, LR = 128, 1e-3
BOUNDS = ["GEMM alone", "GEMM and fused Adam"]
NO_BF16 = "bf16: not supported here (this processor multiplies bfloat16 in software)"


def layers(n: int, hidden: int, d: int) -> list[tuple[int, int]]:
    """(in, out) of the VAE's matrix products, mu and log sigma² together."""
    return [(n, hidden), (hidden, 2 * d), (d, hidden), (hidden, n)]


def vae(seed: int, cls: type[VAE] = VAE) -> VAE:
    """784-400-20, beta 1, so that its loss is -ELBO."""
    return cls.mlp(
        (1, 28, 28), 20, (400,), activation="relu", seed=seed, beta=1.0, distortion="bernoulli"
    )


@torch.no_grad()
def negative_elbo(model: VAE, x: Tensor) -> float:
    eps = model.draw_noise(len(x), torch.Generator().manual_seed(0))
    return float(model.loss_terms(x, eps).loss.mean())


def loop(rounds: int = 5, epochs: int = 4, n: int = 234 * BATCH) -> Measure:
    """Whole runs over part of MNIST (234 full batches), a seed a round."""
    mnist = load("mnist")
    images, test = mnist.train[:n], mnist.test
    stored = (images * 255).round().to(torch.uint8).squeeze(1)  # the example reads bytes
    steps = epochs * n // BATCH
    options: dict[str, Any] = dict(lr=LR, batch_size=BATCH, schedule="constant", progress=False)

    def ours(precision: str) -> Contender:
        def contender(seed: int) -> tuple[float, dict[str, float]]:
            model = vae(seed)
            kind: dict[str, Any] = options | {"seed": seed, "precision": precision}
            seconds = cpu_seconds(lambda: fit(model, images, steps=steps, **kind))
            return seconds, {"test −ELBO": negative_elbo(model, test)}

        return contender

    def peer(cls: type, data: Tensor, **more: Any) -> Contender:
        def contender(seed: int) -> tuple[float, dict[str, float]]:
            run = cls(data, 400, 20, lr=LR, batch=BATCH, seed=seed, **more)
            seconds = cpu_seconds(lambda: [run.epoch(1 + i) for i in range(epochs)])
            return seconds, {"test −ELBO": run.loss(test)}

        return contender

    network = layers(784, 400, 20)
    contenders = {
        "pythae": peer(Pythae, images, loss="bce"),
        "example": peer(Example, stored),
        "fit": ours("float32"),
        "GEMM alone": matrix_products(network, BATCH, steps),
        "GEMM and fused Adam": matrix_products(network, BATCH, steps, adam=True),
    }
    bars = [Bar("fit", "pythae", 1.3), Bar("fit", "example", 2.0)]
    notes = [] if bf16_is_fast() else [NO_BF16]
    if bf16_is_fast():
        contenders["fit, bf16"] = ours("bf16")
        bf16 = torch.bfloat16
        contenders["GEMM alone, bf16"] = matrix_products(network, BATCH, steps, dtype=bf16)
        bars.append(Bar("fit, bf16", "pythae", 1.7))
    title = f"784-400-20 on MNIST, {n:,} images, batch {BATCH}, {epochs} epochs, Adam {LR}"
    measure = interleave(Measure(title, bars, notes=notes), contenders, rounds)
    measure.note_shares("fit", BOUNDS)
    measure.notes.append(_losses(measure))
    return measure


def _losses(measure: Measure) -> str:
    """A loop is only faster if it gets as far: goal, within 0.5 % of pythae's mean loss."""
    seeds = len(measure.extras)
    means = {
        name: sum(row[name]["test −ELBO"] for row in measure.extras) / seeds
        for name in measure.extras[0]
    }
    apart = "; ".join(
        f"{name} {mean:.2f} ({mean / means['pythae'] - 1:+.2%})" for name, mean in means.items()
    )
    return f"mean test −ELBO over {seeds} seeds, against pythae's (goal: within 0.5 %): {apart}"


def digits(rounds: int = 7, epochs: int = 30, n: int = 19 * 64) -> Measure:
    """64-64-2 on digits, batch 64, the course's squared error (beta 2 is pythae's ½ and 1)."""
    images = load("digits").train[:n]
    steps = epochs * n // 64

    def ours(seed: int) -> tuple[float, dict[str, float]]:
        model = VAE.mlp((1, 8, 8), 2, (64,), activation="relu", seed=seed, beta=2.0)
        options: dict[str, Any] = dict(schedule="constant", progress=False)
        seconds = cpu_seconds(
            lambda: fit(model, images, steps=steps, lr=LR, batch_size=64, seed=seed, **options)
        )
        return seconds, {"µs a step": seconds / steps * 1e6}

    def pythae(seed: int) -> tuple[float, dict[str, float]]:
        run = Pythae(images, 64, 2, lr=LR, batch=64, seed=seed, loss="mse")
        seconds = cpu_seconds(lambda: [run.epoch(1 + i) for i in range(epochs)])
        return seconds, {"µs a step": seconds / steps * 1e6}

    contenders = {
        "pythae": pythae,
        "fit": ours,
        "GEMM alone": matrix_products(layers(64, 64, 2), 64, steps),
        "GEMM and fused Adam": matrix_products(layers(64, 64, 2), 64, steps, adam=True),
    }
    title = f"64-64-2 on digits, batch 64, {steps} steps"
    measure = interleave(Measure(title, [Bar("fit", "pythae", 2.0)]), contenders, rounds)
    measure.note_shares("fit", BOUNDS)
    return measure


class _Reached(Exception):
    """The test loss is low enough."""


class Watched(VAE):
    """Looks at the test images after each epoch of ``fit``, with the clock stopped."""

    def watch(self, x: Tensor, epoch: int, target: float) -> None:
        self.test, self.epoch, self.target = x, epoch, target
        self.drawn, self.looking, self.seen = 0, 0.0, [0.0]

    def draw_noise(self, n: int, generator: torch.Generator) -> Tensor:
        if self.drawn and self.drawn % self.epoch == 0:
            self.look()
        self.drawn += 1
        return super().draw_noise(n, generator)

    def look(self) -> None:
        start = time.process_time()
        with torch.no_grad():
            eps = torch.randn(len(self.test), self.d, generator=torch.Generator().manual_seed(0))
            self.seen.append(float(self.loss_terms(self.test, eps).loss.mean()))
        self.looking += time.process_time() - start
        if self.seen[-1] <= self.target:
            raise _Reached


def time_to_loss(rounds: int = 2, target: float = 106.0) -> Measure:
    """CPU seconds of training until the test -ELBO, looked at once an epoch, is low enough."""
    mnist = load("mnist")
    images, test = mnist.train, mnist.test
    epoch = len(images) // BATCH

    def ours(epochs: int, lr: float, schedule: str, precision: str) -> Contender:
        def contender(seed: int) -> tuple[float, dict[str, float]]:
            model = vae(seed, Watched)
            assert isinstance(model, Watched)
            model.watch(test, epoch, target)
            start = time.process_time()
            try:
                fit(
                    model,
                    images,
                    steps=epochs * epoch,
                    lr=lr,
                    batch_size=BATCH,
                    schedule=schedule,
                    precision=precision,
                    seed=seed,
                    progress=False,
                )
                model.look()
            except _Reached:
                pass
            seconds = time.process_time() - start - model.looking
            return seconds, {"epochs": len(model.seen) - 1, "test −ELBO": model.seen[-1]}

        return contender

    def pythae(seed: int) -> tuple[float, dict[str, float]]:
        run = Pythae(images, 400, 20, lr=LR, batch=BATCH, seed=seed, loss="bce")
        seconds = 0.0
        for number in range(1, 16):
            seconds += cpu_seconds(lambda number=number: run.epoch(number))
            torch.manual_seed(seed + number)
            loss = run.loss(test)
            if loss <= target:
                break
        return seconds, {"epochs": number, "test −ELBO": loss}

    contenders = {
        "pythae": pythae,
        "fit, same constant lr": ours(15, LR, "constant", "float32"),
        "fit, one-cycle": ours(6, 3e-3, "one_cycle", "float32"),
    }
    bars = [
        Bar("fit, one-cycle", "pythae", 2.0),
        Bar("fit, one-cycle", "fit, same constant lr", 1.0),
        Bar("fit, same constant lr", "pythae", 1.0),
    ]
    notes = [
        f"pythae: Adam, constant lr {LR}, batch {BATCH} (its own defaults, 1e-4 and 64, are "
        "slower); one-cycle: lr up to 3e-3 over 6 epochs. pythae takes schedulers too: the second "
        "bar is what the schedule gives, the third what the loop gives."
    ]
    if bf16_is_fast():
        contenders["fit, one-cycle, bf16"] = ours(6, 3e-3, "one_cycle", "bf16")
        bars.append(Bar("fit, one-cycle, bf16", "pythae", 3.0))
    else:
        notes.append(NO_BF16)
    title = f"CPU time to a test −ELBO of {target:g} nats, all of MNIST"
    return interleave(Measure(title, bars, notes=notes), contenders, rounds)


MEASURES = {"loop": loop, "digits": digits, "time": time_to_loss}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(MEASURES)
    name = "training" + "".join(f"-{part}" for part in wanted if len(wanted) < len(MEASURES))
    write(name, [MEASURES[part]() for part in wanted], "pythae", "pillow")
