"""Each control of the scale holds fixed what its name says, measured on what it returns."""

import functools
import itertools
import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.autograd.functional import hessian
from torch.testing import assert_close

from tests.distortion.contract import InAModelContract, LowestContract
from vae_course.distortion import (
    Adversarial,
    combine,
    edge,
    feature,
    lipschitz_squared,
    null_scale,
    patch_discriminator,
    squared_error,
    ssim,
)
from vae_course.models import VAE
from vae_course.training import fit, sweep

DIGITS = torch.tensor(load_digits().images[:200] / 16, dtype=torch.float64)[:, None]


def features(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, 2, 1))
    return feature(net.double(), ["1", "2"], epsilon=0.1)


NEURAL = {"edge": edge, "ssim": ssim, "feature": features()}


@pytest.fixture(params=NEURAL)
def neural(request):
    return NEURAL[request.param]


def reconstructions(n=20, seed=0, noise=0.3):
    generator = torch.Generator().manual_seed(seed)
    x = DIGITS[torch.randint(len(DIGITS), (n,), generator=generator)]
    x_hat = x + noise * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x, x_hat.requires_grad_()


def gradient(distortion, x, x_hat):
    return torch.autograd.grad(distortion(x, x_hat).sum(), x_hat)[0]


def norm(images):
    return images.flatten(1).norm(dim=1)


class TestCombined(LowestContract, InAModelContract):
    float32_error = 1e-5

    @pytest.fixture(params=["add", "null", "lipschitz", "gradient", "balanced"])
    def distortion(self, request):
        measured = {"constant": 100.0} if request.param in ("null", "lipschitz") else {}
        return combine(features(), 0.3, request.param, **measured).eval()


# --- add and null -------------------------------------------------------------------------------


def test_adding_is_squared_error_plus_the_weighted_other(neural):
    x, x_hat = reconstructions()
    total = squared_error(x, x_hat) + 2.5 * neural(x, x_hat)
    assert_close(combine(neural, 2.5, "add")(x, x_hat), total)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_under_null_the_mean_image_costs_what_squared_error_asks(neural, share):
    mixed = combine(neural, share, "null", data=DIGITS)
    mean = DIGITS.mean(0, keepdim=True).expand_as(DIGITS)
    population_variance = DIGITS.flatten(1).var(0, correction=0).sum()
    assert_close(mixed(DIGITS, mean).mean(), population_variance, rtol=1e-6, atol=0.0)
    x, x_hat = reconstructions()
    scale = null_scale(neural, DIGITS)
    plain = share * scale * neural(x, x_hat) + (1 - share) * squared_error(x, x_hat)
    assert_close(mixed(x, x_hat), plain, rtol=1e-6, atol=1e-9)
    known = combine(neural, share, "null", constant=scale)
    assert_close(known(x, x_hat), mixed(x, x_hat))


# --- lipschitz ----------------------------------------------------------------------------------


def test_the_search_finds_the_largest_eigenvalue_of_a_quadratic_form():
    largest = 2 * (2 - 2 * math.cos(math.pi * 7 / 8)) + 0.05  # of edge, on 8 x 8 pixels
    assert lipschitz_squared(edge, DIGITS[:30]) == pytest.approx(largest, rel=2e-3)
    assert lipschitz_squared(edge, DIGITS[:30], steps=100) == pytest.approx(largest, rel=1e-4)
    assert lipschitz_squared(squared_error, DIGITS[:30]) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("name", ["feature", "ssim"])
def test_the_search_is_not_beaten_by_local_curvatures_nor_by_thousands_of_pairs(name):
    """Oracles: the largest eigenvalue of half the Hessian at each image, and the ratios of random
    pairs at all distances."""
    neural, some = NEURAL[name], DIGITS[:4]
    found = lipschitz_squared(neural, some)

    def local(x):
        def cost(y):
            return neural(x.unsqueeze(0), y.view(1, 1, 8, 8))[0]

        return torch.linalg.eigvalsh(hessian(cost, x.flatten()) / 2)[-1]

    curvature = max(local(x).item() for x in some)
    assert found > 0.99 * curvature
    generator = torch.Generator().manual_seed(1)
    x = some.repeat(500, 1, 1, 1)
    delta = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    delta *= 10 ** (3 * torch.rand(len(x), 1, 1, 1, generator=generator, dtype=x.dtype) - 3)
    ratios = neural(x, x + delta) / squared_error(x, x + delta)
    assert ratios.max() < found


@pytest.mark.parametrize("constant", [None, 0.5])  # as measured; and one that is far too small
def test_under_lipschitz_no_pair_costs_more_than_squared_error(neural, constant):
    data = DIGITS[:30] if constant is None else None
    mixed = combine(neural, 1.0, "lipschitz", data=data, constant=constant)
    for noise, share in itertools.product((1e-3, 0.1, 10.0), (0.4, 1.0)):
        mixed.share = share
        x, x_hat = reconstructions(500, noise=noise)
        pixel = squared_error(x, x_hat)
        assert (mixed(x, x_hat) <= pixel * (1 + 1e-12)).all()
        expected = (neural(x, x_hat) * mixed.scale).clamp_max(pixel)
        assert_close(mixed(x, x_hat), share * expected + (1 - share) * pixel, rtol=1e-6, atol=1e-12)
        if constant is None:  # the ceiling itself is not what holds it
            assert (neural(x, x_hat) * mixed.scale < pixel).all()


def test_the_ceiling_leaves_the_metric_at_the_image_as_it_is():
    """At x_hat = x both costs are 0: there the mixture has D's curvature, not half of each."""
    mixed = combine(edge, 1.0, "lipschitz", data=DIGITS[:30])
    x = DIGITS[:1]
    curvature = hessian(lambda y: mixed(x, y.view(1, 1, 8, 8))[0], x.flatten())
    plain = hessian(lambda y: edge(x, y.view(1, 1, 8, 8))[0], x.flatten())
    assert_close(curvature, plain * mixed.scale.double())


# --- gradient -----------------------------------------------------------------------------------


def test_under_gradient_each_images_neural_force_is_as_strong_as_squared_errors(neural):
    x, x_hat = reconstructions()
    alone = gradient(combine(neural, 1.0, "gradient").train(), x, x_hat)
    of_pixel, of_neural = 2 * (x_hat - x).detach(), gradient(neural, x, x_hat)
    assert_close(norm(alone), norm(of_pixel))
    cosine = (alone * of_neural).flatten(1).sum(1) / norm(alone) / norm(of_neural)
    assert_close(cosine, torch.ones_like(cosine))
    mixed = gradient(combine(neural, 0.3, "gradient").train(), x, x_hat)
    assert_close(mixed, 0.3 * alone + 0.7 * of_pixel)


@pytest.mark.parametrize("control", ["gradient", "balanced"])
def test_the_value_is_the_plain_mixture_and_in_eval_so_is_the_gradient(neural, control):
    x, x_hat = reconstructions()
    mixed = combine(neural, 0.3, control)

    def plain(x, x_hat):
        return 0.3 * neural(x, x_hat) + 0.7 * squared_error(x, x_hat)

    for training in (True, False):
        found = mixed.train(training)(x, x_hat)
        assert_close(found, plain(x, x_hat), rtol=1e-12, atol=1e-13)
    assert_close(gradient(mixed, x, x_hat), gradient(plain, x, x_hat))
    before = mixed.norms.clone()
    with torch.no_grad():
        assert_close(mixed.train()(x, x_hat), plain(x, x_hat))
    assert torch.equal(mixed.norms, before)


def test_where_the_image_is_perfect_no_force_is_left():
    x = DIGITS[:3]
    for control in ("gradient", "balanced"):
        mixed = combine(edge, 0.5, control).double().train()
        x_hat = x.clone().requires_grad_()
        assert torch.equal(gradient(mixed, x, x_hat), torch.zeros_like(x))


def test_a_loss_without_force_adds_none():
    def flat(x, x_hat):
        return 1 + 0 * squared_error(x, x_hat)

    x, x_hat = reconstructions()
    of_pixel = 2 * (x_hat - x).detach()
    mixed = gradient(combine(flat, 0.4, "gradient").train(), x, x_hat)
    assert_close(mixed, 0.6 * of_pixel)
    mixed = gradient(combine(flat, 0.4, "balanced", total_norm=1e3).double().train(), x, x_hat)
    assert_close(mixed, 600 * of_pixel / norm(of_pixel).mean())


# --- balanced -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_under_balanced_each_part_has_its_share_of_the_total_whatever_its_scale(neural, share):
    def louder(x, x_hat):
        return 1000 * neural(x, x_hat)

    x, x_hat = reconstructions()
    of_pixel, of_neural = 2 * (x_hat - x).detach(), gradient(neural, x, x_hat)
    directions = [g / norm(g).mean() for g in (of_neural, of_pixel)]
    expected = 3 * (share * directions[0] + (1 - share) * directions[1])
    for distortion in (neural, louder):
        mixed = combine(distortion, share, "balanced", total_norm=3.0).double().train()
        for _ in range(5):  # the running mean of a constant is that constant from the first step
            assert_close(gradient(mixed, x, x_hat), expected, rtol=1e-9, atol=1e-12)
    assert norm(expected).mean() < 3 * (1 + 1e-12)  # less, where the two disagree
    assert share in (0, 1) or norm(expected).mean() < 2.999


def test_the_running_norms_are_exponential_averages_over_steps():
    mixed = combine(edge, 0.5, "balanced", decay=0.8).double().train()
    weights, values = [], []
    for seed in range(6):
        x, x_hat = reconstructions(seed=seed, noise=0.1 * (seed + 1))
        mixed(x, x_hat)
        values.append(norm(gradient(edge, x, x_hat)).mean())
        weights = [0.8 * w for w in weights] + [0.2]
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert_close(mixed.norms[0] / mixed.weight, expected)


@pytest.mark.parametrize("control", ["gradient", "balanced"])
def test_training_interrupted_and_resumed_is_training(control, tmp_path):
    images = DIGITS.float()

    def trained(steps_until=None, **arguments):
        model = VAE.mlp((1, 8, 8), d=2, hidden=(8,), distortion=combine(edge, 0.5, control))
        calls = 0

        def stop(*_):
            nonlocal calls
            calls += 1
            if calls == steps_until:
                raise RuntimeError("killed")

        model.encoder.register_forward_hook(stop)
        fit(model, images, steps=20, batch_size=50, progress=False, **arguments)
        return model.state_dict()

    file = dict(checkpoint=tmp_path / "run", checkpoint_every=7)
    with pytest.raises(RuntimeError, match="killed"):
        trained(steps_until=12, **file)
    whole, resumed = trained(), trained(**file)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


# --- sleeping, refused, swept -------------------------------------------------------------------


@pytest.mark.parametrize("control", ["add", "gradient", "balanced"])
def test_a_distortion_that_sleeps_leaves_squared_error_alone(control):
    x, x_hat = (t.detach().float() for t in reconstructions())
    x_hat.requires_grad_()
    asleep = Adversarial(patch_discriminator(width=4), start=10)
    mixed = combine(asleep, 0.5, control)
    for training in (True, False):
        mixed.train(training)
        assert torch.equal(mixed(x, x_hat), squared_error(x, x_hat))
        assert_close(gradient(mixed, x, x_hat), 2 * (x_hat - x).detach())


@pytest.mark.parametrize(
    "share, control, rest, message",
    [
        (0.5, "plain", {}, "control='plain': choose one of .*'add', 'null'"),
        (-0.1, "add", {}, r"share=-0.1: must be in \[0, inf\]"),
        (math.inf, "add", {}, "share=inf"),
        (1.1, "gradient", {}, r"share=1.1: must be in \[0, 1\]"),
        (math.nan, "balanced", {}, "share=nan"),
        (0.5, "null", {}, "control='null' with 0 of data and constant: give one"),
        (0.5, "null", dict(data=DIGITS, constant=1.0), "with 2 of data"),
        (0.5, "add", dict(data=DIGITS), "leave out data and constant"),
        (0.5, "lipschitz", dict(constant=0.0), "constant=0.0"),
        (0.5, "null", dict(data=DIGITS.byte()), r"torch.uint8: give data\.float"),
        (0.5, "lipschitz", dict(data=DIGITS[:1]), "differs by 0: give different ones"),
        (0.5, "balanced", dict(total_norm=0.0), "total_norm=0.0"),
        (0.5, "balanced", dict(decay=1.0), "decay=1.0"),
    ],
)
def test_combine_refuses_what_it_can_not_hold_fixed(unchecked, share, control, rest, message):
    with pytest.raises((TypeError, ValueError), match=message):
        combine(edge, share, control, **rest)


def test_a_scale_is_refused_where_there_is_none():
    def nothing(x, x_hat):
        return 0 * squared_error(x, x_hat)

    with pytest.raises(ValueError, match="data: its mean image costs 0 in all"):
        combine(nothing, 0.5, "null", data=DIGITS)
    with pytest.raises(ValueError, match="largest ratio of D to squared error is 0"):
        combine(nothing, 0.5, "lipschitz", data=DIGITS[:3])
    critic = Adversarial(patch_discriminator(width=2))
    with pytest.raises(ValueError, match="control='null'.*this distortion learns"):
        combine(critic, 0.5, "null", data=DIGITS)


def test_two_losses_never_share_a_name_and_one_loss_has_one_in_every_process():
    """A checkpoint knows its model by this text; an address of memory would differ in each run."""
    texts = [
        repr(combine(neural, share, control))
        for neural in (edge, ssim, functools.partial(edge, pixel=0.1), functools.partial(edge))
        for share in (0.5, 0.7)
        for control in ("add", "balanced")
    ] + [repr(combine(edge, 0.5, "null", constant=1.0)), repr(combine(features(), 0.5, "add"))]
    assert len(set(texts)) == len(texts) and not any("0x" in text for text in texts)


@pytest.mark.parametrize("control", ["add", "null", "lipschitz", "gradient"])
def test_an_ensemble_trains_each_member_as_if_alone(control):
    images = DIGITS.float()
    data = dict(data=images[:30]) if control in ("null", "lipschitz") else {}
    loss = combine(features().float(), 0.5, control, **data)
    config = dict(image_shape=(1, 8, 8), d=2, hidden=(8,), distortion=loss)
    options = dict(steps=8, batch_size=50, progress=False)
    both = sweep(VAE.mlp, config, images, betas=[0.1, 1.0], seeds=[0, 1], **options)
    for beta, seed in [(0.1, 1), (1.0, 0)]:
        alone = VAE.mlp(**config, beta=beta, seed=seed)
        fit(alone, images, seed=seed, **options)
        member = both.member(beta, seed)
        for name, weight in alone.state_dict().items():
            assert_close(member.state_dict()[name], weight, rtol=1e-4, atol=1e-5)
