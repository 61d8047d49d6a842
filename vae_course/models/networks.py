"""Encoders and decoders: plain modules that map images to numbers and numbers to images."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,  # smooth, so that decoders have the derivatives the geometry chapters take
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "relu": nn.ReLU,
}


def activation_layer(name: str) -> nn.Module:
    """A fresh activation module by name; ValueError lists the names there are."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name!r} is unknown; choose one of {sorted(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class Linear(nn.Linear):
    r"""``nn.Linear``, :math:`x W^\top + b`, that also runs many members at once.

    With the weights of ``members`` layers stacked, (members, out, in) and (members, out), it maps
    (members, batch, in) to (members, batch, out) by one batched product: what makes a sweep of
    small networks several times faster than one network after the other.
    """

    def forward(self, x: Float[Tensor, "*batch in_"]) -> Float[Tensor, "*batch out"]:
        if self.weight.ndim == 2:
            return nn.functional.linear(x, self.weight, self.bias)
        return _Batched.apply(x, self.weight, self.bias)


class _Batched(torch.autograd.Function):
    """The stacked product, its gradient in the weight's own layout: autograd's is transposed, and
    turning it over costs as much as the product.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        by_x = torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None
        return by_x, torch.bmm(gradient.mT, x), gradient.sum(1)


def mlp(sizes: Sequence[int], activation: str = "silu") -> nn.Sequential:
    """A multilayer perceptron: linear layers from ``sizes[0]`` to ``sizes[-1]``, activations
    between them and none at the end; (\\*batch, sizes[0]) to (\\*batch, sizes[-1]).

    Two sizes make a linear (affine) map. Raises ValueError for fewer than two sizes or a
    size below 1.
    """
    if len(sizes) < 2 or any(size < 1 for size in sizes):
        raise ValueError(f"sizes={list(sizes)}: give at least two sizes, each 1 or more")
    layers: list[nn.Module] = []
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        layers += [Linear(n_in, n_out), activation_layer(activation)]
    return nn.Sequential(*layers[:-1])


def mlp_encoder(
    image_shape: Sequence[int], out: int, hidden: Sequence[int], activation: str = "silu"
) -> nn.Sequential:
    """Flatten, then an ``mlp``: images (\\*batch, \\*image_shape) to (\\*batch, out)."""
    flatten = nn.Flatten(start_dim=-len(image_shape))
    return nn.Sequential(flatten, *mlp([math.prod(image_shape), *hidden, out], activation))


def mlp_decoder(
    d: int, image_shape: Sequence[int], hidden: Sequence[int], activation: str = "silu"
) -> nn.Sequential:
    """An ``mlp``, then the image's shape: codes (\\*batch, d) to (\\*batch, \\*image_shape)."""
    layers = mlp([d, *hidden, math.prod(image_shape)], activation)
    return nn.Sequential(*layers, nn.Unflatten(-1, tuple(image_shape)))


def _quarter(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height / 4, width / 4): the size after two convolutions of stride 2."""
    if len(image_shape) != 3 or image_shape[1] % 4 or image_shape[2] % 4:
        raise ValueError(
            f"image_shape={tuple(image_shape)}: a convolutional network needs (channels, height, "
            "width) with height and width divisible by 4; use an mlp, or pad the images"
        )
    channels, height, width = image_shape
    return channels, height // 4, width // 4


def conv_encoder(
    image_shape: Sequence[int], out: int, width: int = 32, activation: str = "silu"
) -> nn.Sequential:
    """Two convolutions (4x4, stride 2; ``width``, then 2 ``width`` channels) and a linear layer:
    images (batch, channels, height, width) to (batch, out).

    Raises ValueError unless height and width are divisible by 4.
    """
    channels, h, w = _quarter(image_shape)
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding=1),  # (batch, width, 2h, 2w)
        activation_layer(activation),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),  # (batch, 2 width, h, w)
        activation_layer(activation),
        nn.Flatten(-3),
        Linear(2 * width * h * w, out),
    )


def conv_decoder(
    d: int, image_shape: Sequence[int], width: int = 32, activation: str = "silu"
) -> nn.Sequential:
    """``conv_encoder`` backwards: codes (batch, d) to (batch, channels, height, width)."""
    channels, h, w = _quarter(image_shape)
    return nn.Sequential(
        Linear(d, 2 * width * h * w),
        activation_layer(activation),
        nn.Unflatten(-1, (2 * width, h, w)),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),  # (batch, width, 2h, 2w)
        activation_layer(activation),
        nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
    )


def spatial_shape(image_shape: Sequence[int], channels: int) -> tuple[int, int, int]:
    """The shape (channels, height / 4, width / 4) of a spatial latent, for ``z.unflatten``.

    Raises ValueError unless height and width are divisible by 4 and channels 1 or more.
    """
    if int(channels) != channels or channels < 1:
        raise ValueError(f"channels={channels}: a whole number, 1 or more")
    return channels, *_quarter(image_shape)[1:]


def spatial_encoder(
    image_shape: Sequence[int],
    channels: int,
    width: int = 16,
    *,
    depth: int = 0,
    bottleneck: str = "linear",
    activation: str = "silu",
) -> nn.Sequential:
    """Convolutions and no linear layer, so that a code is still an image of features:
    images (batch, \\*image_shape) to (batch, channels h w), the flat form that models take.

    ``z.unflatten(-1, spatial_shape(image_shape, channels))`` gives (batch, channels, h, w), h and w
    a quarter of the image's. For a VAE give twice the channels: its first half is then mu. The
    bottleneck is ``"linear"``, or ``"relu"``, which makes many coordinates exactly 0. Two
    convolutions of 4x4 with stride 2, the first to ``width`` channels, then ``depth`` of 3x3: each
    number of a code sees 10 + 8 ``depth`` pixels each way. They never limit the rank of a latent
    with up to 16 ``width`` channels. Raises ValueError unless height and width are divisible by 4,
    for another bottleneck or a negative depth.
    """
    if bottleneck not in ("linear", "relu"):
        raise ValueError(f"bottleneck={bottleneck!r}: choose 'linear' or 'relu'")
    spatial_shape(image_shape, channels)  # refuses what is impossible
    sizes = _spatial_sizes(channels, width, depth)
    layers: list[nn.Module] = [nn.Conv2d(image_shape[0], width, 4, stride=2, padding=1)]
    layers += [activation_layer(activation)]  # (batch, width, 2h, 2w)
    layers += [nn.Conv2d(width, sizes[0], 4, stride=2, padding=1)]  # (batch, sizes[0], h, w)
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        layers += [activation_layer(activation), nn.Conv2d(n_in, n_out, 3, padding=1)]
    if bottleneck == "relu":
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Flatten(-3))


def spatial_decoder(
    channels: int,
    image_shape: Sequence[int],
    width: int = 16,
    *,
    depth: int = 0,
    activation: str = "silu",
) -> nn.Sequential:
    """``spatial_encoder`` backwards: codes (batch, channels h w) to (batch, \\*image_shape)."""
    layers: list[nn.Module] = [nn.Unflatten(-1, spatial_shape(image_shape, channels))]
    sizes = _spatial_sizes(channels, width, depth)[::-1]
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), activation_layer(activation)]
    layers += [nn.ConvTranspose2d(sizes[-1], width, 4, stride=2, padding=1)]
    layers += [activation_layer(activation)]  # (batch, width, 2h, 2w)
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, image_shape[0], 4, stride=2, padding=1))


def _spatial_sizes(channels: int, width: int, depth: int) -> list[int]:
    """Channels at a quarter of the size, from the strided convolution to the latent."""
    if int(depth) != depth or depth < 0:
        raise ValueError(f"depth={depth}: how many convolutions of 3x3, 0 or more")
    return [2 * width] * depth + [channels]
