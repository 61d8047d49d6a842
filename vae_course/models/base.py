"""What all models share: an encoder, a decoder that draws images, and their distortion."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_course.arguments import check_number, check_tensor
from vae_course.distortion import Distortion, bernoulli, named
from vae_course.files import write_atomically
from vae_course.models import networks

Model = TypeVar("Model", bound="LatentModel")


class LossTerms(NamedTuple):
    """The objective and its two parts, one value for each image of the batch."""

    loss: Float[Tensor, "*batch"]
    distortion: Float[Tensor, "*batch"]
    rate: Float[Tensor, "*batch"]


class LatentModel(nn.Module):
    """What all models share: an encoder, a decoder that draws images, and their distortion.

    Args:
        encoder: maps images (\\*batch, \\*image_shape) to (\\*batch, ``outputs(d)``).
        decoder: maps codes (\\*batch, d) to what the distortion compares to images: the image
            itself, or for ``"bernoulli"`` its logits.
        image_shape: shape of one image, for example (1, 28, 28).
        d: latent dimension.
        distortion: ``"squared_error"``, ``"bernoulli"`` or a callable (x, output) -> (batch,).
    """

    heads: ClassVar[int]  # numbers the encoder gives for each latent dimension
    config: dict[str, Any] | None = None  # what rebuilds the model; None for your own networks

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        image_shape: Sequence[int],
        d: int,
        distortion: str | Distortion = "squared_error",
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.image_shape, self.d = tuple(image_shape), d
        if not callable(distortion) and not isinstance(distortion, str):
            raise TypeError(
                f"distortion must be a name or a callable (x, output) -> (batch,), got "
                f"{type(distortion).__name__}"
            )
        self.distortion = named(distortion) if isinstance(distortion, str) else distortion

    @classmethod
    def mlp(
        cls: type[Model],
        image_shape: Sequence[int] = (1, 8, 8),
        d: int = 8,
        hidden: Sequence[int] = (128, 64),
        *,
        activation: str = "silu",
        seed: int = 0,
        **objective: Any,
    ) -> Model:
        """Two multilayer perceptrons: ``hidden`` in the encoder, reversed in the decoder.

        ``hidden=()`` makes both linear. ``objective`` is the rest of the constructor: distortion
        and, for a VAE, beta. The weights depend on ``seed`` alone.
        """
        check_sizes(image_shape=image_shape, d=(d,), hidden=hidden)
        with weights_from(seed):
            encoder = networks.mlp_encoder(image_shape, cls.outputs(d), hidden, activation)
            decoder = networks.mlp_decoder(d, image_shape, hidden[::-1], activation)
        model = cls(encoder, decoder, image_shape=image_shape, d=d, **objective)
        model.start_rate(encoder[-1])
        model.start_decoder(decoder[0])
        model._remember("mlp", hidden=list(hidden), activation=activation, seed=seed, **objective)
        return model

    @classmethod
    def conv(
        cls: type[Model],
        image_shape: Sequence[int] = (1, 28, 28),
        d: int = 8,
        width: int = 32,
        *,
        activation: str = "silu",
        seed: int = 0,
        **objective: Any,
    ) -> Model:
        """Two convolutional networks of ``width`` and ``2 * width`` channels.

        Height and width of the images must be divisible by 4 (ValueError). ``objective`` and
        ``seed`` as in ``mlp``.
        """
        check_sizes(image_shape=image_shape, d=(d,), width=(width,))
        with weights_from(seed):
            encoder = networks.conv_encoder(image_shape, cls.outputs(d), width, activation)
            decoder = networks.conv_decoder(d, image_shape, width, activation)
        model = cls(encoder, decoder, image_shape=image_shape, d=d, **objective)
        model.start_rate(encoder[-1])
        model.start_decoder(decoder[0])
        model._remember("conv", width=width, activation=activation, seed=seed, **objective)
        return model

    @classmethod
    def outputs(cls, d: int) -> int:
        """How many numbers the encoder gives for a code of d dimensions."""
        return cls.heads * d

    @torch.no_grad()
    def start_rate(self, last: Any) -> None:
        """Set what the encoder's last layer needs for the initial rate; by ``mlp`` and ``conv``."""

    @torch.no_grad()
    def start_decoder(self, first: Any) -> None:
        """Fit the decoder's first layer to the length of the codes; by ``mlp`` and ``conv``."""

    def decode(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "..."]:
        """Images (\\*batch, \\*image_shape) of codes (\\*batch, d); for ``bernoulli`` the pixels'
        means, in (0, 1). Differentiable; a single code (d,) gives a single image."""
        check_tensor("z", z)
        if z.ndim < 1 or z.shape[-1] != self.d:
            raise ValueError(
                f"z has shape {tuple(z.shape)}; codes of this model are (batch, {self.d})"
            )
        output = self.decoder(z)
        return output.sigmoid() if self.distortion is bernoulli else output

    def distortion_of(
        self, x: Float[Tensor, "..."], z: Float[Tensor, "..."]
    ) -> Float[Tensor, "*batch"]:
        """D(x, g(z)) of each image. Where layers compute in bf16, that ends here."""
        return self.distortion(x, self.decoder(z).to(x.dtype))

    def check_data(self, x: Tensor) -> None:
        """Raise ValueError unless x is (N, \\*image_shape), finite, for ``bernoulli`` in [0, 1]."""
        self.check_shape(x)
        if x.dtype == torch.uint8:
            return  # read as 0..1
        if not x.isfinite().all():
            raise ValueError(f"data holds {int((~x.isfinite()).sum())} infinite or NaN values")
        if self.distortion is bernoulli and not 0 <= x.min() <= x.max() <= 1:
            raise ValueError(
                f"data lies in [{x.min():.4g}, {x.max():.4g}]; distortion='bernoulli' needs pixels "
                "in [0, 1]: rescale them, or use 'squared_error'"
            )

    def check_shape(self, x: Tensor) -> None:
        """Raise ValueError unless x is (batch, \\*image_shape)."""
        check_tensor("x", x)
        if x.ndim != len(self.image_shape) + 1 or x.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, ("batch", *self.image_shape)))
            raise ValueError(
                f"images of shape {tuple(x.shape)}: this model takes ({expected}); "
                "x.reshape(-1, *model.image_shape) may be what you want"
            )

    def save(self, path: str | Path) -> None:
        """Write weights and config to one safetensors file, atomically; ``load`` rebuilds it.

        Raises ValueError for a model made of your own networks, which no config describes, and
        OSError, naming the file and the remedy, where it can't be written.
        """
        if self.config is None:
            raise ValueError(
                f"this {type(self).__name__} was built from your own networks, which no config "
                "rebuilds; save model.state_dict() with safetensors.torch.save_file instead"
            )
        weights = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        metadata = {"vae_course": json.dumps(self.config)}
        content = safetensors.torch.save(weights, metadata)
        write_atomically(Path(path), lambda file: file.write_bytes(content))

    def _remember(self, network: str, **arguments: Any) -> None:
        kind = arguments.pop("distortion", "squared_error")
        self.config = {
            "model": type(self).__name__,
            "network": network,
            "image_shape": list(self.image_shape),
            "d": self.d,
            "distortion": kind if isinstance(kind, str) else None,  # a callable can't be written
            **arguments,
        }


def one_generator(
    generator: torch.Generator | None, seed: int | None, device: torch.device
) -> torch.Generator:
    """The generator, or a new one of that seed; ValueError unless exactly one is given."""
    if generator is None and seed is not None:
        return torch.Generator(device).manual_seed(seed)
    if generator is None or seed is not None:
        raise ValueError("sample(n, ...) needs one source of randomness: seed=0, or a generator")
    return generator


def check_beta(beta: float) -> None:
    """Raise ValueError unless beta is finite and at least 0, TypeError for no number."""
    if check_number("beta", beta) < 0:
        raise ValueError(f"beta={beta}: must be finite and not negative (0: no rate term)")


def check_rate(initial_rate: float) -> None:
    """Raise ValueError unless the initial rate is finite and positive, TypeError for no number."""
    if check_number("initial_rate", initial_rate) <= 0:
        raise ValueError(
            f"initial_rate={initial_rate}: must be finite and positive, in nats (1 is a good start)"
        )


@contextmanager
def weights_from(seed: int) -> Iterator[None]:
    """Layers made inside get PyTorch's default weights from this seed; the global generator is
    afterwards as it was. Only the CPU's is touched: ``torch.manual_seed`` would reset the GPU's."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def check_sizes(**sizes: Sequence[int]) -> None:
    """Raise ValueError or TypeError unless all are sequences of whole numbers, 1 or more."""
    for name, values in sizes.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise TypeError(f"{name} must be a list of whole numbers, got {values!r}")
        if not all(isinstance(n, Integral) and not isinstance(n, bool) and n >= 1 for n in values):
            raise ValueError(f"{name}={tuple(values)}: sizes are whole numbers, 1 or more")
