"""Many runs over workers: each finished run is a file, so whoever dies, little is lost."""

import functools
import os
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from torch import Tensor
from tqdm import tqdm

from vae_course.training import run_files
from vae_course.training.loop import Images, train, training_images
from vae_course.training.plan import Plan
from vae_course.training.run_files import Run, own_record, shared_record
from vae_course.training.state import History, NonFiniteLossError
from vae_course.training.workers import WorkerKilledError, end_with, one_thread

RESTARTS = 3  # times that one call starts new workers after one was killed


def train_each(
    models: Sequence[Any],
    data: Images | Tensor,
    plan: Plan,
    *,
    seeds: Sequence[int],
    names: Sequence[str],
    folder: str | Path,
    workers: int,
    device: str | torch.device | None = None,
) -> list[History]:
    """Train each model in place, as ``fit`` would with one thread, and keep each run in a file.

    Runs go to joblib workers, a process and one thread each, and every run writes its weights and
    history to ``folder`` the moment it ends. A run whose file is there is read, not run again: so
    after a killed worker, a killed driver or Ctrl-C only the runs in flight are lost, and the same
    call finishes the rest. Workers end by themselves when their driver is gone.

    A file is named by a hash of the built model (config and initial weights; the source code of
    classes and functions of your own), the training arguments, the data's contents and the
    library's source. What shows in none of these, such as a global variable that a loss of your
    own reads, needs a new folder. Files are safetensors, written atomically, with a checksum of
    their contents: a damaged one is reported and run again.

    On many machines: ``with joblib.parallel_config(backend="dask"):`` around the same call, in a
    program with a ``dask.distributed.Client``. ``folder`` must be one that all machines share, and
    the machines must have the same version of this library.

    Args:
        models: the models, as built.
        data: as in ``fit``.
        plan: how to train each; its ``progress`` is a bar over the runs. No ``checkpoint``.
        seeds: of the batches and the noise, one for each model.
        names: what messages call the models.
        folder: where the files are; made if missing. One folder may hold many sweeps.
        workers: number of processes, 1 or more; -1 for one on each core. A cluster has its own.
        device: where to train; None: where each model is.

    Returns:
        The histories, in the order of the models.

    Raises:
        ValueError: an argument is out of range or doesn't fit the data.
        NonFiniteLossError: runs met one; the message names them, the others are in the folder.
        vae_course.training.WorkerKilledError: a worker was killed more than three times, perhaps
            for want of memory.
        KeyboardInterrupt: Ctrl-C; the message says how far it came.
    """
    if plan.checkpoint is not None:
        raise ValueError(f"checkpoint={str(plan.checkpoint)!r}: runs over workers keep to folder")
    if int(workers) != workers or workers < -1 or workers == 0:
        raise ValueError(f"workers={workers}: must be 1 or more, or -1 for one on each core")
    images = training_images(models[0], data, plan.batch_size).detach().cpu()
    folder = Path(folder).resolve()  # the workers' working folder may be another
    folder.mkdir(parents=True, exist_ok=True)
    shared = shared_record(images, plan)
    runs = [
        Run(model, seed, name, shared | own_record(model, seed, device), folder)
        for model, seed, name in zip(models, seeds, names, strict=True)
    ]
    histories: list[History | None] = [None] * len(runs)
    problems: dict[int, str] = {}
    work = functools.partial(
        _train, plan=replace(plan, progress=False), device=device, driver=os.getpid()
    )
    array = images.contiguous().numpy()  # joblib shares large arrays, not tensors, between workers
    with tqdm(total=len(runs), disable=not plan.progress, unit="run") as bar:
        for restart in range(RESTARTS + 1):
            for i, run in enumerate(runs):
                if histories[i] is None and i not in problems:
                    histories[i] = run.read()
            missing = [i for i, h in enumerate(histories) if h is None and i not in problems]
            bar.n = len(runs) - len(missing)
            bar.refresh()
            if not missing:
                break
            # mmap_mode "c": a view that may be written, as PyTorch asks of arrays, but never is
            parallel = joblib.Parallel(
                n_jobs=workers, batch_size=1, return_as="generator_unordered", mmap_mode="c"
            )
            tasks = (joblib.delayed(work)(i, runs[i], array) for i in missing)
            try:
                for i, problem in parallel(tasks):
                    if problem is not None:
                        problems[i] = f"{runs[i].name}: {problem}"
                    elif history := runs[i].read():
                        histories[i] = history
                    else:
                        raise FileNotFoundError(
                            f"a worker wrote '{runs[i].path}', which can't be read here: "
                            "folder must be one that all machines share"
                        )
                    bar.update()
                break
            # dask replaces a killed worker itself, but not the data that only it held.
            except (TerminatedWorkerError, CancelledError) as error:
                if restart == RESTARTS:
                    raise WorkerKilledError(
                        f"a worker was killed, {RESTARTS + 1} times in this call (out of memory? "
                        f"then take fewer workers); {_so_far(runs)}"
                    ) from error
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"stopped; {_so_far(runs)}") from None
    if problems:
        raise NonFiniteLossError(
            f"{len(problems)} of {len(runs)} runs failed, the others are in '{folder}': "
            + "; ".join(problems.values())
        )
    return [history for history in histories if history is not None]


def _so_far(runs: Sequence[Run]) -> str:
    done = sum(run.path.exists() for run in runs)
    return (
        f"{done} of {len(runs)} runs are in '{runs[0].folder}': "
        "call again with the same arguments to go on"
    )


# ---- in the worker


def _train(
    i: int, run: Run, array: np.ndarray, *, plan: Plan, device: Any, driver: int
) -> tuple[int, str | None]:
    """Train one model and write its file; gives i, and what was not finite, if anything."""
    end_with(driver)
    if run.record["source"] != run_files.SOURCE:
        raise RuntimeError(
            "the workers have another version of vae_course than the program that calls them: "
            "install the same everywhere, and restart the program or notebook if you edited it"
        )
    images = torch.from_numpy(array if array.flags.writeable else array.copy())
    start = time.perf_counter()
    with one_thread(restore=os.getpid() == driver):
        try:
            history = train(run.model, images, plan, seeds=[run.seed], device=device, identity=None)
        except NonFiniteLossError as error:
            return i, str(error)
    run.write(history, seconds=time.perf_counter() - start)
    return i, None
