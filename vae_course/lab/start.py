"""The start and the end of a lab: its tier, its device, its clock."""

import os
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch

import vae_course
from vae_course.lab import ledger

CPU_BUDGET = 150.0  # CPU-seconds a lab may take at tier `class`
_SEEDS = {"smoke": 1, "class": 3, "full": 5}


@dataclass(frozen=True)
class Lab:
    """A running lab; a tier changes the sizes it picks, never its code."""

    name: str
    tier: str
    device: torch.device
    started: float = field(default_factory=time.perf_counter)

    @property
    def seeds(self) -> range:
        """1, 3 or 5 seeds at ``smoke``, ``class`` and ``full``."""
        return range(_SEEDS[self.tier])

    def pick(self, *, smoke: Any, class_: Any, full: Any) -> Any:
        """The size that belongs to this run's tier."""
        return {"smoke": smoke, "class": class_, "full": full}[self.tier]

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


def start(name: str) -> Lab:
    """Begin a lab: say which version, tier and device it runs on.

    On a CPU it keeps torch to one thread: the course's networks are so small that
    a second thread costs more than it brings.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    installed = version("vae_course")
    if installed != vae_course.__version__:
        raise RuntimeError(
            f"vae_course {vae_course.__version__} is in memory, but {installed} is installed: "
            "restart the kernel (on Colab: Runtime, Restart session), then run from the top"
        )
    lab = Lab(name, ledger.tier(), device)
    machine = ledger.machine()
    print(
        f"vae_course {vae_course.__version__} · tier {lab.tier} · {device.type} "
        f"({machine['device']}) · torch {machine['torch']}"
    )
    return lab
