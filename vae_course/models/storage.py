"""Models read from the safetensors files that ``model.save(path)`` writes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from vae_course.distortion import Distortion
from vae_course.models.autoencoder import Autoencoder, DenoisingAutoencoder
from vae_course.models.base import LatentModel
from vae_course.models.spherical import SphericalVAE
from vae_course.models.vae import VAE
from vae_course.models.vqvae import VQVAE


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
    config, weights = _read(Path(path))
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
    kinds: tuple[type[LatentModel], ...] = (
        Autoencoder,
        DenoisingAutoencoder,
        VAE,
        VQVAE,
        SphericalVAE,
    )
    cls = {kind.__name__: kind for kind in kinds}[config.pop("model")]
    builders: dict[str, Callable[..., LatentModel]] = {"mlp": cls.mlp, "conv": cls.conv}
    model = builders[config.pop("network")](
        **config | ({"distortion": distortion} if distortion else {})
    )
    model.load_state_dict(weights)
    return model.to(device).eval()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})["vae_course"])
            return config, {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        with open(path, "rb") as opened:
            head = opened.read(2)
        if head == b"PK" or head[:1] == b"\x80":  # torch.save's zip; pickle protocol 2 and later
            raise ValueError(
                f"'{path}' is a pickle (torch.save, pickle.dump), which can run code when read; "
                "only safetensors files are loaded. If you trust its origin: build the model, "
                "model.load_state_dict(torch.load(path, weights_only=True)), model.save(new_path)"
            ) from error
        raise ValueError(
            f"'{path}' is not a model saved by vae_course, or is damaged "
            f"({type(error).__name__}: {error}); write it again with model.save(path)"
        ) from error
