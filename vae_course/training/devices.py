"""One piece of work on several devices: a process for each, which all end together."""

import importlib.util
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from pathlib import Path
from typing import Any

import torch
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from torch import Tensor
from tqdm import tqdm

from vae_course.files import Interruption
from vae_course.training.workers import WorkerKilledError, end_with


class Alone:
    """A process that trains by itself: nothing to average, nobody to agree with."""

    rank, size = 0, 1

    def objective(self, model: Any) -> Callable[..., Any]:
        """What to call for the model's loss terms."""
        return model.loss_terms

    def mean(self, values: Tensor) -> Tensor:
        """The average over all processes."""
        return values

    def agree(self, received: int | None) -> int | None:
        """The number of the signal that stops all processes, if any of them received one."""
        return received


ALONE = Alone()


class Rank(Alone):
    """One process of several that train one model, through Lightning Fabric (DDP)."""

    def __init__(self, fabric: Any, folder: Path) -> None:
        self.fabric, self.folder = fabric, folder
        self.rank, self.size = fabric.global_rank, fabric.world_size
        self.device: torch.device = fabric.device
        self.agreement = torch.distributed.new_group(backend="gloo")  # on the CPU: no GPU waits

    def part(self, per_seed: Sequence[Tensor]) -> Tensor:
        """This process's share of a batch that all of them drew alike."""
        return per_seed[0].chunk(self.size)[self.rank]

    def objective(self, model: Any) -> Callable[..., Any]:
        """``loss_terms``, but so that a backward pass averages the gradients over all processes."""
        wrapped = self.fabric.setup_module(model)
        wrapped.mark_forward_method("loss_terms")
        return wrapped.loss_terms

    def mean(self, values: Tensor) -> Tensor:
        # Added rank by rank: all_reduce sums three or more in an order that depends on the place.
        parts = [torch.empty_like(values) for _ in range(self.size)]
        torch.distributed.all_gather(parts, values)
        return torch.stack(parts).sum(0) / self.size

    def agree(self, received: int | None) -> int | None:
        told = os.listdir(self.folder) if self.rank == 0 else []  # what the driver received
        signals = [signal.Signals[name] for name in told] + ([received] if received else [])
        number = torch.tensor(max(signals, default=0))
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX, group=self.agreement)
        return int(number) or None


def on_each(work: Callable[..., Any], *arguments: Any, devices: int, kind: str) -> Any:
    """What the first of several processes gives for ``work(rank, *arguments)``, one on each device.

    The processes are started for this call, from a script or a notebook alike, and none outlives
    it or its caller. Ctrl-C and SIGTERM reach ``rank.agree``.

    Args:
        work: a function; its arguments and result are pickled (by cloudpickle, as in joblib).
        arguments: of ``work``, after the ``Rank``. Tensors should be on the CPU.
        devices: number of processes.
        kind: ``"cpu"`` (gloo) or ``"cuda"`` (NCCL).

    Raises:
        ImportError: Lightning Fabric is missing.
        vae_course.training.WorkerKilledError: a process was killed; the others are ended.
        Exception: whatever ``work`` raised in one of them; the others are ended.
        KeyboardInterrupt: a second Ctrl-C, or one outside ``work``.
    """
    if importlib.util.find_spec("lightning_fabric") is None:
        raise ImportError(
            f"devices={devices} needs Lightning Fabric, of the extra 'scale': "
            "pip install 'vae_course[scale]'"
        )
    with tempfile.TemporaryDirectory() as name, Interruption() as interruption:
        folder = Path(name)
        pool = ProcessPoolExecutor(max_workers=devices, env={"TORCH_CPP_LOG_LEVEL": "ERROR"})
        try:
            meeting = {"devices": devices, "kind": kind, "port": _free_port(), "folder": folder}
            meeting["driver"] = os.getpid()
            ranks = [pool.submit(_join, i, meeting, work, arguments) for i in range(devices)]
            while not _over(ranks):
                if interruption.signal is not None:
                    (folder / interruption.signal.name).touch()
            _raise_failure(ranks, interruption)
            return ranks[0].result()
        finally:
            pool.shutdown(kill_workers=True)


def _over(ranks: Sequence[Future]) -> bool:
    done, _ = wait(ranks, timeout=0.2, return_when=FIRST_EXCEPTION)
    return ranks[0] in done or any(rank.exception() for rank in done)


def _raise_failure(ranks: Sequence[Future], interruption: Interruption) -> None:
    failures = _failures(ranks)
    if not failures:
        return
    # A killed process breaks the connections of the others, which may fail before it is missed.
    wait(ranks, timeout=2)
    killed = [error for error in _failures(ranks) if isinstance(error, TerminatedWorkerError)]
    if interruption.signal and (killed or isinstance(failures[0], KeyboardInterrupt)):
        raise KeyboardInterrupt(f"stopped by {interruption.signal.name}, outside the training loop")
    if killed:
        raise WorkerKilledError(
            f"one of {len(ranks)} processes was killed (out of memory?), the others were ended"
        ) from killed[0]
    raise failures[0]


def _failures(ranks: Sequence[Future]) -> list[BaseException]:
    errors = [rank.exception() for rank in ranks if rank.done()]
    return [error for error in errors if error is not None]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- in each process


def _join(rank: int, meeting: dict[str, Any], work: Callable[..., Any], arguments: Any) -> Any:
    """Meet the others, then work."""
    end_with(meeting["driver"])
    tqdm.set_lock(threading.RLock())  # by default a semaphore, which a killed process leaves behind
    # Fabric starts no processes where these are set; it would read a cluster's variables otherwise.
    os.environ |= {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(meeting["port"]),
    }
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
    from lightning_fabric.strategies import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # So a weight may miss the loss, as it may on one device; and the sums keep their order from
    # the first step on, which a resumed run needs to be exact.
    strategy = DDPStrategy(find_unused_parameters=True)
    fabric = Fabric(
        accelerator=meeting["kind"],
        devices=meeting["devices"],
        strategy=strategy,
        plugins=[LightningEnvironment()],
    )
    fabric.launch()
    return work(Rank(fabric, meeting["folder"]), *arguments)
