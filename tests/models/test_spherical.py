"""The spherical VAE: its start, safety at extremes, its prior; and what each family inherits."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import kl_divergence
from torch.testing import assert_close

from tests.models.contract import LatentModelContract, noise, rate_by_quadrature
from vae_course import models
from vae_course.data import load
from vae_course.models import VAE, SphericalVAE, law
from vae_course.sphere import FAMILIES, SphericalUniform
from vae_course.training import NonFiniteLossError, fit, sweep

DIGIT = (1, 8, 8)
X = torch.rand(6, *DIGIT, generator=torch.Generator().manual_seed(1))
DIMENSIONS = [2, 3, 8, 64, 1024]


class SphericalVAEContract(LatentModelContract):
    """What a spherical VAE promises in each of its families."""

    family: str
    plan = dict(steps=30, lr=1e-2, batch_size=32)
    stop_at = 17

    @property
    def builds(self):
        mlp = partial(SphericalVAE.mlp, DIGIT, d=4, hidden=(9,), beta=0.3, initial_rate=2.5)
        conv = partial(SphericalVAE.conv, DIGIT, d=5, width=4, distortion="bernoulli")
        return {
            name: partial(b, family=self.family) for name, b in dict(mlp=mlp, conv=conv).items()
        }

    def code(self, model, x, eps):
        return model.encode(x).transport(eps)

    def rate_exact(self, model, x):
        return rate_by_quadrature(model.encode(x))

    def of_own_networks(self, model):
        networks = model.encoder, model.decoder
        return SphericalVAE(*networks, image_shape=DIGIT, d=model.d, family=self.family)

    def test_an_image_s_code_is_one_law_of_the_family(self, build):
        model = build()
        q = model.encode(X)
        assert type(q) is FAMILIES[self.family]
        assert q.batch_shape == (6,) and q.event_shape == (model.d,)

    @pytest.mark.parametrize("network", ["mlp", "conv"])
    def test_at_the_start_every_image_costs_the_initial_rate(self, network):
        x = load("mnist_small").test[:100]
        for d, rate in ((2, 1.0), (3, 5.0), (20, 5.0)):
            model = getattr(SphericalVAE, network)(
                (1, 28, 28), d=d, family=self.family, initial_rate=rate
            )
            ours = model.loss_terms(x, noise(model, 100)).rate
            assert_close(ours, torch.full((100,), rate), rtol=1e-5, atol=0)

    @pytest.mark.parametrize("d", DIMENSIONS)
    def test_a_last_number_of_zero_is_the_initial_rate(self, d):
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 5e-6)):
            for rate in (0.01, 1.0, 6.0):
                features = torch.zeros(d + 1, dtype=dtype)
                kl = kl_divergence(
                    law(features, self.family, rate), SphericalUniform(d, dtype=dtype)
                )
                assert kl.item() == pytest.approx(rate, rel=tolerance)

    @pytest.mark.parametrize("d", DIMENSIONS)
    def test_codes_rates_and_gradients_are_finite_at_any_features(self, d):
        extremes = [0.0, 30.0, -30.0, 1e30, -1e30, math.inf, -math.inf]
        features = torch.zeros(3 * len(extremes), d + 1)
        features[:, -1] = torch.tensor(extremes).repeat(3)
        features[len(extremes) : 2 * len(extremes), :d] = torch.randn(len(extremes), d)
        features[2 * len(extremes) :, 0] = 1e30  # the first third keeps a direction of length 0
        features.requires_grad_()
        q = law(features, self.family, 1.0)
        z = q.transport(torch.randn(len(features), q.noise_dim))
        rate = kl_divergence(q, SphericalUniform(d))
        assert (z.norm(dim=-1) - 1).abs().max() < 1e-6
        assert rate.isfinite().all() and rate.min() >= 0 and q.log_prob(z).isfinite().all()
        (gradient,) = torch.autograd.grad(rate.sum() + z.sum() + q.log_prob(z).sum(), features)
        assert gradient[features.isfinite().all(1)].isfinite().all()


class TestCauchy(SphericalVAEContract):
    family = "cauchy"


class TestVonMisesFisher(SphericalVAEContract):
    family = "vmf"


class TestPowerSpherical(SphericalVAEContract):
    family = "power"


def test_the_families_are_tested_all():
    tested = {kind.family for kind in SphericalVAEContract.__subclasses__()}
    assert tested == set(FAMILIES)


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("d", [3, 33])
def test_unit_codes_drive_the_decoder_s_first_layer_as_standard_normal_codes_do(network, d):
    """The mean over units of the variance over codes: 1/3 with PyTorch's weights, whatever d."""
    wide = {"mlp": {"hidden": (4000,)}, "conv": {"width": 512}}[network]
    variance = {}
    for kind in (VAE, SphericalVAE):
        model = getattr(kind, network)(DIGIT, d=d, **wide)
        generator = torch.Generator().manual_seed(0)
        z = torch.randn(2000, d, generator=generator)
        z = z if kind is VAE else nn.functional.normalize(z, dim=1)
        variance[kind] = model.decoder[0](z).var(0).mean().item()
    # two sums over d axes of 2,000 draws and 4,000 units: within 5 % by five deviations
    assert variance[SphericalVAE] == pytest.approx(variance[VAE], rel=0.05)
    assert variance[VAE] == pytest.approx(1 / 3, rel=0.05)


def test_only_the_weights_of_the_decoder_s_first_layer_are_scaled_and_only_once(tmp_path):
    model = SphericalVAE.mlp(DIGIT, d=16, hidden=(500,))
    first, second = model.decoder[0], model.decoder[2]
    # PyTorch draws weights from U(-b, b) and biases alike, with b = 1 / sqrt(inputs)
    assert 0.95 < first.weight.abs().max() <= 1 and 0.24 < first.bias.abs().max() <= 0.25
    assert second.weight.abs().max() <= 1 / math.sqrt(500)
    model.save(tmp_path / "model.safetensors")
    again = models.load(tmp_path / "model.safetensors")
    assert torch.equal(again.decoder[0].weight, first.weight)


def test_rates_grow_alike_in_all_families_far_from_the_start():
    # One scale: another unit of the last number costs d - 1 nats, whatever the family.
    for family in FAMILIES:
        features = torch.tensor([0.0, 0.0, 0.0, 6.0], dtype=torch.float64).repeat(2, 1)
        features[1, -1] = 7.0
        kl = kl_divergence(law(features, family, 1.0), SphericalUniform(3, dtype=torch.float64))
        assert (kl[1] - kl[0]).item() == pytest.approx(2.0, rel=2e-2)


@pytest.mark.parametrize("place", [0, -1])
def test_nan_is_not_hidden(place):
    features = torch.ones(4)
    features[place] = math.nan
    q = law(features, "cauchy", 1.0)
    assert q.transport(torch.ones(3)).isnan().any()


def test_prior_samples_are_decoded_uniform_points():
    model = SphericalVAE.mlp((50,), d=50, hidden=(1,))
    model.decoder = nn.Identity()
    z = model.sample(4000, seed=0)
    assert_close(z.norm(dim=1), torch.ones(4000))
    second = z.T @ z / 4000 * 50  # the identity; entries have deviations below sqrt(2 / 4000)
    assert (second - torch.eye(50)).abs().max() < 5 * math.sqrt(2 / 4000)
    assert z.mean(0).abs().max() < 4.5 / math.sqrt(50 * 4000)
    assert torch.equal(z, model.sample(4000, torch.Generator().manual_seed(0)))


def test_a_concentration_that_is_nan_stops_training():
    model = SphericalVAE.mlp(DIGIT, d=3)
    model.encoder[-1].weight.data[-1] = math.nan
    with pytest.raises(NonFiniteLossError):
        fit(model, X, steps=3, batch_size=6, progress=False)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: SphericalVAE.mlp(family="gauss"), "family='gauss'.*cauchy"),
        (lambda: SphericalVAE.mlp(beta=-0.1), r"beta=-0\.1"),
        (lambda: SphericalVAE.mlp(initial_rate=0.0), r"initial_rate=0\.0.*positive"),
        (lambda: SphericalVAE.mlp(d=2, initial_rate=40.0), r"initial_rate=40\.0.*R\^2.*less than"),
        (lambda: SphericalVAE.mlp(d=1), "features end in 2 numbers"),
        (lambda: SphericalVAE.mlp().encode(torch.zeros(5, 64)), r"\(5, 64\).*\(batch, 1, 8, 8\)"),
        (lambda: SphericalVAE.mlp(d=3).decode(torch.zeros(5, 4)), r"\(5, 4\).*\(batch, 3\)"),
        (lambda: SphericalVAE.mlp().sample(3), "seed=0, or a generator"),
        (lambda: SphericalVAE.mlp(d=3).loss_terms(X, torch.zeros(6, 2)), r"eps has shape \(6, 2\)"),
    ],
)
def test_bad_arguments_are_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_sweep_s_codes_are_asked_for_one_by_one(tmp_path):
    config = dict(image_shape=DIGIT, d=3, hidden=(8,))
    options = dict(betas=[0.1], seeds=[0], steps=2, batch_size=4, progress=False)
    for elsewhere in ({}, dict(workers=1, folder=tmp_path)):
        runs = sweep(SphericalVAE.mlp, config, X, **options, **elsewhere)
        with pytest.raises(TypeError, match="one by one"):
            runs.encode(X)
        assert runs.member().encode(X).batch_shape == (6,)
