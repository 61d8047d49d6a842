"""The VQ-VAE: an autoencoder whose codes are centres of a codebook."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Int64
from torch import Generator, Tensor, nn

from vae_course.arguments import check_tensor
from vae_course.distortion import Distortion
from vae_course.models import networks
from vae_course.models.base import LatentModel, LossTerms, check_sizes, weights_from
from vae_course.quantization import FiniteScalarQuantizer, VectorQuantizer


class Codes(NamedTuple):
    """The code of each image: one centre a slot."""

    indices: Int64[Tensor, "batch slots"]
    quantized: Float[Tensor, "batch slots d"]
    z: Float[Tensor, "batch slots d"]
    """What the encoder gave, before it was replaced by the nearest centre."""


class VQVAE(LatentModel):
    r"""Codes are centres: each of several slots holds one of K, and the decoder sees nothing else.

    .. math:: L(x) = D(x, g(e)) + \sum_{\mathrm{slots}} c\, \|z_s - \mathrm{sg}(e_s)\|^2,
              \qquad e_s = \text{the centre nearest to } z_s,\ z = f(x)

    The rate is the constant slots · log K nats: what a code costs under the uniform prior, and an
    upper bound for every better prior, such as ``CodePrior``. All slots share one codebook.

    Built by ``VQVAE.mlp``, ``VQVAE.conv`` or from your own networks: ``encoder`` maps images
    (batch, \\*image_shape) to (batch, slots, d), ``decoder`` back; ``quantizer`` is a
    ``VectorQuantizer`` or a ``FiniteScalarQuantizer`` of dimension d. In train mode each
    ``loss_terms`` teaches the codebook.
    Source: van den Oord, Vinyals and Kavukcuoglu 2017.
    """

    heads = 1

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        quantizer: VectorQuantizer | FiniteScalarQuantizer,
        *,
        slots: int = 1,
        **rest: Any,
    ) -> None:
        super().__init__(encoder, decoder, d=quantizer.dim, **rest)
        self.quantizer, self.slots = quantizer, slots

    @classmethod
    def mlp(
        cls,
        image_shape: Sequence[int] = (1, 8, 8),
        d: int = 8,
        hidden: Sequence[int] = (128, 64),
        *,
        slots: int = 1,
        num_codes: int = 64,
        levels: Sequence[int] | None = None,
        activation: str = "silu",
        seed: int = 0,
        distortion: str | Distortion = "squared_error",
        **codebook: Any,
    ) -> "VQVAE":
        """Two multilayer perceptrons and a code of ``slots`` vectors of d dimensions.

        ``codebook`` is the rest of ``VectorQuantizer``: decay, commitment, revive, chunk. With
        ``levels``, d of them, the quantizer is a ``FiniteScalarQuantizer`` and has no codebook;
        ``num_codes`` is then ignored. Weights, first centres and revivals depend on ``seed`` alone.
        """
        check_sizes(image_shape=image_shape, d=(d,), hidden=hidden, slots=(slots,))
        with weights_from(seed):
            encoder = networks.mlp_encoder(image_shape, slots * d, hidden, activation)
            decoder = networks.mlp_decoder(slots * d, image_shape, hidden[::-1], activation)
        model = cls(
            encoder.append(nn.Unflatten(-1, (slots, d))),
            nn.Sequential(nn.Flatten(-2), *decoder),
            _quantizer(d, num_codes, levels, seed, codebook),
            slots=slots,
            image_shape=image_shape,
            distortion=distortion,
        )
        model._remember(
            "mlp",
            hidden=list(hidden),
            slots=slots,
            num_codes=num_codes,
            levels=None if levels is None else list(levels),
            activation=activation,
            seed=seed,
            distortion=distortion,
            **codebook,
        )
        return model

    @classmethod
    def conv(
        cls,
        image_shape: Sequence[int] = (1, 28, 28),
        d: int = 8,
        width: int = 32,
        *,
        num_codes: int = 64,
        levels: Sequence[int] | None = None,
        activation: str = "silu",
        seed: int = 0,
        distortion: str | Distortion = "squared_error",
        **codebook: Any,
    ) -> "VQVAE":
        """Convolutions only: one slot for each 4x4 patch, (height / 4) · (width / 4) in rows.

        The layers are those of every ``conv`` of the course, with a 3x3 convolution to and from d
        channels in place of the linear layer. Arguments as in ``mlp``; height and width of the
        images must be divisible by 4 (ValueError).
        """
        check_sizes(image_shape=image_shape, d=(d,), width=(width,))
        with weights_from(seed):
            downwards = list(networks.conv_encoder(image_shape, d, width, activation))[:-2]
            to_d = nn.Conv2d(2 * width, d, 3, padding=1)
            from_d = nn.Conv2d(d, 2 * width, 3, padding=1)
            upwards = list(networks.conv_decoder(d, image_shape, width, activation))[3:]
        grid = image_shape[1] // 4, image_shape[2] // 4
        between = networks.activation_layer(activation)
        model = cls(
            nn.Sequential(*downwards, to_d, _SlotsOfPixels()),
            nn.Sequential(_PixelsOfSlots(grid), from_d, between, *upwards),
            _quantizer(d, num_codes, levels, seed, codebook),
            slots=math.prod(grid),
            image_shape=image_shape,
            distortion=distortion,
        )
        model._remember(
            "conv",
            width=width,
            num_codes=num_codes,
            levels=None if levels is None else list(levels),
            activation=activation,
            seed=seed,
            distortion=distortion,
            **codebook,
        )
        return model

    @property
    def num_codes(self) -> int:
        """K, the number of centres."""
        return self.quantizer.num_codes

    def encode(self, x: Float[Tensor, "batch *image"]) -> Codes:
        """The code of each image. Teaches the codebook nothing, in either mode."""
        self.check_shape(x)
        z = self.encoder(x)
        quantized, indices, _ = self.quantizer.quantize(z)
        return Codes(indices, quantized, z)

    def decode(self, z: Float[Tensor, "*batch slots d"]) -> Float[Tensor, "..."]:
        """Images (\\*batch, \\*image_shape) of codes (\\*batch, slots, d), centres or not; for
        ``bernoulli`` the pixels' means, in (0, 1)."""
        check_tensor("z", z)
        if z.ndim < 2 or tuple(z.shape[-2:]) != (self.slots, self.d):
            raise ValueError(
                f"z has shape {tuple(z.shape)}; codes of this model are "
                f"(batch, {self.slots}, {self.d}): slots, then dimensions"
            )
        return super().decode(z)

    def decode_indices(self, indices: Int[Tensor, "*batch slots"]) -> Float[Tensor, "..."]:
        """Images of codes given by their numbers, (\\*batch, slots)."""
        return self.decode(self.quantizer.lookup(indices))

    def draw_noise(self, n: int, generator: Generator) -> None:
        """Nothing: a VQ-VAE has no noise to draw."""

    def loss_terms(self, x: Float[Tensor, "batch *image"], eps: None = None) -> LossTerms:
        """Loss, distortion and rate (slots · log K nats) of each image."""
        z = self.encoder(x).to(x.dtype)  # bf16 ends here
        quantized, _, loss = self.quantizer(z, check=False)  # a NaN is for fit to report
        distortion = self.distortion_of(x, quantized)
        rate = torch.full_like(distortion, self.slots * math.log(self.num_codes))
        return LossTerms(distortion + loss.sum(-1), distortion, rate)


class _SlotsOfPixels(nn.Module):
    def forward(self, x: Float[Tensor, "*batch d h w"]) -> Float[Tensor, "*batch hw d"]:
        return x.flatten(-2).mT


class _PixelsOfSlots(nn.Module):
    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Float[Tensor, "*batch hw d"]) -> Float[Tensor, "*batch d h w"]:
        return x.mT.unflatten(-1, self.grid)


def _quantizer(
    d: int, num_codes: int, levels: Sequence[int] | None, seed: int, codebook: dict[str, Any]
) -> VectorQuantizer | FiniteScalarQuantizer:
    if levels is None:
        return VectorQuantizer(num_codes, d, seed=seed, **codebook)
    if len(levels) != d:
        raise ValueError(f"levels={list(levels)}: one for each of the d={d} dimensions")
    if codebook:
        raise ValueError(f"{sorted(codebook)}: levels need no codebook; leave these out")
    return FiniteScalarQuantizer(levels)
