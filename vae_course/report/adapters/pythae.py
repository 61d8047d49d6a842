"""Autoencoders of pythae whose encoder's codes are those that the decoder is given."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from vae_course.distortion import bernoulli
from vae_course.gaussian import convert_beta
from vae_course.report.adapters import Adapted, evaluated, place
from vae_course.report.adapters.diffusers import quiet
from vae_course.sphere import VonMisesFisher

MOVED = {"HVAE", "RHVAE", "VAE_IAF", "VAE_LinNF", "PoincareVAE"}
"""Their decoder is given codes that a flow has moved, or points of a hyperbolic space."""
PICKLES = "model.pt", "encoder.pkl", "decoder.pkl"


def adapt(model: Any) -> Adapted:
    """beta and distortion are the config's, where the loss is that of a VAE or a BetaVAE."""
    ours: list[Any] = [c for c in type(model).__mro__ if c.__module__.split(".")[0] == "pythae"]
    names = [c.__name__ for c in ours]
    if moved := MOVED.intersection(names):
        raise ValueError(
            f"pythae's {moved.pop()} decodes codes that a flow has moved, or that lie in a "
            "hyperbolic space, and not the balls that its encoder gives: call report(encode, "
            "decode, images) with callables of your own"
        )
    if not hasattr(model, "encoder") or not hasattr(model, "decoder"):
        raise TypeError(f"{type(model).__name__} of pythae has no encoder and decoder")
    config = model.model_config
    device, _ = place(model)
    declared: dict[str, Any] = {"name": type(model).__name__, "device": device}
    loss = getattr(config, "reconstruction_loss", "mse")
    if loss == "bce":
        declared |= {"distortion": bernoulli, "value_range": (0.0, 1.0)}
    elif config.uses_default_decoder:  # it ends in a sigmoid
        declared["value_range"] = (0.0, 1.0)
    if (
        names[0] in ("VAE", "BetaVAE", "SVAE")
        and type(model).loss_function is ours[0].loss_function
    ):
        beta = float(model.beta) if names[0] == "BetaVAE" else 1.0
        # pythae counts half the squared error, and the cross-entropy whole.
        declared["beta"] = convert_beta(beta, "half", "sum") if loss == "mse" else beta

    def balls(x: Tensor) -> Any:
        output = model.encoder(x)
        return output.embedding, (output.log_covariance / 2).exp()

    def points(x: Tensor) -> Tensor:
        return model.encoder(x).embedding

    def laws(x: Tensor) -> VonMisesFisher:
        output = model.encoder(x)
        loc = torch.nn.functional.normalize(output.embedding, dim=-1)
        return VonMisesFisher(loc, softplus(output.log_concentration).squeeze(-1) + 1)

    def decode(z: Tensor) -> Tensor:
        return model.decoder(z)["reconstruction"]

    if "VQVAE" in names:
        encode, decode = _codebook(model, decode)
        declared["codes"], kind = model.quantizer.num_embeddings, "codebook"
    elif "SVAE" in names:
        encode, kind = laws, "sphere"
    elif "VAE" in names:
        encode, kind = balls, "gaussian"
    else:
        encode, kind = points, "point"
    shape = tuple(config.input_dim or ())
    return Adapted(evaluated(model, encode), evaluated(model, decode), kind, declared, shape)


def _codebook(model: Any, decode: Any) -> tuple[Any, Any]:
    """By indices, (batch, height, width); of a flat code (batch, d), for pythae then quantizes
    each of its numbers by itself."""

    def encode(x: Tensor) -> Tensor:
        z = model.encoder(x).embedding
        places = z if z.ndim == 4 else z[:, None, None]
        found: Tensor = model.quantizer(places.permute(0, 2, 3, 1)).quantized_indices
        return found.squeeze(1) if z.ndim == 4 else found.flatten(1)

    def decode_indices(indices: Tensor) -> Any:
        table = model.quantizer.embeddings
        z = getattr(table, "weight", table)[indices]
        return decode(z.flatten(1) if indices.ndim == 2 else z.permute(0, 3, 1, 2))

    return encode, decode_indices


def opened(folder: Path, trust: bool, device: torch.device | str | None) -> Adapted:
    """A folder of ``model.save``; its weights are pickles, read only where that is allowed."""
    found = [name for name in PICKLES if (folder / name).exists()]
    if not trust:
        raise ValueError(
            f"'{folder}' is a model of pythae, whose weights are pickles ({', '.join(found)}), "
            "which can run code when read: where you trust their origin, add --trust (trust=True)"
        )
    with quiet():
        try:
            models = import_module("pythae.models")
        except ImportError as error:
            name = str(error.name or "pythae").split(".")[0]
            how = "--no-deps pythae==0.1.2 && pip install cloudpickle pydantic"
            raise ImportError(
                f"'{folder}' is a model of pythae, which can't be imported ({error}): pip install "
                + (how if name == "pythae" else name)
            ) from error
        try:
            model = models.AutoModel.load_from_folder(str(folder))
        except Exception as error:  # of many types, by what the folder holds
            first = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"'{folder}' is no model of pythae that can be read "
                f"({type(error).__name__}: {first})"
            ) from error
    return adapt(model.to(device or "cpu"))
