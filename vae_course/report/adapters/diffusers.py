"""Autoencoders of diffusers: ``AutoencoderKL``, ``VQModel`` and others of one image each."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_course.report.adapters import Adapted, evaluated, place

SILENT = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_TELEMETRY": "1"}
"""The hub is never asked, and nobody is told."""


def adapt(model: Any) -> Adapted:
    """What the config declares is declared, not applied: encode and decode leave codes alone."""
    config = model.config
    device, dtype = place(model)
    declared: dict[str, Any] = {
        "name": type(model).__name__,
        "device": device,
        "value_range": (-1.0, 1.0),
    }
    halvings = max(len(config.get("block_out_channels", [0])) - 1, 0)
    channels = config.get("in_channels")

    def checked(x: Tensor) -> Tensor:
        if x.ndim != 4 or (channels and x.shape[1] != channels):
            raise ValueError(
                f"images of shape {tuple(x.shape[1:])}: this {type(model).__name__} takes "
                f"{channels} channels, (batch, {channels}, height, width)"
            )
        if any(side % 2**halvings for side in x.shape[2:]):
            raise ValueError(
                f"images of {x.shape[2]} x {x.shape[3]}: this {type(model).__name__} halves sides "
                f"{halvings} times, so that they must be multiples of {2**halvings}"
            )
        return x.to(dtype)

    def encode(x: Tensor) -> Any:
        output = model.encode(checked(x))
        if hasattr(output, "latent_dist"):
            return output.latent_dist.mean.to(x.dtype), output.latent_dist.std.to(x.dtype)
        return (output.latents if hasattr(output, "latents") else output.latent).to(x.dtype)

    def indices(x: Tensor) -> Tensor:
        latents = model.encode(checked(x)).latents
        found: Tensor = model.quantize(latents)[2][2]
        return found.reshape(len(latents), *latents.shape[2:])

    def decode(z: Tensor) -> Tensor:
        return model.decode(z.to(dtype)).sample.to(z.dtype)

    def decode_indices(z: Tensor) -> Tensor:
        # Not by the quantizer once more: what is decoded is the centre itself.
        centres = model.quantize.get_codebook_entry(z.flatten(), (*z.shape, -1))
        quantized = model.post_quant_conv(centres)
        seen = centres if config.get("norm_type") == "spatial" else None
        return model.decoder(quantized, seen).float()

    shape = (channels, None, None) if channels else ()
    if hasattr(model, "quantize"):
        declared["codes"] = config["num_vq_embeddings"]
        first, last, kind = evaluated(model, indices), evaluated(model, decode_indices), "codebook"
    else:
        if config.get("latents_mean") is None:  # else one factor for each channel is declared
            declared |= {
                "factor": config.get("scaling_factor"),
                "shift": config.get("shift_factor"),
            }
        first, last, kind = evaluated(model, encode), evaluated(model, decode), ""
    return Adapted(first, last, kind, declared, shape)


def opened(folder: Path, device: torch.device | str | None) -> Adapted:
    """A folder with config.json and weights in safetensors."""
    name = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    with quiet():
        try:
            diffusers = import_module("diffusers")
        except ImportError as error:
            raise ImportError(
                f"'{folder}' is a model of diffusers, which can't be imported ({error}): "
                "pip install 'vae_course[report]'"
            ) from error
        kind: Any = getattr(diffusers, str(name), None)
        if not (hasattr(kind, "encode") and hasattr(kind, "from_pretrained")):
            raise ValueError(
                f"'{folder}' holds a {name}, which is no autoencoder of diffusers "
                f"{diffusers.__version__}"
            )
        try:
            model, said = kind.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
            )
        except OSError as error:
            raise OSError(
                f"'{folder}' has no weights in safetensors that can be read ({_first(error)}); a "
                ".bin is a pickle, which can run code when read: where you trust it, write it "
                f"again by {name}.from_pretrained(folder, use_safetensors=False)"
                ".save_pretrained(another)"
            ) from error
        except Exception as error:  # of many types, by what the folder holds
            raise ValueError(
                f"'{folder}' is no model of diffusers {diffusers.__version__} that can be read "
                f"({type(error).__name__}: {_first(error)})"
            ) from error
    if lost := sorted(said["missing_keys"]):
        raise ValueError(
            f"'{folder}': the weights lack {len(lost)} tensors, {lost[0]} among them, that its "
            "config asks for; both must be of one model"
        )
    return adapt(model.to(device or "cpu"))


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def quiet() -> Iterator[None]:
    """No hub and no telemetry, for what is imported and read inside."""
    before = {name: os.environ.get(name) for name in SILENT}
    os.environ.update(SILENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
