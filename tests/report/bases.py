"""Healthy models that are small and trained: what sabotages break, and what no report may accuse.

``python -m tests.report.bases [NAMES…]`` trains them again, about four CPU-minutes in all, on
training sets that the package brings, and writes ``weights/NAME.safetensors``, in half precision.
Trained sabotages lie beside them: they start from the healthy weights.
"""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from vae_course import models
from vae_course.data import load
from vae_course.models import VAE, LatentModel, networks
from vae_course.models.base import LossTerms
from vae_course.training import fit

WEIGHTS = Path(__file__).parent / "weights"
CHANNELS = 4
BETA = 0.03


class Base(NamedTuple):
    """A healthy model with images that it was not trained on."""

    encode: Callable[[Tensor], Any]
    decode: Callable[[Tensor], Tensor]
    images: Tensor
    declared: dict[str, Any]
    """What its pipeline would tell a report."""


class SpatialVAE(VAE):
    """A VAE whose codes are images (batch, C, h, w) for those outside, and flat inside."""

    def __init__(self, image_shape: tuple[int, ...], *, norm: bool = False, **rest: Any) -> None:
        encoder = networks.spatial_encoder(image_shape, 2 * CHANNELS, 16, depth=1)
        decoder = networks.spatial_decoder(CHANNELS, image_shape, 16, depth=1)
        self.grid = networks.spatial_shape(image_shape, CHANNELS)
        if norm:
            encoder.insert(1, nn.BatchNorm2d(16))
            encoder.insert(4, nn.BatchNorm2d(32))
            decoder.insert(2, nn.BatchNorm2d(32))
        rest = {"beta": BETA} | rest
        super().__init__(
            encoder, decoder, image_shape=image_shape, d=torch.Size(self.grid).numel(), **rest
        )

    @torch.no_grad()
    def balls(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, sigma = self.encode(x)
        return mu.unflatten(1, self.grid), sigma.unflatten(1, self.grid)

    def images(self, z: Tensor) -> Tensor:
        return self.decode(z.flatten(1))


class MaskedVAE(SpatialVAE):
    """The last channel is zero in training, and costs nothing: a mask that export forgets."""

    def loss_terms(self, x: Tensor, eps: Tensor) -> LossTerms:
        kept = torch.ones(self.grid, device=x.device)
        kept[-1] = 0
        kept = kept.flatten()
        mu, log_variance = self.posterior(x)
        z = (mu + (log_variance / 2).exp() * eps) * kept
        distortion = self.distortion_of(x, z)
        rate = ((mu * mu + log_variance.exp() - 1 - log_variance) * kept).sum(-1) / 2
        return LossTerms(distortion + self.beta * rate, distortion, rate)


DATA: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("digits", {}),
    "mnist": ("mnist_small", {}),
    "fashion": ("fashion_small", {}),
    "photographs": ("photographs", {"size": 32, "colour": True, "n_train": 2740, "n_test": 1000}),
}
"""Ours → the package's name and options."""


@cache
def data(name: str) -> Any:
    given, options = DATA[name]
    return load(given, **options)


class Recipe(NamedTuple):
    """How a model is made."""

    data: str
    build: Callable[..., LatentModel]
    steps: int
    lr: float = 4e-3
    start: str = ""
    """The weights it starts from."""


def _spatial(shape: tuple[int, ...], **rest: Any) -> Callable[[], LatentModel]:
    return lambda: SpatialVAE(shape, **rest)


GREY, COLOUR = (1, 28, 28), (3, 32, 32)
D, BATCH = 196, 64
RECIPES: dict[str, Recipe] = {
    "mnist": Recipe("mnist", _spatial(GREY), 2500),
    "fashion": Recipe("fashion", _spatial(GREY), 2500),
    "photographs": Recipe("photographs", _spatial(COLOUR), 1800),
    "norm": Recipe("mnist", _spatial(GREY, norm=True), 1200),
    "digits": Recipe("digits", lambda: VAE.mlp(hidden=(64, 32), beta=0.05), 2500),
    "bernoulli": Recipe(
        "digits", lambda: VAE.mlp(hidden=(64, 32), beta=1.0, distortion="bernoulli"), 2500
    ),
    "autoencoder": Recipe("digits", lambda: models.Autoencoder.mlp(hidden=(64, 32)), 2500),
    "sphere": Recipe("digits", lambda: models.SphericalVAE.mlp(hidden=(64, 32), beta=0.05), 2500),
    "codebook": Recipe(
        "digits", lambda: models.VQVAE.mlp(d=4, hidden=(64, 32), slots=4, num_codes=32), 2500
    ),
}
"""The healthy ones."""
for _name, _shape in (("mnist", GREY), ("fashion", GREY), ("photographs", COLOUR)):
    _d = 4 * _shape[1] * _shape[2] // 16
    _builds = {
        "mean": _spatial(_shape, beta=BETA / _d),  # the KL is a mean over dimensions
        "batch": _spatial(_shape, beta=BETA * BATCH),  # ... a sum over the batch
        "masked": lambda shape=_shape: MaskedVAE(shape),
    }
    for _kind, _build in _builds.items():
        RECIPES[f"{_name}-{_kind}"] = Recipe(_name, _build, 500, 2e-3, _name)


def train(name: str) -> None:
    recipe = RECIPES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = recipe.build()
    if recipe.start:
        weights = safetensors.torch.load_file(WEIGHTS / f"{recipe.start}.safetensors")
        if name.endswith("masked"):  # an untrained channel is as it was first drawn
            weights = _fresh_channel(weights, model.state_dict())
        beta = model.beta.clone()
        model.load_state_dict(weights)
        model.beta.copy_(beta)
    fit(
        model,
        data(recipe.data).train,
        steps=recipe.steps,
        lr=recipe.lr,
        batch_size=BATCH,
        progress=False,
    )
    WEIGHTS.mkdir(exist_ok=True)
    kept = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    kept["beta"] = model.state_dict()["beta"] if hasattr(model, "beta") else torch.zeros(())
    safetensors.torch.save_file(kept, WEIGHTS / f"{name}.safetensors")


def _fresh_channel(old: dict[str, Tensor], fresh: dict[str, Tensor]) -> dict[str, Tensor]:
    """The last channel's weights in both heads and in the decoder as they were drawn."""
    old = {k: v.to(fresh[k].dtype) for k, v in old.items()}
    last = max(k for k in fresh if k.startswith("encoder") and k.endswith("weight"))
    first = min(k for k in fresh if k.startswith("decoder") and k.endswith("weight"))
    for k in (last, last.replace("weight", "bias")):
        for channel in (CHANNELS - 1, 2 * CHANNELS - 1):
            old[k][channel] = fresh[k][channel]
    old[first][:, CHANNELS - 1] = fresh[first][:, CHANNELS - 1]
    return old


@cache
def model(name: str) -> Any:
    """A trained model, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        built = RECIPES[name].build()
    weights = safetensors.torch.load_file(WEIGHTS / f"{name}.safetensors")
    if "beta" not in built.state_dict():
        weights.pop("beta")
    built.load_state_dict(weights)
    return built.eval().requires_grad_(False)


def base(name: str, images: int = 400) -> Base:
    """A healthy model as (encode, decode), images, and what is declared."""
    m = model(name)
    x = data(RECIPES[name].data).test[:images]
    if isinstance(m, SpatialVAE):
        return Base(m.balls, m.images, x, {"beta": float(m.beta)})
    if isinstance(m, VAE):
        return Base(m.encode, m.decode, x, {"beta": float(m.beta), "distortion": m.distortion})
    if isinstance(m, models.VQVAE):
        return Base(lambda x: m.encode(x).indices, m.decode_indices, x, {"codes": m.num_codes})
    return Base(m.encode, m.decode, x, {})


if __name__ == "__main__":
    for chosen in sys.argv[1:] or RECIPES:
        train(chosen)
        print(chosen, flush=True)
