"""The pull-back geometry of codes that are images: without the matrix, against the matrix.

``python -m benchmarks.matrix_free [growth|product|diffusion]``, all three without a word; see
README.md. ``growth``: time and memory as d grows, for the whole spectrum of one code. ``product``:
of one product. ``diffusion``: a spectrum of eight codes of an AutoencoderKL.

Memory is a process's own, so each contender is a process of its own; Linux says how much it held.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.latent_decoders import WIDTH, autoencoder, code, conv_decoder, train
from benchmarks.rounds import Bar, Contender, Measure, interleave, write
from vae_course.isometry import Pullback, pullback_metric, spectrum

SIDES = (4, 8, 16, 32, 64, 128)  # of codes 4 x side x side: d from 64 to 65,536
LINEAR = 4096  # from here on a product costs more than its overhead, and growth is measured
LIMIT = 6e9  # bytes: what would hold more is not started
STEPS, PROBES, FLOOR = 24, 2, 1e-2
KEPT = ", pages kept"
# glibc gives what is above 32 MB back to the system, which hands it out anew page by page.
KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": str(2**40), "MALLOC_TRIM_THRESHOLD_": str(2**40)}
CODES = 8

Result = dict[str, float]  # what a process says of itself


# The contenders: from a decoder and one code to log det / d, with a floor.


def of_matrix(matrix: Tensor) -> float:
    values = torch.linalg.eigvalsh(matrix[0].double())
    return (values + FLOOR * values[-1]).log().mean().item()


def two_lines(decoder: nn.Module, z: Tensor) -> float:
    with torch.no_grad():
        j = torch.func.vmap(torch.func.jacfwd(lambda one: decoder(one[None])[0].flatten()))(z)
        j = j.flatten(2)
        return of_matrix(j.mT @ j)


def latent_geometry(decoder: nn.Module, z: Tensor) -> float:
    from latent_geometry.mapping import TorchModelMapping
    from latent_geometry.metric import EuclideanPullbackMetric

    with torch.no_grad():
        shapes = z.shape[1:], decoder(z).shape[1:]
        found = EuclideanPullbackMetric(TorchModelMapping(decoder, *shapes))
        return of_matrix(torch.from_numpy(found.metric_matrix(z.flatten(1).numpy())))


def quadrature(decoder: nn.Module, z: Tensor, steps: int = STEPS) -> float:
    found = spectrum(decoder, z, probes=PROBES, steps=steps, progress=False)
    return found.log_det(FLOOR).value


METHODS: dict[str, Callable[[nn.Module, Tensor], float]] = {
    "spectrum": quadrature,
    "spectrum, 15 steps": lambda decoder, z: quadrature(decoder, z, 15),
    "pullback_metric": lambda decoder, z: of_matrix(pullback_metric(decoder, z)),
    "two lines": two_lines,
    "latent-geometry": latent_geometry,
}


def bytes_needed(name: str, side: int) -> float:
    """About: five layers of all tangents at the widest, or the Jacobian twice."""
    d, pixels = 4 * side**2, (8 * side) ** 2
    if name.startswith("spectrum"):
        return 0.0  # all sizes here fit
    numbers = 2 * 3 * d * pixels if name == "pullback_metric" else 5 * WIDTH * d * pixels
    return 4.0 * numbers + 8.0 * d * d


# What a process of its own does.


def megabytes(field: str) -> float:
    """Of memory this process holds (VmRSS) or has held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def grow(name: str, side: int) -> Result:
    method = METHODS[name]
    method(conv_decoder(5), code(5))  # loads what is loaded once
    decoder, z = conv_decoder(side), code(side)
    idle, start = megabytes("VmRSS"), time.process_time()
    value = method(decoder, z)
    seconds = time.process_time() - start
    return {"seconds": seconds, "log det / d": value} | _memory(idle)


def multiply(mode: Any, side: int) -> Result:
    Pullback(conv_decoder(5), code(5), mode=mode)(code(5))
    decoder, z = conv_decoder(side), code(side)
    idle, start = megabytes("VmRSS"), time.process_time()
    pullback = Pullback(decoder, z, mode=mode)
    built, v = time.process_time(), torch.randn_like(z)
    pullback(v)
    once = time.process_time()
    repeats = max(2, math.ceil(0.3 / (once - built)))
    for _ in range(repeats):
        pullback(v)
    seconds = (time.process_time() - once) / repeats
    return {"seconds": seconds, "to build": built - start} | _memory(idle)


def diffuse(steps: int, threads: int, first: int, number: int, folder: str) -> Result:
    torch.set_num_threads(threads)
    vae = autoencoder()
    vae.load_state_dict(torch.load(Path(folder) / "vae.pt", weights_only=True))
    z = torch.load(Path(folder) / "codes.pt", weights_only=True)[first : first + number]

    def decoder(code: Tensor) -> Tensor:
        return vae.decode(code, return_dict=False)[0]

    with torch.no_grad():
        decoder(z[:1])
    idle, start, wall = megabytes("VmRSS"), time.process_time(), time.perf_counter()
    found = spectrum(decoder, z, probes=PROBES, steps=steps, progress=False)
    log_det = found.log_det(FLOOR)
    return {
        "seconds": time.process_time() - start,
        "wall minutes": (time.perf_counter() - wall) / 60,
        "log det / d": log_det.value,
        "truncation": log_det.truncation,
    } | _memory(idle)


def _memory(idle: float) -> Result:
    peak = megabytes("VmHWM")
    return {"peak MB": round(peak), "above idle MB": round(peak - idle)}


TASKS: dict[str, Callable[..., Result]] = {
    "grow": grow,
    "multiply": multiply,
    "train": lambda folder: {"dB": train(folder, CODES)},
    "diffuse": diffuse,
}


def start(task: str, *arguments: str | int, keep: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.matrix_free", "process"]
    return subprocess.Popen(
        [*command, json.dumps([task, *arguments])],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | (KEEP_PAGES if keep else {}),
    )


def answers(*processes: subprocess.Popen[str]) -> list[Result]:
    said = [process.communicate()[0] for process in processes]
    if failed := next((p for p in processes if p.returncode), None):
        raise RuntimeError(f"a process ended with {failed.returncode}: what it said is above")
    return [json.loads(text.splitlines()[-1]) for text in said]


def process(task: str, name: str, side: int) -> Contender:
    def run(number: int) -> tuple[float, dict[str, float]]:
        (said,) = answers(start(task, name.removesuffix(KEPT), side, keep=name.endswith(KEPT)))
        return said.pop("seconds"), said

    return run


# The comparisons.


def size(side: int) -> str:
    return f"d = {4 * side**2:,}, to 3 x {8 * side} x {8 * side}"


def growth(rounds: int = 3) -> list[Measure]:
    names = [name for name in METHODS if name != "latent-geometry" or find_spec("latent_geometry")]
    measures = []
    for side in SIDES:
        here = [n for n in names if n != "spectrum, 15 steps" or side == SIDES[0]]
        here += ["spectrum" + KEPT] if 4 * side**2 >= LINEAR else []
        fit = {n: process("grow", n, side) for n in here if bytes_needed(n, side) <= LIMIT}
        # What the matrix costs grows with d squared: the bar is where it is last at hand.
        bars = [Bar("spectrum", n, 10) for n in fit if side == 16 and n != "spectrum"]
        measure = Measure(f"growth, {size(side)}", bars)
        for name in here:
            if name not in fit:
                needed = bytes_needed(name, side) / 1e9
                measure.notes.append(f"{name}: does not fit: {needed:,.0f} GB")
        if 4 * side**2 <= 2 * PROBES * STEPS:
            measure.notes.append("spectrum: all eigenvalues, from the columns of J")
        measures.append(interleave(measure, fit, rounds))
    note_exponents(measures, ["spectrum", "spectrum" + KEPT])
    return measures


def product(rounds: int = 5) -> list[Measure]:
    measures = []
    for side in SIDES:
        names = ["forward", "reverse", *(["reverse" + KEPT] if 4 * side**2 >= LINEAR else [])]
        contenders = {name: process("multiply", name, side) for name in names}
        bars = [Bar("reverse", "forward", 1.2)]
        measures.append(interleave(Measure(f"product, {size(side)}", bars), contenders, rounds))
    note_exponents(measures, ["reverse", "reverse" + KEPT])
    return measures


def exponent(d: Sequence[int], values: Sequence[float]) -> float:
    """The slope of log values on log d, by least squares."""
    x, y = (torch.tensor(t, dtype=torch.float64).log() for t in (d, values))
    x = x - x.mean()
    return ((x @ y) / (x @ x)).item()


def note_exponents(measures: Sequence[Measure], names: Sequence[str]) -> None:
    """In the notes of the last one, how time and memory grow over the larger sizes."""
    sizes = {4 * side**2: m for side, m in zip(SIDES, measures, strict=True)}
    upper = {d: m for d, m in sizes.items() if d >= LINEAR}
    for name in names:
        found = {
            "time": [median(t[name] for t in m.seconds) for m in upper.values()],
            "memory above idle": [
                median(e[name]["above idle MB"] for e in m.extras) for m in upper.values()
            ],
        }
        for what, values in found.items():
            power = exponent(list(upper), values)
            measures[-1].notes.append(
                f"{name}: {what} grows as d^{power:.2f} from {min(upper):,} to {max(upper):,}; "
                f"bar ≤ 1.1: {'met' if power <= 1.1 else 'MISSED'}"
            )


def diffusion(rounds: int = 1) -> list[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        (trained,) = answers(start("train", folder))

        def run(steps: int, processes: int) -> Contender:
            def seconds(number: int) -> tuple[float, dict[str, float]]:
                n, threads = CODES // processes, 2 // processes
                begun = time.perf_counter()
                parts = answers(
                    *[start("diffuse", steps, threads, i * n, n, folder) for i in range(processes)]
                )
                total = {key: sum(part[key] for part in parts) for key in parts[0]}
                for key in ("log det / d", "truncation"):
                    total[key] /= processes
                total["wall minutes"] = (time.perf_counter() - begun) / 60
                return total.pop("seconds"), total

            return seconds

        measure = Measure(f"{CODES} codes 4 x 32 x 32 of an AutoencoderKL, two cores", [])
        contenders = {
            f"{steps} steps, {label}": run(steps, processes)
            for steps in (STEPS, 2 * STEPS)
            for label, processes in (("one process", 1), ("two processes", 2))
        }
        interleave(measure, contenders, rounds)
    measure.notes.append(f"decoder trained briefly on photographs, to {trained['dB']:.1f} dB")
    for name in contenders:
        said = [extra[name] for extra in measure.extras]
        minutes, peak = (median(e[key] for e in said) for key in ("wall minutes", "peak MB"))
        bar = 5 if name.startswith(f"{STEPS} ") else 9
        verdict = "met" if minutes <= bar and peak <= 4096 else "MISSED"
        measure.notes.append(
            f"{name}: {minutes:.1f} minutes, {peak / 1024:.1f} GiB; bar ≤ {bar} minutes, "
            f"≤ 4 GiB: {verdict}"
        )
    return [measure]


PARTS: dict[str, Callable[[], list[Measure]]] = {
    "product": product,
    "growth": growth,
    "diffusion": diffusion,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["process"]:
        torch.set_num_threads(1)
        task, *arguments = json.loads(sys.argv[2])
        print(json.dumps(TASKS[task](*arguments)))
    else:
        for part in sys.argv[1:] or PARTS:
            peers = {"growth": "latent_geometry", "diffusion": "diffusers"}
            used = [peers[part]] if part in peers and find_spec(peers[part]) else []
            found = PARTS[part]()
            load_now = ", ".join(f"{value:.1f}" for value in os.getloadavg())
            found[-1].notes.append(f"load of the machine at the end: {load_now}")
            write(f"matrix_free-{part}", found, *used)
