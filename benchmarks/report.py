"""What a report costs: CPU seconds of two models, and whether a budget is kept.

``python -m benchmarks.report [conv|autoencoder|budget]``, the first two without a word; see
README.md. The models are trained: a broken one can cost more, as more is tried to mend it.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.latent_decoders import autoencoder, train
from benchmarks.rounds import Measure, cpu_seconds, interleave, write
from tests.report.bases import base
from vae_course.data import load
from vae_course.report import MEASURES, Report, report

NUMBERS = 44  # a report that says less would be cheap
BUDGET, LATE = 300, 1.2


class Model(NamedTuple):
    encode: Callable[[Tensor], tuple[Tensor, Tensor]]
    decode: Callable[[Tensor], Tensor]
    beta: float

    def report(self, images: Tensor, **rest: Any) -> Report:
        """All of it: a stage that fails does not stop what is timed."""
        return report(
            self.encode, self.decode, images, factor=1.0, beta=self.beta, stop=False,
            progress=False, **rest,
        )  # fmt: skip


def of_diffusers(vae: Any) -> Model:
    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        posterior = vae.encode(x).latent_dist
        return posterior.mean, posterior.std

    return Model(encode, lambda z: vae.decode(z).sample, 0.1)


def small_autoencoder(images: Tensor, steps: int = 250) -> Model:
    """4 x 8 x 8 latents, to 3 x 32 x 32, nearly a million weights; a minute of training."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 64),
        latent_channels=4,
    )
    optimiser = torch.optim.Adam(vae.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = images[torch.randint(len(images), (16,), generator=generator)]
        posterior = vae.encode(x).latent_dist
        error = (vae.decode(posterior.sample(generator)).sample - x).square()
        optimiser.zero_grad()
        ((error.sum() + 0.1 * posterior.kl().sum()) / len(x)).backward()
        optimiser.step()
    return of_diffusers(vae.eval())


def trained_autoencoder() -> Model:
    """The one of a million weights; see ``latent_decoders``."""
    vae = autoencoder()
    with tempfile.TemporaryDirectory() as folder:
        train(folder, 1)
        vae.load_state_dict(torch.load(Path(folder) / "vae.pt", weights_only=True))
    return of_diffusers(vae)


def cost(title: str, model: Model, images: Tensor, bar: float, rounds: int = 5) -> Measure:
    said: list[Report] = []

    def work(number: int) -> tuple[float, dict[str, float]]:
        seconds = cpu_seconds(lambda: said.append(model.report(images, seed=number)))
        return seconds, {"numbers": _numbers(said[-1])}

    model.report(images[:8])  # loads what is loaded once
    measure = interleave(Measure(f"{title}, {len(images)} images", []), {"report": work}, rounds)
    seconds = median(times["report"] for times in measure.seconds)
    measure.notes.append(
        f"{seconds:.1f} CPU-s, bar ≤ {bar:g}: {_verdict(seconds <= bar)}; {_numbers(said[-1])} "
        f"numbers, bar ≥ {NUMBERS}: {_verdict(_numbers(said[-1]) >= NUMBERS)}"
    )
    rows: dict[str, float] = {}
    for m in said[-1].measures.values():
        rows[MEASURES[m.key].row] = rows.get(MEASURES[m.key].row, 0.0) + m.cost_s
    dear = sorted(rows, key=lambda row: -rows[row])[:6]
    shown = ", ".join(f"{row} {rows[row]:.2f}" for row in dear)
    measure.notes.append(f"dearest rows, seconds of the clock: {shown}")
    return measure


def budgeted(threads: int = 2) -> Measure:
    """By the clock, so on a quiet machine."""
    # The course's photographs are small: patches of 64 x 64, four times as large.
    pictures = load("photographs", size=64, colour=True, stride=16, n_train=1, n_test=1000)
    images = interpolate(pictures.test, scale_factor=4, mode="bilinear") * 2 - 1
    model = trained_autoencoder()
    said: list[Report] = []

    def work(number: int) -> tuple[float, dict[str, float]]:
        torch.set_num_threads(threads)
        begun = time.perf_counter()
        cpu = cpu_seconds(lambda: said.append(model.report(images, budget=BUDGET, seed=number)))
        return cpu, {"wall s": time.perf_counter() - begun, "numbers": _numbers(said[-1])}

    title = f"AutoencoderKL of a million weights, {len(images)} images of 256², budget={BUDGET}"
    measure = interleave(Measure(title, []), {"report": work}, 1)
    wall = measure.extras[-1]["report"]["wall s"]
    found = said[-1].measures
    for key in ("scale", "rate", "fit", "contract", "samples_prior", "isometry_angles"):
        there = key in found and found[key].verdict != "skipped"
        measure.notes.append(f"{key}: {found[key] if there else 'MISSED'}")
    measure.notes.append(
        f"{wall:.0f} s of the clock on {threads} threads, bar ≤ {LATE * BUDGET:.0f}: "
        + _verdict(wall <= LATE * BUDGET)
    )
    measure.notes.append(f"sizes: {said[-1].meta['sizes']}")
    left_out = said[-1].meta["left_out"]
    measure.notes += [f"left out, {row}: {why}" for row, why in left_out.items()]
    return measure


def _numbers(of: Report) -> int:
    return sum(m.verdict != "skipped" for m in of.measures.values())


def _verdict(kept: bool) -> str:
    return "met" if kept else "MISSED"


def _conv() -> Measure:
    fashion = base("fashion", 400)
    model = Model(fashion.encode, fashion.decode, fashion.declared["beta"])
    return cost("196 latents, convolutional", model, fashion.images, 3)


def _autoencoder() -> Measure:
    pictures = load("photographs", size=32, colour=True, n_train=2740, n_test=400)
    seen, images = (torch.as_tensor(part) * 2 - 1 for part in (pictures.train, pictures.test))
    return cost("AutoencoderKL, 4 x 8 x 8", small_autoencoder(seen), images, 20, 3)


PARTS: dict[str, Callable[[], Measure]] = {
    "conv": _conv,
    "autoencoder": _autoencoder,
    "budget": budgeted,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for part in sys.argv[1:] or ("conv", "autoencoder"):
        found = PARTS[part]()
        found.notes.append("load at the end: " + ", ".join(f"{v:.1f}" for v in os.getloadavg()))
        write(f"report-{part}", [found], *(() if part == "conv" else ("diffusers",)))
