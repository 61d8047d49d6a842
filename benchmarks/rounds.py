"""Interleaved timing: every contender once a round, in one process, CPU time, one thread.

On a shared machine seconds drift; what two contenders of the same round took drifts together. So a
speed is stated as the median over rounds of the per-round ratio, with the smallest and the largest.
"""

import gc
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

import vae_course

RESULTS = Path(__file__).parent / "results"

# One training run of a round: from the round's number to (CPU seconds, what else it measured).
Contender = Callable[[int], tuple[float, dict[str, float]]]


@dataclass(frozen=True)
class Bar:
    """A promise: ``faster`` takes at most 1 / ``at_least`` of the time of ``slower``."""

    faster: str
    slower: str
    at_least: float


@dataclass
class Measure:
    """All rounds of one comparison: CPU seconds, and what else each contender measured."""

    title: str
    bars: Sequence[Bar]
    seconds: list[dict[str, float]] = field(default_factory=list)
    extras: list[dict[str, dict[str, float]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ratios(self, slower: str, faster: str) -> list[float]:
        return [times[slower] / times[faster] for times in self.seconds]

    def note_shares(self, name: str, bounds: Sequence[str]) -> None:
        """How near ``name`` comes to what the processor could do."""
        for bound in bounds:
            share = median(self.ratios(bound, name))
            self.notes.append(f"{name} runs at {share:.0%} of the speed of {bound}")


def interleave(measure: Measure, contenders: Mapping[str, Contender], rounds: int) -> Measure:
    """Run every contender once a round; each round starts with another one of them."""
    torch.set_num_threads(1)
    names = list(contenders)
    for number in range(rounds):
        first = number % len(names)
        times, extras = {}, {}
        for name in names[first:] + names[:first]:
            gc.collect()
            times[name], extras[name] = contenders[name](number)
        measure.seconds.append({name: times[name] for name in names})
        measure.extras.append({name: extras[name] for name in names if extras[name]})
        print(f"{measure.title}, round {number + 1}/{rounds}: " + _line(measure), flush=True)
    return measure


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU time of ``work()``, all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def bf16_is_fast() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def matrix_products(
    layers: Sequence[tuple[int, int]],
    batch: int,
    steps: int,
    *,
    members: int = 0,
    adam: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Contender:
    """The bound: a step's matrix products alone, forward and backward, for (in, out) layers.

    The first layer needs no gradient of its input. ``members`` > 0: batched products; ``adam``:
    and the fused Adam step, in float32.
    """

    def randn(*shape: int) -> Tensor:
        return torch.randn(*([members] if members else []), *shape)

    x = [randn(batch, n_in).to(dtype) for n_in, _ in layers]
    w = [randn(n_out, n_in).to(dtype) for n_in, n_out in layers]
    g = [randn(batch, n_out).to(dtype) for _, n_out in layers]
    out = [torch.empty_like(a) for a in g]
    grad_w = [torch.empty_like(a) for a in w]
    grad_x = [torch.empty_like(a) for a in x]
    parameters = [torch.nn.Parameter(randn(n_out, n_in)) for n_in, n_out in layers]
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimiser = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    @torch.no_grad()
    def work() -> None:
        for _ in range(steps):
            for i in range(len(layers)):
                torch.matmul(x[i], w[i].mT, out=out[i])
            for i in range(len(layers)):
                torch.matmul(g[i].mT, x[i], out=grad_w[i])
                if i:
                    torch.matmul(g[i], w[i], out=grad_x[i])
            if adam:
                optimiser.step()

    return lambda number: (cpu_seconds(work), {})


def environment(*packages: str) -> dict[str, Any]:
    """Where the numbers were taken: the names that make them comparable."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = dict(line.split(":", 1) for line in lines if ":" in line)
        known = {name.strip(): value.strip() for name, value in known.items()}
        keys = ("model name", "cpu family", "model")
        cpu = ", ".join(f"{key} {known[key]}" for key in keys if key in known)
    return {
        "cpu": cpu,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bf16 in hardware": bf16_is_fast(),
        "threads": 1,
        "python": platform.python_version(),
        "vae_course": vae_course.__version__,
        **{package: metadata.version(package) for package in ("torch", "numpy", *packages)},
    }


def write(name: str, measures: Sequence[Measure], *packages: str) -> None:
    """``results/NAME.json`` with every round and ``results/NAME.md`` with the medians."""
    where = environment(*packages)
    report = [
        f"# {name}",
        "",
        "; ".join(f"{key}: {value}" for key, value in where.items()),
        "",
        f"Made by `python -m benchmarks.{' '.join([name.split('-')[0], *sys.argv[1:]])}`. "
        "CPU seconds are medians of the rounds; ratios are medians [smallest, largest] of the "
        "per-round ratios.",
    ]
    stored = {"environment": where, "measures": [vars(m) | _summary(m) for m in measures]}
    for measure in measures:
        report += ["", f"## {measure.title}", "", *_table(measure), "", *_verdicts(measure)]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(stored, default=vars, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text("\n".join(report) + "\n")
    print("\n" + "\n".join(report))


def _summary(measure: Measure) -> dict[str, Any]:
    names = list(measure.seconds[0])
    return {
        "median_seconds": {n: median(t[n] for t in measure.seconds) for n in names},
        "median_ratios": {
            f"{bar.slower} / {bar.faster}": median(measure.ratios(bar.slower, bar.faster))
            for bar in measure.bars
        },
    }


def _table(measure: Measure) -> list[str]:
    extras = list(dict.fromkeys(k for row in measure.extras for v in row.values() for k in v))
    reference = next(iter(measure.seconds[0]))
    rows = [
        "| | CPU s | × speed of " + " | ".join([reference, *extras]) + " |",
        "|---" * (3 + len(extras)) + "|",
    ]
    for name in measure.seconds[0]:
        cells = [f"{median(t[name] for t in measure.seconds):.3g}"]
        cells.append(_spread(measure.ratios(reference, name)))
        for key in extras:
            found = [row[name][key] for row in measure.extras if key in row.get(name, {})]
            cells.append(", ".join(f"{value:.6g}" for value in found))
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def _verdicts(measure: Measure) -> list[str]:
    lines = []
    for bar in measure.bars:
        ratios = measure.ratios(bar.slower, bar.faster)
        verdict = "met" if median(ratios) >= bar.at_least else "MISSED"
        what = f"{bar.faster} against {bar.slower}"
        lines.append(f"- {what}: {_spread(ratios)}; bar ≥ {bar.at_least}: {verdict}")
    return lines + [f"- {note}" for note in measure.notes]


def _line(measure: Measure) -> str:
    return ", ".join(f"{name} {seconds:.3g} s" for name, seconds in measure.seconds[-1].items())


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"
