"""Structural similarity, edges and features, against the peer library, matrices and hooks."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import pad
from torch.testing import assert_close
from torchmetrics.functional.image import structural_similarity_index_measure

from tests.distortion.contract import InAModelContract, LowestContract
from vae_course.distortion import Feature, edge, feature, squared_error, ssim
from vae_course.models import VAE
from vae_course.training import fit


def pairs(*shape, seed=0, dtype=torch.float64, noise=0.2):
    generator = torch.Generator().manual_seed(seed)
    x, e = torch.rand(2, *shape, generator=generator, dtype=torch.float64).to(dtype)
    return x, (x + noise * (e - 0.5)).requires_grad_()


def gradient(distortion, x, x_hat):
    return torch.autograd.grad(distortion(x, x_hat).sum(), x_hat)[0]


def classifier(seed=0, width=6, norm=False):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width) if norm else nn.Identity(),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2 * width * 16, 10),
        )


# --- structural similarity ----------------------------------------------------------------------


class TestSSIM(LowestContract, InAModelContract):
    float32_error = 1e-4

    @pytest.fixture
    def distortion(self):
        return ssim


@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (3, 3, 17, 23), (2, 1, 28, 28)])
@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_ssim_and_its_gradient_are_torchmetrics_per_image_and_pixel(shape, dtype, tol):
    x, x_hat = pairs(*shape, dtype=dtype, noise=0.8)
    n = x[0].numel()

    def oracle(x, x_hat):
        return n * (
            1 - structural_similarity_index_measure(x_hat, x, data_range=1.0, reduction="none")
        )

    assert_close(ssim(x, x_hat) / n, oracle(x, x_hat) / n, rtol=0.0, atol=tol)
    ours, theirs = gradient(ssim, x, x_hat), gradient(oracle, x, x_hat)
    assert_close(ours, theirs, rtol=0.0, atol=10 * tol * float(theirs.abs().max()))


@pytest.mark.parametrize("window, sigma, data_range", [(1, 1.0, 1.0), (5, 0.8, 255.0), (15, 9, 1)])
def test_ssim_of_any_window_is_the_published_formula_window_by_window(window, sigma, data_range):
    x, x_hat = (data_range * t.detach() for t in pairs(2, 1, 8, 9))
    half, c1, c2 = window // 2, (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    offsets = torch.arange(window, dtype=torch.float64) - half
    line = torch.exp(-offsets.square() / (2 * sigma**2))
    w = torch.outer(line, line) / line.sum() ** 2
    expected = torch.zeros(2, dtype=torch.float64)
    for n in range(2):
        a, b = (pad(t[n : n + 1], [half] * 4, mode="reflect")[0, 0] for t in (x, x_hat))
        for i in range(8):
            for j in range(9):
                p, q = (t[i : i + window, j : j + window] for t in (a, b))
                mp, mq = (w * p).sum(), (w * q).sum()
                vp, vq = (w * (p - mp) ** 2).sum(), (w * (q - mq) ** 2).sum()
                covariance = (w * (p - mp) * (q - mq)).sum()
                top = (2 * mp * mq + c1) * (2 * covariance + c2)
                expected[n] += 1 - top / ((mp**2 + mq**2 + c1) * (vp + vq + c2))
    found = ssim(x, x_hat, window=window, sigma=sigma, data_range=data_range)
    assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_ssim_is_symmetric_and_at_most_twice_the_pixels():
    x, x_hat = (t.detach() for t in pairs(6, 2, 9, 8, noise=1.0))
    assert_close(ssim(x, x_hat), ssim(x_hat, x))
    stripes = (torch.arange(9).unsqueeze(1) % 2).expand(1, 1, 9, 8).double()
    assert 144 > ssim(stripes, 1 - stripes) > 1.5 * 72


def test_ssim_in_float32_keeps_four_digits_where_windows_are_flat():
    """Variances of a flat window are differences of equal squares: the formula's weak spot."""
    x, noise = (t.detach() for t in pairs(20, 1, 8, 8, noise=1e-2))
    levels = torch.linspace(0, 1, 20, dtype=x.dtype).view(-1, 1, 1, 1)
    flat, other = levels.expand_as(x), levels + noise - x
    single = ssim(flat.float(), other.float()).double()
    assert_close(single, ssim(flat, other), rtol=0.0, atol=1e-4 * 64)


@pytest.mark.parametrize(
    "shape, arguments, message",
    [
        ((2, 64), {}, "x has shape"),
        ((2, 1, 8, 8), dict(window=4), "window=4.*odd and at most 15 for images of 8 x 8"),
        ((2, 1, 4, 9), dict(window=9), "window=9.*at most 7"),
        ((2, 1, 8, 8), dict(window=-1), "window=-1"),
        ((2, 1, 8, 8), dict(sigma=0.0), "sigma=0.0"),
        ((2, 1, 8, 8), dict(data_range=float("nan")), "data_range=nan"),
    ],
)
def test_ssim_refuses_what_has_no_windows(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        ssim(torch.rand(shape), torch.rand(shape), **arguments)
    if not arguments:
        with pytest.raises(ValueError, match=message):
            edge(torch.rand(shape), torch.rand(shape))


def test_shapes_that_differ_are_refused(unchecked):
    with pytest.raises(ValueError, match=r"differ: x \(2, 1, 8, 8\) and x_hat \(2, 8, 8\)"):
        ssim(torch.rand(2, 1, 8, 8), torch.rand(2, 8, 8))


# --- edges --------------------------------------------------------------------------------------


class TestEdge(LowestContract, InAModelContract):
    @pytest.fixture
    def distortion(self):
        return edge


def difference_matrix(n):
    return torch.diag(torch.ones(n - 1, dtype=torch.float64), 1)[:-1] - torch.eye(n)[:-1]


def edge_form(height, width, pixel):
    rows = torch.kron(difference_matrix(height), torch.eye(width, dtype=torch.float64))
    columns = torch.kron(torch.eye(height, dtype=torch.float64), difference_matrix(width))
    pixels = pixel * torch.eye(height * width, dtype=torch.float64)
    return rows.T @ rows + columns.T @ columns + pixels


@pytest.mark.parametrize("height, width, pixel", [(8, 8, 0.05), (5, 7, 0.0), (2, 9, 1.5)])
def test_edge_is_the_quadratic_form_of_the_difference_matrices(height, width, pixel):
    x, x_hat = pairs(4, 1, height, width)
    delta = (x_hat - x).detach().flatten(1)
    form = edge_form(height, width, pixel)
    found = edge(x, x_hat, pixel=pixel)
    assert_close(found, (delta @ form * delta).sum(1), rtol=1e-12, atol=1e-14)
    (slope,) = torch.autograd.grad(found.sum(), x_hat)
    assert_close(slope.flatten(1), 2 * delta @ form, rtol=1e-12, atol=1e-14)
    values = torch.linalg.eigvalsh(form)
    assert values[-1] < 8 + pixel
    assert_close(values[0].item(), pixel, rtol=0.0, atol=1e-12)  # the constant image


def test_edge_sees_a_channel_like_an_image():
    x, x_hat = pairs(3, 2, 6, 5)
    alone = sum(edge(x[:, [i]], x_hat[:, [i]]) for i in range(2))
    assert_close(edge(x, x_hat), alone)


@pytest.mark.parametrize("pixel", [-0.1, float("inf"), float("nan")])
def test_edge_refuses_a_negative_or_infinite_price_of_pixels(pixel):
    with pytest.raises(ValueError, match=f"pixel={pixel}"):
        edge(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4), pixel=pixel)


# --- features -----------------------------------------------------------------------------------


class TestFeature(LowestContract, InAModelContract):
    float32_error = 1e-5

    @pytest.fixture(params=[True, False], ids=["directions", "activations"])
    def normalise(self, request):
        return request.param

    @pytest.fixture
    def distortion(self, normalise):
        return feature(classifier().double(), ["2", "4"], normalise=normalise)

    @pytest.fixture
    def stranger(self, normalise):
        return feature(classifier(seed=1).double(), ["2", "4"], normalise=normalise)

    def test_it_says_what_it_compares(self, distortion, normalise):
        assert f"layers=('2', '4'), normalise={normalise}" in repr(distortion)
        assert "epsilon=0.01, reduction='sum'" in repr(distortion)


def unit(a, epsilon):
    return a / (a.square().sum(1, keepdim=True) + epsilon**2).sqrt()


@pytest.mark.parametrize("normalise", [True, False])
def test_feature_is_the_squared_distance_of_activations_computed_by_hand(normalise):
    x, x_hat = pairs(5, 1, 8, 8)
    net = classifier().double()
    distortion = feature(net, ["0", "2", "3", "6"], normalise=normalise, epsilon=0.05)

    def activations(images):
        convolved = net[0](images)  # which the network's own ReLU overwrites
        first = convolved.relu()
        second = net[3](first)
        return convolved, first, second, net[6](nn.functional.silu(second).flatten(1))

    expected = 0
    for a, b in zip(activations(x), activations(x_hat), strict=True):
        phi_a, phi_b = (unit(t, 0.05) if normalise else t for t in (a, b))
        expected = expected + (phi_b - phi_a).square().flatten(1).sum(1)
    assert_close(distortion(x, x_hat), expected, rtol=1e-12, atol=1e-14)
    (slope,) = torch.autograd.grad(expected.sum(), x_hat)
    assert_close(gradient(distortion, x, x_hat), slope, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_mean_is_the_sum_over_the_number_of_places(normalise):
    x, x_hat = pairs(5, 1, 8, 8)
    net = classifier().double()
    total = {}
    for layer, places in (("2", 64), ("4", 16), ("5", 1), ("6", 1)):
        both = [
            feature(net, [layer], normalise=normalise, reduction=r)(x, x_hat)
            for r in ("sum", "mean")
        ]
        assert_close(both[1], both[0] / places, rtol=1e-12, atol=0.0)
        total[layer] = both[1]
    mean = feature(net, list(total), normalise=normalise, reduction="mean")
    assert_close(mean(x, x_hat), torch.stack(list(total.values())).sum(0), rtol=1e-12, atol=0.0)
    assert "reduction='mean'" in repr(mean)
    single = nn.Conv2d(1, 4, 8).double()  # a map of one place
    one = [Feature(single, [""], normalise=normalise, reduction=r) for r in ("sum", "mean")]
    assert torch.equal(one[0](x, x_hat), one[1](x, x_hat))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_vectors_of_features_have_the_distortion_as_squared_distance(reduction):
    x, x_hat = pairs(5, 1, 8, 8)
    loss = feature(classifier().double(), ["2", "4"], reduction=reduction)
    vectors = [torch.cat(loss.features(images), 1) for images in (x, x_hat)]
    assert_close(loss(x, x_hat), squared_error(*vectors))


def test_normalised_features_are_directions():
    net = nn.Conv2d(1, 4, 3, padding=1, bias=False).double()
    x, x_hat = pairs(5, 1, 8, 8, noise=2.0)
    direction = Feature(net, [""], epsilon=1e-9)
    assert_close(direction(x, 0.2 * x), torch.zeros(5, dtype=x.dtype), rtol=0.0, atol=1e-9)
    assert_close(direction(x, -x), torch.full((5,), 4.0 * 64, dtype=x.dtype), rtol=1e-9, atol=0.0)
    assert (direction(x, x_hat) < 4 * 64).all()


def test_the_direction_of_nothing_has_a_gradient():
    """A black image through a network without biases: every activation is zero."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU())
    black = torch.zeros(2, 1, 8, 8, requires_grad=True)
    slope = gradient(feature(net, ["0", "1"]), torch.rand(2, 1, 8, 8), black)
    assert slope.isfinite().all() and slope.abs().max() < 1e4


def test_the_network_is_a_frozen_copy_in_eval_mode_whatever_the_model_does():
    net = classifier(norm=True).train()
    before = copy.deepcopy(net.state_dict())
    distortion = feature(net, ["2", "4"])
    model = VAE.mlp((1, 8, 8), d=2, hidden=(8,), distortion=distortion)
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    start = distortion(images, images.flip(0))
    assert model.train().distortion.training and not distortion.network.training
    fit(model, images, steps=5, batch_size=32, progress=False)
    for name, value in distortion.network.state_dict().items():  # batch norm's averages too
        assert torch.equal(value, before[name]), name
    assert not any(p.requires_grad for p in distortion.parameters())
    assert all(p.grad is None for p in distortion.parameters())
    # The original stays its owner's: trainable, and free to change.
    assert net.training and all(p.requires_grad for p in net.parameters()) and net[2].inplace
    with torch.no_grad():
        net[0].weight.zero_()
    assert torch.equal(distortion(images, images.flip(0)), start)


def test_gradients_flow_to_the_reconstruction_only():
    x, x_hat = pairs(3, 1, 8, 8)
    x.requires_grad_()
    distortion = feature(classifier().double(), ["2"])
    distortion(x, x_hat).sum().backward()
    assert x.grad is None and x_hat.grad.abs().sum() > 0


def test_a_layer_called_twice_is_compared_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)

        def forward(self, x):
            return self.conv(self.conv(x))

    net = Twice().double()
    x, x_hat = pairs(3, 1, 8, 8)
    found = feature(net, ["conv"], normalise=False)(x, x_hat)
    delta = net.conv(x_hat - x)
    assert_close(found, squared_error(0 * delta, delta) + squared_error(0 * x, net.conv(delta)))


def test_feature_refuses_another_reduction(unchecked):
    with pytest.raises(ValueError, match='reduction=\'none\': choose "sum" or "mean"'):
        feature(classifier(), ["0"], reduction="none")


def test_feature_refuses_layers_that_are_not_there_or_not_called():
    class Deaf(nn.Sequential):
        def forward(self, x):
            return self[0](x)

    with pytest.raises(ValueError, match=r"no module '9'; choose from \['0', '1'"):
        feature(classifier(), ["0", "9"])
    with pytest.raises(ValueError, match=r"layers=\[\]: none given"):
        feature(classifier(), [])
    with pytest.raises(ValueError, match="epsilon=0.0: must be positive"):
        feature(classifier(), ["0"], epsilon=0.0)
    deaf = feature(Deaf(nn.Identity(), nn.Identity()), ["0", "1"])
    with pytest.raises(ValueError, match="doesn't call '1'"):
        deaf(torch.rand(2, 3), torch.rand(2, 3))
    assert not any(m._forward_hooks for m in deaf.modules())
