"""Networks: shapes, and the equality that lets a sweep stack them."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vae_course.models import VAE, networks


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_a_stack_of_linear_layers_is_the_layers_one_by_one(dtype, tol):
    torch.manual_seed(0)
    layers = [nn.Linear(5, 3, dtype=dtype) for _ in range(4)]
    stacked = networks.Linear(5, 3, dtype=dtype)
    stacked.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
    stacked.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))
    x = torch.randn(4, 7, 5, dtype=dtype)
    one_by_one = torch.stack([layer(x_i) for layer, x_i in zip(layers, x, strict=True)])
    assert_close(stacked(x), one_by_one, rtol=tol, atol=tol)


def test_an_mlp_of_two_sizes_is_affine():
    net = networks.mlp([6, 2]).double()
    a, b = torch.randn(2, 9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert_close(net(0.3 * a + 0.7 * b), 0.3 * net(a) + 0.7 * net(b))


def test_an_mlp_ends_without_an_activation():
    kinds = [type(layer).__name__ for layer in networks.mlp([4, 3, 3, 2], "tanh")]
    assert kinds == ["Linear", "Tanh", "Linear", "Tanh", "Linear"]


@pytest.mark.parametrize("image_shape", [(1, 8, 8), (1, 28, 28), (3, 12, 20)])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_a_decoder_undoes_an_encoders_shapes(image_shape, kind):
    size = (16, 8) if kind == "mlp" else 4
    encode = getattr(networks, f"{kind}_encoder")(image_shape, 5, size)
    decode = getattr(networks, f"{kind}_decoder")(5, image_shape, size)
    x = torch.zeros(2, *image_shape)
    assert encode(x).shape == (2, 5)
    assert decode(encode(x)).shape == x.shape


def test_a_convolutional_decoder_is_local():
    decode = networks.conv_decoder(4, (1, 16, 16), width=4)
    first = decode[3]  # from (8, 4, 4): one input cell reaches 10 x 10 of 16 x 16 output pixels
    cell = torch.zeros(1, 8, 4, 4)
    base = decode[3:](cell)
    cell[0, 0, 0, 0] = 1.0
    touched = (decode[3:](cell) - base).abs()[0, 0] > 0
    assert isinstance(first, nn.ConvTranspose2d)
    assert touched.any() and not touched[10:].any() and not touched[:, 10:].any()


@pytest.mark.parametrize("depth, rows, columns", [(0, 10, 10), (1, 18, 18 - 3), (2, 26, 26 - 7)])
def test_a_column_of_a_spatial_latent_sees_one_patch(depth, rows, columns):
    encode = networks.spatial_encoder((1, 28, 28), 6, width=4, depth=depth).double()
    x = torch.rand(1, 1, 28, 28, dtype=torch.float64).requires_grad_()
    z = encode(x).unflatten(-1, networks.spatial_shape((1, 28, 28), 6))
    assert z.shape == (1, 6, 7, 7)
    z[0, :, 3, 1].sum().backward()  # half way down, second from the left
    seen = x.grad[0, 0].nonzero()
    size = seen.max(0).values - seen.min(0).values + 1
    assert size.tolist() == [rows, columns]  # cut at the left border


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 12, 20)])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_spatial_decoder_undoes_an_encoders_shapes(image_shape, depth):
    encode = networks.spatial_encoder(image_shape, 5, 4, depth=depth)
    decode = networks.spatial_decoder(5, image_shape, 4, depth=depth)
    x = torch.zeros(2, *image_shape)
    h, w = image_shape[1] // 4, image_shape[2] // 4
    assert networks.spatial_shape(image_shape, 5) == (5, h, w)
    assert encode(x).shape == (2, 5 * h * w)
    assert decode(encode(x)).shape == x.shape


def test_a_bottleneck_is_linear_or_half_zero():
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    codes = {}
    for bottleneck in ("linear", "relu"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            codes[bottleneck] = networks.spatial_encoder((1, 28, 28), 8, bottleneck=bottleneck)(x)
    assert_close(codes["relu"], codes["linear"].clamp_min(0))
    assert 0.2 < (codes["relu"] == 0).float().mean() < 0.8


def test_twice_the_channels_make_a_vae_whose_mean_comes_first():
    shape = (1, 12, 12)
    encode, decode = networks.spatial_encoder(shape, 10, 4), networks.spatial_decoder(5, shape, 4)
    vae = VAE(encode, decode, image_shape=shape, d=45)
    x = torch.rand(3, *shape)
    both = encode(x).unflatten(-1, networks.spatial_shape(shape, 10))
    mu, sigma = vae.encode(x)
    assert torch.equal(mu.unflatten(-1, networks.spatial_shape(shape, 5)), both[:, :5])
    assert_close(sigma.unflatten(-1, (5, 3, 3)), (both[:, 5:] / 2).exp())
    assert vae.loss_terms(x, vae.draw_noise(3, torch.Generator().manual_seed(0))).loss.shape == (3,)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: networks.mlp([3]), r"sizes=\[3\]"),
        (lambda: networks.mlp([3, 0, 1]), r"sizes=\[3, 0, 1\]"),
        (lambda: networks.mlp([3, 2, 1], "swish"), r"activation='swish'.*relu.*silu"),
        (lambda: networks.conv_encoder((1, 10, 8), 2), r"image_shape=\(1, 10, 8\).*divisible by 4"),
        (lambda: networks.conv_decoder(2, (64,)), r"image_shape=\(64,\).*mlp"),
        (lambda: networks.spatial_encoder((1, 10, 8), 2), r"image_shape=\(1, 10, 8\).*divisible"),
        (lambda: networks.spatial_encoder((1, 8, 8), 0), "channels=0"),
        (lambda: networks.spatial_decoder(2, (1, 8, 8), depth=-1), "depth=-1.*0 or more"),
        (lambda: networks.spatial_encoder((1, 8, 8), 2, bottleneck="tanh"), "bottleneck='tanh'"),
    ],
)
def test_impossible_networks_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
