"""The models of this course."""

from typing import Any

from vae_course.distortion import bernoulli
from vae_course.models import VAE, VQVAE, Autoencoder, LatentModel, SphericalVAE, load
from vae_course.report.adapters import Adapted, evaluated, place


def adapt(model: Any) -> Adapted:
    """Any of ``vae_course.models``: beta, distortion and codebook are the model's own."""
    if not isinstance(model, LatentModel):
        raise TypeError(
            f"adapted knows no {type(model).__name__}: of this course, give a model of "
            "vae_course.models"
        )
    declared: dict[str, Any] = {
        "name": type(model).__name__,
        "device": place(model)[0],
        "distortion": model.distortion,
    }
    if model.distortion is bernoulli:
        declared["value_range"] = (0.0, 1.0)
    if isinstance(model, VAE | SphericalVAE):
        declared["beta"] = model.beta.item()
    own: Any = model
    encode, decode, kind = own.encode, own.decode, "gaussian"
    if isinstance(model, VQVAE):
        encode, decode, kind = lambda x: own.encode(x).indices, own.decode_indices, "codebook"
        declared["codes"] = model.num_codes
    elif isinstance(model, Autoencoder | SphericalVAE):
        kind = "point" if isinstance(model, Autoencoder) else "sphere"
    return Adapted(
        evaluated(model, encode), evaluated(model, decode), kind, declared, model.image_shape
    )


def opened(path: str, device: Any) -> Adapted:
    """A file that ``model.save`` wrote."""
    return adapt(load(path, device=device or "cpu"))
