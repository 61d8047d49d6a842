"""The start and the end of a lab: its tier, its device, its clock."""

import os
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import vae_course
from vae_course.lab import ledger

CPU_BUDGET = 150.0  # CPU-seconds a lab may take at tier `class`
HINT = (
    "\nAn Apple GPU is here and idle: start({!r}, 'mps') uses it, where a lab needs no float64, "
    "which it lacks. The labs have not been tried on one."
)
_SEEDS = {"smoke": 1, "class": 3, "full": 5, "paper": 5}


@dataclass(frozen=True)
class Lab:
    """A running lab; a tier changes the sizes it picks, never its code."""

    name: str
    tier: str
    device: torch.device
    started: float = field(default_factory=time.perf_counter)

    @property
    def seeds(self) -> range:
        """1 or 3 seeds at ``smoke`` and ``class``, 5 above."""
        return range(_SEEDS[self.tier])

    def pick(self, *, smoke: Any, class_: Any, full: Any, paper: Any = None) -> Any:
        """The size that belongs to this run's tier; that of ``full`` where ``paper`` has none."""
        paper = full if paper is None else paper
        return {"smoke": smoke, "class": class_, "full": full, "paper": paper}[self.tier]

    def steps(self, *, smoke: int, class_: int, full: int, paper: int | None = None) -> int:
        """``pick`` for a number of training steps: in the half-way run, half as many."""
        steps = self.pick(smoke=smoke, class_=class_, full=full, paper=paper)
        return max(1, steps // 2) if os.environ.get("VAE_COURSE_HALF") == "1" else steps

    def keep(self, name: str, *parts: object) -> Path | None:
        """Where ``fit`` and ``sweep`` keep a training, so that a killed run goes on.

        A file in the folder ``VAE_COURSE_RUNS``, which ``make full`` sets; without it, None. The
        name, and what ``parts`` add to it, must be the training's own within its lab.
        """
        folder = os.environ.get("VAE_COURSE_RUNS")
        return Path(folder) / ("-".join(map(str, (name, *parts))) + ".run") if folder else None

    def finish(self) -> None:
        """Print and record what the lab cost."""
        used = os.times()  # of this process and of the workers it has waited for
        cpu = used.user + used.system + used.children_user + used.children_system
        cost = {
            "tier": self.tier,
            "cpu_seconds": round(cpu, 1),
            "wall_seconds": round(time.perf_counter() - self.started, 1),
            "machine": ledger.machine(),
            "modules": sorted(name for name in sys.modules if name.split(".")[0] == "vae_course"),
        }
        if self.device.type == "cuda":
            cost["peak_gpu_bytes"] = torch.cuda.max_memory_allocated(self.device)
        ledger.record("labs", self.name, cost)
        budget = f" of {CPU_BUDGET:.0f} allowed" if self.tier == "class" else ""
        print(f"{self.name}: {cpu:.0f} CPU-seconds{budget}, tier {self.tier}")


def start(name: str, device: str | torch.device | None = None) -> Lab:
    """Begin a lab: say which version, tier and device it runs on.

    ``device``: where its models train; None: a CUDA GPU where there is one, else the CPU. An Apple
    GPU is taken only if asked for, ``start(name, "mps")``: it has no float64, in which several labs
    measure, and none of them has been run on one. Where there is one, the first line says so.

    On a CPU it keeps torch to one thread: the course's networks are so small that
    a second thread costs more than it brings. ValueError for a device that is not there.
    """
    place = _device(device)
    if place.type == "cpu":
        torch.set_num_threads(1)
    installed = version("vae_course")
    if installed != vae_course.__version__:
        raise RuntimeError(
            f"vae_course {vae_course.__version__} is in memory, but {installed} is installed: "
            "restart the kernel (on Colab: Runtime, Restart session), then run from the top"
        )
    lab = Lab(name, ledger.tier(), place)
    machine = ledger.machine()
    print(
        f"vae_course {vae_course.__version__} · tier {lab.tier} · {place.type} "
        f"({machine['device']}) · torch {machine['torch']}"
        + (HINT.format(name) if device is None and _there()["mps"] else "")
    )
    return lab


def _there() -> dict[str, bool]:
    return {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }


def _device(asked: str | torch.device | None) -> torch.device:
    there = _there()
    if asked is None:
        return torch.device("cuda" if there["cuda"] else "cpu")
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError):
        device = torch.device("meta")
    if not there.get(device.type):
        can = ", ".join(repr(kind) for kind, is_there in there.items() if is_there)
        raise ValueError(f"device={asked!r} is not on this machine: choose {can}, or leave it out")
    return device
