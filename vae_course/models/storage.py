"""Models read from the safetensors files that ``model.save(path)`` writes."""

import json
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import torch

from vae_course.distortion import Distortion
from vae_course.models.autoencoder import Autoencoder, DenoisingAutoencoder
from vae_course.models.base import LatentModel
from vae_course.models.spherical import SphericalVAE
from vae_course.models.vae import VAE
from vae_course.models.vqvae import VQVAE

KINDS: tuple[type[LatentModel], ...] = Autoencoder, DenoisingAutoencoder, VAE, VQVAE, SphericalVAE
SIZES = "d", "hidden", "image_shape", "num_codes", "slots", "width"
FLOATS = {"F64", "F32", "F16", "BF16"}


def load(
    path: str | Path,
    *,
    distortion: Distortion | None = None,
    device: str | torch.device = "cpu",
) -> LatentModel:
    """Rebuild a model that ``model.save(path)`` wrote, in eval mode.

    A model with a distortion of your own needs it again as ``distortion``. Pickles (``torch.save``)
    are refused, since reading one can run any code. ValueError names the file and the remedy.
    """
    path = Path(path)
    with _opened(path) as (config, file):
        model = _built(path, config, file, distortion)
        weights = {name: file.get_tensor(name) for name in file.keys()}
    for name, value in weights.items():
        if not value.isfinite().all():
            raise _refused(path, f"its {name} holds NaN or infinite numbers")
    model.load_state_dict(weights)
    if "beta" in weights and not weights["beta"] >= 0:
        raise _refused(path, f"its beta is {weights['beta']:.4g}, and may not be negative")
    return model.to(device).eval()


def _built(path: Path, config: dict[str, Any], file: Any, distortion: Any) -> LatentModel:
    """The model that the config describes, once it is known to be no larger than the file."""
    if config["distortion"] is None and distortion is None:
        raise ValueError(
            f"'{path}' was trained with a distortion of its author's own, which a file can't hold: "
            "pass it as load(path, distortion=...)"
        )
    if config["distortion"] is not None and distortion is not None:
        raise ValueError(
            f"'{path}' was trained with distortion={config['distortion']!r}: "
            "leave out the argument distortion"
        )
    kinds = {kind.__name__: kind for kind in KINDS}
    arguments = config | ({"distortion": distortion} if distortion else {})
    name, network = arguments.pop("model"), arguments.pop("network")
    if not isinstance(name, str) or name not in kinds or network not in ("mlp", "conv"):
        raise _refused(path, f"it says that it is a {name!r} with {network!r} networks")
    build: Callable[..., LatentModel] = getattr(kinds[name], network)
    entries = {name: file.get_slice(name) for name in file.keys()}
    _check_sizes(path, arguments, entries)
    try:
        with torch.device("meta"):  # sizes, and no memory
            sketch = build(**arguments).state_dict()
    except Exception as error:  # of any type, by what the config holds
        first = str(error).partition("\n")[0]
        raise _refused(
            path, f"its config describes no model ({type(error).__name__}: {first})"
        ) from error
    missing, other = sketch.keys() - entries.keys(), entries.keys() - sketch.keys()
    if missing or other:
        raise _refused(
            path,
            f"tensors are missing ({_some(missing)}) or foreign to its config ({_some(other)})",
        )
    for name, tensor in sketch.items():
        shape, dtype = entries[name].get_shape(), entries[name].get_dtype()
        if shape != list(tensor.shape):
            raise _refused(path, f"its {name} is {shape}, by its config {list(tensor.shape)}")
        if dtype not in (FLOATS if tensor.is_floating_point() else {"I64"}):
            raise _refused(path, f"its {name} holds {dtype}, and should hold {tensor.dtype}")
    return build(**arguments)


def _check_sizes(path: Path, arguments: dict[str, Any], entries: dict[str, Any]) -> None:
    """No size is larger than all weights together, and no list longer: else building takes long."""
    numbers = sum(math.prod(entry.get_shape()) for entry in entries.values())
    for name in SIZES if arguments.get("levels") is None else set(SIZES) - {"num_codes"}:
        given = arguments.get(name) or 1
        each = given if isinstance(given, list) else [given]
        if len(each) > len(entries) + 100 or any(isinstance(n, int) and n > numbers for n in each):
            raise _refused(path, f"its config's {name} is more than its {numbers} numbers can be")


def _some(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "") or "none"


def _refused(path: Path, why: str) -> ValueError:
    return ValueError(
        f"'{path}' is not a model saved by vae_course, or was damaged or changed: {why}; "
        "write it again with model.save(path)"
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """The config of a file, and the file itself, of which only the head has been read."""
    try:
        file = safetensors.safe_open(path, framework="pt")
    except safetensors.SafetensorError as error:
        with open(path, "rb") as opened:
            head = opened.read(2)
        if head == b"PK" or head[:1] == b"\x80":  # torch.save's zip; pickle protocol 2 and later
            raise ValueError(
                f"'{path}' is a pickle (torch.save, pickle.dump), which can run code when read; "
                "only safetensors files are loaded. If you trust its origin: build the model, "
                "model.load_state_dict(torch.load(path, weights_only=True)), model.save(new_path)"
            ) from error
        raise _refused(path, str(error)) from error
    with file:
        try:
            config = json.loads((file.metadata() or {})["vae_course"])
            if not {"model", "network", "distortion"} <= config.keys():
                raise ValueError("it names no model")
        except (KeyError, ValueError, AttributeError, RecursionError) as error:
            raise _refused(path, f"no config ({type(error).__name__}: {error})") from error
        yield config, file
