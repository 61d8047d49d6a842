r"""Autoencoder and VAE: a posterior, a decoder and an objective, nothing else.

Everything is per example, in the units of the distortion: ``loss = distortion + beta * rate``, the
rate in nats. With ``squared_error`` (a sum, no ½) this is -β times the ELBO, up to a constant, of
a Gaussian decoder of variance β/2.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import safetensors
import safetensors.torch
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vae_course import checkpoint, networks
from vae_course.distortion import Distortion, bernoulli, named

Model = TypeVar("Model", bound="LatentModel")


class Posterior(NamedTuple):
    """The ball q(z|x) = N(mu, diag(sigma²)) of each image."""

    mu: Float[Tensor, "*batch d"]
    sigma: Float[Tensor, "*batch d"]


class LossTerms(NamedTuple):
    """The objective and its two parts, one value for each image of the batch."""

    loss: Float[Tensor, "*batch"]
    distortion: Float[Tensor, "*batch"]
    rate: Float[Tensor, "*batch"]


class LatentModel(nn.Module):
    """What all models share: an encoder, a decoder that draws images, and their distortion.

    Args:
        encoder: maps images (\\*batch, \\*image_shape) to (\\*batch, ``heads * d``).
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
        _check_sizes(image_shape=image_shape, d=(d,), hidden=hidden)
        with _weights_from(seed):
            encoder = networks.mlp_encoder(image_shape, cls.heads * d, hidden, activation)
            decoder = networks.mlp_decoder(d, image_shape, hidden[::-1], activation)
        model = cls(encoder, decoder, image_shape=image_shape, d=d, **objective)
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
        _check_sizes(image_shape=image_shape, d=(d,), width=(width,))
        with _weights_from(seed):
            encoder = networks.conv_encoder(image_shape, cls.heads * d, width, activation)
            decoder = networks.conv_decoder(d, image_shape, width, activation)
        model = cls(encoder, decoder, image_shape=image_shape, d=d, **objective)
        model._remember("conv", width=width, activation=activation, seed=seed, **objective)
        return model

    def decode(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "..."]:
        """Images (\\*batch, \\*image_shape) of codes (\\*batch, d); for ``bernoulli`` the pixels'
        means, in (0, 1). Differentiable; a single code (d,) gives a single image."""
        if z.ndim < 1 or z.shape[-1] != self.d:
            raise ValueError(
                f"z has shape {tuple(z.shape)}; codes of this model are (batch, {self.d})"
            )
        output = self.decoder(z)
        return output.sigmoid() if self.distortion is bernoulli else output

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
        if x.ndim != len(self.image_shape) + 1 or x.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, ("batch", *self.image_shape)))
            raise ValueError(
                f"images of shape {tuple(x.shape)}: this model takes ({expected}); "
                "x.reshape(-1, *model.image_shape) may be what you want"
            )

    def save(self, path: str | Path) -> None:
        """Write weights and config to one safetensors file, atomically; ``load`` rebuilds it.

        Raises ValueError for a model made of your own networks, which no config describes.
        """
        if self.config is None:
            raise ValueError(
                f"this {type(self).__name__} was built from your own networks, which no config "
                "rebuilds; save model.state_dict() with safetensors.torch.save_file instead"
            )
        weights = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        metadata = {"vae_course": json.dumps(self.config)}
        checkpoint.write_atomically(
            Path(path), lambda file: safetensors.torch.save_file(weights, file, metadata)
        )

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


class Autoencoder(LatentModel):
    r"""Codes are points: :math:`z = f(x)`, loss :math:`D(x, g(z))`. The rate is reported as 0.

    Built by ``Autoencoder.mlp(image_shape, d, hidden)``, ``Autoencoder.conv(image_shape, d,
    width)`` or from your own networks. Source: Rumelhart, Hinton and Williams 1986.
    """

    heads = 1

    def encode(self, x: Float[Tensor, "batch *image"]) -> Float[Tensor, "batch d"]:
        """The code z of each image."""
        self.check_shape(x)
        return self.encoder(x)

    def draw_noise(self, n: int, generator: Generator) -> None:
        """Nothing: an autoencoder has no noise to draw."""

    def loss_terms(self, x: Float[Tensor, "..."], eps: None = None) -> LossTerms:
        """Loss, distortion and rate (zeros) of each image."""
        z = self.encoder(x)
        distortion = self.distortion(x, self.decoder(z))
        return LossTerms(distortion, distortion, torch.zeros_like(distortion))


class VAE(LatentModel):
    r"""Codes are balls: a diagonal Gaussian posterior, any distortion, and β times the rate.

    .. math:: L(x) = D(x, g(\mu + \sigma \varepsilon)) + \beta\, \mathrm{KL}(q(z|x) \| N(0, I)),
              \qquad \varepsilon \sim N(0, I)

    Built by ``VAE.mlp(image_shape, d, hidden, beta=...)``, ``VAE.conv(image_shape, d, width,
    beta=...)`` or from your own networks, whose encoder then gives 2d numbers: mu, log sigma.
    ``beta`` ≥ 0 in units of the distortion per nat (ValueError otherwise). Two ablations, for
    chapters 02 and 03: with ``sampling=False`` the decoder is trained on mu alone, with
    ``pull=False`` the rate leaves out mu²/2, and is no KL divergence any more.
    Source: Kingma and Welling 2014; β: Higgins et al. 2017.
    """

    heads = 2
    beta: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        beta: float = 0.1,
        sampling: bool = True,
        pull: bool = True,
        **rest: Any,
    ) -> None:
        super().__init__(encoder, decoder, **rest)
        self.sampling, self.pull = sampling, pull
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta={beta}: must be finite and not negative (0: no rate term)")
        # A buffer, so that it is saved with the weights, and an ensemble can hold one for each run.
        self.register_buffer("beta", torch.tensor(float(beta)))

    def posterior(self, x: Float[Tensor, "..."]) -> tuple[Tensor, Tensor]:
        """mu and log sigma, (\\*batch, d) each, from one linear layer."""
        # The .to() matters under bf16 only: the rate is then still summed in float32.
        mu, log_sigma = self.encoder(x).to(x.dtype).chunk(2, dim=-1)
        # sigma stays in [4.5e-5, 2.2e4], so that it, its square and its inverse are finite in
        # float32 however extreme the encoder's output; trained models are far from either end.
        return mu, log_sigma.clamp(-10, 10)

    def encode(self, x: Float[Tensor, "batch *image"]) -> Posterior:
        """The ball (mu, sigma) of each image, (batch, d) each; sigma in [4.5e-5, 2.2e4]."""
        self.check_shape(x)
        mu, log_sigma = self.posterior(x)
        return Posterior(mu, log_sigma.exp())

    def draw_noise(self, n: int, generator: Generator) -> Float[Tensor, "n d"]:
        """The eps of n images: standard normal, (n, d), on the generator's device."""
        device, dtype = generator.device, self.beta.dtype
        return torch.randn(n, self.d, generator=generator, device=device, dtype=dtype)

    def loss_terms(self, x: Float[Tensor, "..."], eps: Float[Tensor, "*batch d"]) -> LossTerms:
        """Loss, distortion and rate (nats) of each image, for one draw eps of the noise."""
        mu, log_sigma = self.posterior(x)
        sigma = log_sigma.exp()
        z = torch.addcmul(mu, sigma, eps) if self.sampling else mu  # mu + sigma * eps, (*batch, d)
        distortion = self.distortion(x, self.decoder(z))
        # KL(q(z|x) || N(0, I)), summed over the latent dimensions
        pull = mu * mu if self.pull else 0.0  # its gradient is cheaper than square()'s
        rate = ((pull + sigma * sigma - 1) / 2 - log_sigma).sum(-1)
        return LossTerms(distortion + self.beta * rate, distortion, rate)

    @torch.no_grad()
    def sample(
        self, n: int, generator: Generator | None = None, *, seed: int | None = None
    ) -> Float[Tensor, "n *image"]:
        """n images decoded from the prior N(0, I); give a generator or a seed (else ValueError)."""
        if generator is None and seed is not None:
            generator = Generator(self.beta.device).manual_seed(seed)
        elif generator is None or seed is not None:
            raise ValueError(
                "sample(n, ...) needs one source of randomness: seed=0, or a generator"
            )
        return self.decode(self.draw_noise(n, generator))


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
    cls: type[LatentModel] = {"Autoencoder": Autoencoder, "VAE": VAE}[config.pop("model")]
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


@contextmanager
def _weights_from(seed: int) -> Iterator[None]:
    """Layers made inside get PyTorch's default weights from this seed; the global generator is
    afterwards as it was. Only the CPU's is touched: ``torch.manual_seed`` would reset the GPU's."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _check_sizes(**sizes: Sequence[int]) -> None:
    for name, values in sizes.items():
        if any(int(value) != value or value < 1 for value in values):
            raise ValueError(f"{name}={tuple(values)}: sizes are whole numbers, 1 or more")
