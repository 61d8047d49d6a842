"""What names a run, down to the library's source, and the file that says how it went."""

import hashlib
import inspect
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from vae_course.files import write_atomically
from vae_course.training.loop import describe
from vae_course.training.plan import Plan
from vae_course.training.state import History, checksum

FORMAT = "vae_course.run/1"
# What only measures, draws and reports: an edit of these leaves every run as it was.
NO_PART_OF_A_RUN = {"evaluation", "figures", "grading", "lab"}
CURVES = ("loss", "distortion", "rate")


def _source() -> str:
    digest = hashlib.sha256()
    folder = Path(__file__).parents[1]
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if name.partition("/")[0].removesuffix(".py") not in NO_PART_OF_A_RUN:
            digest.update(f"{name}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCE = _source()  # taken at the import, as the code was: a later edit is another library


@dataclass(frozen=True)
class Run:
    """One model to train, and its file: weights and history, under a hash of ``record``."""

    model: Any
    seed: int
    name: str  # in messages
    record: dict[str, Any]  # all that its numbers depend on
    folder: Path

    @property
    def path(self) -> Path:
        """Where the file is, or will be."""
        key = hashlib.sha256(_json(self.record).encode()).hexdigest()[:32]
        return self.folder / f"{key}.safetensors"

    def write(self, history: History, seconds: float) -> None:
        """Write the model's weights and its history, atomically, with a checksum of both."""
        tensors = {f"model.{k}": v.detach() for k, v in self.model.state_dict().items()}
        tensors |= {f"history.{k}": torch.tensor(getattr(history, k)) for k in CURVES}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {
            "run": _json(self.record),
            "sha256": _digest(tensors),
            "about": json.dumps({"seconds": round(seconds, 3), "torch": torch.__version__}),
        }
        content = safetensors.torch.save(tensors, metadata)
        write_atomically(self.path, lambda file: file.write_bytes(content))

    def read(self) -> History | None:
        """Give the model the weights of its file, and return the history; None if there is no
        file, or a damaged one, which is reported."""
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            if metadata["run"] != _json(self.record) or metadata["sha256"] != _digest(tensors):
                raise ValueError("its contents don't match their checksum")
        except FileNotFoundError:
            return None
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            warnings.warn(
                f"'{self.path}' ({self.name}) is damaged ({error}): this run is done again",
                stacklevel=4,
            )
            return None
        self.model.load_state_dict(
            {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        )
        self.model.eval()
        curves = [tensors[f"history.{k}"].numpy() for k in CURVES]
        return History(np.arange(len(curves[0])), *curves)


def shared_record(images: Tensor, plan: Plan) -> dict[str, Any]:
    """What the numbers of all runs of one call depend on."""
    arguments = asdict(plan)
    for how in ("checkpoint", "checkpoint_every", "progress"):  # no number depends on these
        del arguments[how]
    shape = f"{images.dtype} {list(images.shape)}"
    return {
        "format": FORMAT,
        "source": SOURCE,
        "data": {"sha256": checksum(images), "shape": shape},
        "fit": arguments,
    }


def own_record(model: nn.Module, seed: int, device: str | torch.device | None) -> dict[str, Any]:
    """What the numbers of one run depend on besides."""
    where = torch.device(device) if device is not None else next(model.parameters()).device
    plain = {k: v for k, v in vars(model).items() if isinstance(v, bool | int | float | str)}
    return {
        "model": describe(model),
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


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, default=repr)


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {list(values.shape)}\0".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
