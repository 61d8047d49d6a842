"""Many runs over workers: each finished run is a file, so whoever dies, little is lost."""

import contextlib
import functools
import hashlib
import inspect
import json
import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import safetensors
import safetensors.torch
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from torch import Tensor, nn
from tqdm import tqdm

from vae_course import checkpoint, training
from vae_course.training import History, Images, NonFiniteLossError, Plan

RESTARTS = 3  # times that one call starts new workers after one was killed
FORMAT = "vae_course.run/1"
# What only measures, draws and reports: an edit of these leaves every run as it was.
NO_PART_OF_A_RUN = {"evaluation", "figures", "grading", "lab", "ledger", "plotting"}


class WorkerKilledError(RuntimeError):
    """Workers were killed again and again; the finished runs are kept."""


def _source() -> str:
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if name.partition("/")[0].removesuffix(".py") not in NO_PART_OF_A_RUN:
            digest.update(f"{name}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCE = _source()  # taken at the import, as the code was: a later edit is another library


@dataclass(frozen=True)
class _Run:
    """One model to train, and the file that says how it went."""

    model: Any
    seed: int
    name: str  # in messages
    record: dict[str, Any]  # all that its numbers depend on
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / f"{_key(self.record)}.safetensors"


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
        WorkerKilledError: a worker was killed more than three times, perhaps for want of memory.
        KeyboardInterrupt: Ctrl-C; the message says how far it came.
    """
    if plan.checkpoint is not None:
        raise ValueError(f"checkpoint={str(plan.checkpoint)!r}: runs over workers keep to folder")
    if int(workers) != workers or workers < -1 or workers == 0:
        raise ValueError(f"workers={workers}: must be 1 or more, or -1 for one on each core")
    images = training.training_images(models[0], data, plan.batch_size).detach().cpu()
    folder = Path(folder).resolve()  # the workers' working folder may be another
    folder.mkdir(parents=True, exist_ok=True)
    shared = _shared_record(images, plan)
    runs = [
        _Run(model, seed, name, shared | _own_record(model, seed, device), folder)
        for model, seed, name in zip(models, seeds, names, strict=True)
    ]
    histories: dict[int, History] = {}
    problems: dict[int, str] = {}
    work = functools.partial(
        _train, plan=replace(plan, progress=False), device=device, driver=os.getpid()
    )
    array = images.contiguous().numpy()  # joblib shares large arrays, not tensors, between workers
    with tqdm(total=len(runs), disable=not plan.progress, unit="run") as bar:
        for restart in range(RESTARTS + 1):
            missing = []
            for i, run in enumerate(runs):
                if i not in histories and i not in problems and not _read_into(histories, i, run):
                    missing.append(i)
            bar.n = len(histories) + len(problems)
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
                    elif not _read_into(histories, i, runs[i]):
                        raise FileNotFoundError(
                            f"a worker wrote '{runs[i].path}', which can't be read here: "
                            "folder must be one that all machines share"
                        )
                    bar.update()
                break
            except TerminatedWorkerError as error:
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
    return [histories[i] for i in range(len(runs))]


def _so_far(runs: Sequence[_Run]) -> str:
    done = sum(run.path.exists() for run in runs)
    return (
        f"{done} of {len(runs)} runs are in '{runs[0].folder}': "
        "call again with the same arguments to go on"
    )


# ---- in the worker


def _train(
    i: int, run: _Run, array: np.ndarray, *, plan: Plan, device: Any, driver: int
) -> tuple[int, str | None]:
    """Train one model and write its file; gives i, and what was not finite, if anything."""
    _end_with(driver)
    if run.record["source"] != SOURCE:
        raise RuntimeError(
            "the workers have another version of vae_course than the program that calls them: "
            "install the same everywhere, and restart the program or notebook if you edited it"
        )
    images = torch.from_numpy(array if array.flags.writeable else array.copy())
    start = time.perf_counter()
    with _one_thread(restore=os.getpid() == driver):
        try:
            history = training.train(
                run.model, images, plan, seeds=[run.seed], device=device, identity=None
            )
        except NonFiniteLossError as error:
            return i, str(error)
    _write(run, history, seconds=time.perf_counter() - start)
    return i, None


@contextlib.contextmanager
def _one_thread(restore: bool) -> Iterator[None]:
    # More threads hardly help one small model, and would compete with the other workers'.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        if restore:
            torch.set_num_threads(threads)


def _end_with(driver: int) -> None:
    """Let this worker end at once when its driver is gone; by itself it would idle for minutes.

    Only for joblib's own processes, the driver's children: a cluster looks after its workers.
    """
    name = "end with the driver"
    if multiprocessing.current_process().name.startswith("LokyProcess") and driver != os.getpid():
        if all(thread.name != name for thread in threading.enumerate()):
            threading.Thread(target=_watch, args=(driver,), name=name, daemon=True).start()


def _watch(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(0.5)
    os._exit(1)


# ---- what names a run


def _shared_record(images: Tensor, plan: Plan) -> dict[str, Any]:
    arguments = asdict(plan)
    for how in ("checkpoint", "checkpoint_every", "progress"):  # no number depends on these
        del arguments[how]
    shape = f"{images.dtype} {list(images.shape)}"
    return {
        "format": FORMAT,
        "source": SOURCE,
        "data": {"sha256": training.checksum(images), "shape": shape},
        "fit": arguments,
    }


def _own_record(model: nn.Module, seed: int, device: str | torch.device | None) -> dict[str, Any]:
    where = torch.device(device) if device is not None else next(model.parameters()).device
    plain = {k: v for k, v in vars(model).items() if isinstance(v, bool | int | float | str)}
    return {
        "model": training.describe(model),
        "layers": repr(model),
        "settings": {k: v for k, v in plain.items() if k != "training"},
        "trained": [name for name, p in model.named_parameters() if p.requires_grad],
        "code": _own_code(model),
        "weights": _digest(model.state_dict()),
        "seed": seed,
        "device": where.type,
    }


def _own_code(model: nn.Module) -> list[str]:
    """The source of the model's classes and distortion that are not the library's or PyTorch's."""
    things: set[Any] = {type(module) for module in model.modules()}
    things.add(getattr(model, "distortion", None))
    return sorted(_source_of(thing) for thing in things if thing is not None)


def _source_of(thing: Any) -> str:
    if isinstance(thing, nn.Module):
        return ""  # among the modules already
    module = getattr(thing, "__module__", None) or type(thing).__module__
    name = getattr(thing, "__qualname__", type(thing).__qualname__)
    if module.partition(".")[0] in ("torch", "vae_course"):
        return f"{module}.{name}"
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # no source: typed into an interpreter, compiled, or an object
        return f"{module}.{name}"


def _key(record: dict[str, Any]) -> str:
    return hashlib.sha256(_json(record).encode()).hexdigest()[:32]


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, default=repr)


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {list(values.shape)}\0".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


# ---- the files


def _write(run: _Run, history: History, seconds: float) -> None:
    weights = {k: v.detach().cpu().contiguous() for k, v in run.model.state_dict().items()}
    curves = ("loss", "distortion", "rate")
    tensors = {f"model.{k}": v for k, v in weights.items()}
    tensors |= {f"history.{k}": torch.tensor(getattr(history, k)) for k in curves}
    metadata = {
        "run": _json(run.record),
        "sha256": _digest(tensors),
        "about": json.dumps({"seconds": round(seconds, 3), "torch": torch.__version__}),
    }
    checkpoint.write_atomically(
        run.path, lambda file: safetensors.torch.save_file(tensors, file, metadata)
    )


def _read_into(histories: dict[int, History], i: int, run: _Run) -> bool:
    """Give the model the weights of its file, and ``histories[i]`` the history, if it is there."""
    try:
        with safetensors.safe_open(run.path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if metadata["run"] != _json(run.record) or metadata["sha256"] != _digest(tensors):
            raise ValueError("its contents don't match their checksum")
    except FileNotFoundError:
        return False
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        warnings.warn(
            f"'{run.path}' ({run.name}) is damaged ({error}): this run is done again",
            stacklevel=4,
        )
        return False
    run.model.load_state_dict(
        {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    )
    run.model.eval()
    curves = [tensors[f"history.{k}"].numpy() for k in ("loss", "distortion", "rate")]
    histories[i] = History(np.arange(len(curves[0])), *curves)
    return True
