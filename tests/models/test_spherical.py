"""The spherical VAE: its objective, its start, safety at extremes, training and files."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vae_course import models
from vae_course.data import load
from vae_course.models import VAE, SphericalVAE, law
from vae_course.sphere import FAMILIES, SphericalUniform, log_area
from vae_course.training import NonFiniteLossError, fit, sweep

DIGIT = (1, 8, 8)
X = torch.rand(6, *DIGIT, generator=torch.Generator().manual_seed(1))
DIMENSIONS = [2, 3, 8, 64, 1024]


def noise(model, n=6, seed=2):
    return model.draw_noise(n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_distortion_plus_beta_times_the_kl_divergence(family):
    model = SphericalVAE.mlp(DIGIT, d=4, hidden=(20,), beta=0.7, family=family).double()
    model.encoder[-1].bias.data[-1] = 1.0
    x = X.double()
    q, eps = model.encode(x), noise(model)
    terms = model.loss_terms(x, eps)
    assert type(q) is FAMILIES[family] and q.batch_shape == (6,) and q.event_shape == (4,)
    error = ((x - model.decode(q.transport(eps))) ** 2).sum((1, 2, 3))
    assert_close(terms.distortion, error)
    assert_close(terms.loss, error + 0.7 * terms.rate, rtol=1e-7, atol=0)  # beta is a float32
    # The rate is the mean of log q - log p over codes.
    z = q.sample((2500,), torch.Generator().manual_seed(0))
    ratio = q.log_prob(z) + log_area(4)
    assert ((ratio.mean(0) - terms.rate) / (ratio.std(0) / 50)).abs().max() < 4.5


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("build", [SphericalVAE.mlp, SphericalVAE.conv])
def test_at_the_start_every_image_costs_the_initial_rate_whatever_the_family(build, family):
    x = load("mnist_small").test[:100]
    for d, rate in ((2, 1.0), (3, 5.0), (20, 5.0)):
        model = build((1, 28, 28), d=d, family=family, initial_rate=rate)
        assert_close(
            model.loss_terms(x, noise(model, 100)).rate, torch.full((100,), rate), rtol=1e-5, atol=0
        )


@pytest.mark.parametrize("build", ["mlp", "conv"])
@pytest.mark.parametrize("d", [3, 33])
def test_unit_codes_drive_the_decoder_s_first_layer_as_standard_normal_codes_do(build, d):
    """The mean over units of the variance over codes: 1/3 with PyTorch's weights, whatever d."""
    wide = {"mlp": {"hidden": (4000,)}, "conv": {"width": 512}}[build]
    variance = {}
    for kind in (VAE, SphericalVAE):
        model = getattr(kind, build)(DIGIT, d=d, **wide)
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


@pytest.mark.parametrize("build", [VAE.mlp, VAE.conv])
def test_a_gaussian_starts_at_the_same_rate_to_two_percent(build):
    x = load("mnist_small").test[:100]
    for d, rate in ((2, 1.0), (3, 5.0), (20, 5.0)):
        model = build((1, 28, 28), d=d, initial_rate=rate)
        mu, sigma = model.encode(x)
        # exactly it is the initial rate and what the centres add
        exact = rate + mu.square().sum(1) / 2
        assert_close(model.loss_terms(x, noise(model, 100)).rate, exact, rtol=1e-5, atol=0)
        assert exact.mean().item() == pytest.approx(rate, rel=0.02)
        assert sigma.max() < 1 and sigma.max() == sigma.min()


def test_without_an_initial_rate_a_gaussian_starts_as_it_always_did():
    plain, moved = VAE.mlp(DIGIT, d=3, seed=4), VAE.mlp(DIGIT, d=3, seed=4, initial_rate=2.0)
    mu, sigma = plain.encode(X)
    assert (sigma - 1).abs().max() < 0.3 and sigma.std() > 0
    assert_close(moved.encode(X).mu, mu, rtol=0, atol=0)


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_last_number_of_zero_is_the_initial_rate(family, d):
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 5e-6)):
        for rate in (0.01, 1.0, 6.0):
            features = torch.zeros(d + 1, dtype=dtype)
            kl = kl_divergence(law(features, family, rate), SphericalUniform(d, dtype=dtype))
            assert kl.item() == pytest.approx(rate, rel=tolerance)


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_codes_rates_and_gradients_are_finite_at_any_features(family, d):
    extremes = [0.0, 30.0, -30.0, 1e30, -1e30, math.inf, -math.inf]
    features = torch.zeros(3 * len(extremes), d + 1)
    features[:, -1] = torch.tensor(extremes).repeat(3)
    features[len(extremes) : 2 * len(extremes), :d] = torch.randn(len(extremes), d)
    features[2 * len(extremes) :, 0] = 1e30  # the first third keeps a direction of length 0
    features.requires_grad_()
    q = law(features, family, 1.0)
    z = q.transport(torch.randn(len(features), q.noise_dim))
    rate = kl_divergence(q, SphericalUniform(d))
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-6
    assert rate.isfinite().all() and rate.min() >= 0 and q.log_prob(z).isfinite().all()
    (gradient,) = torch.autograd.grad(rate.sum() + z.sum() + q.log_prob(z).sum(), features)
    assert gradient[features.isfinite().all(1)].isfinite().all()


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


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_a_function_of_the_noise_and_the_noise_of_the_seed(family):
    model = SphericalVAE.mlp(DIGIT, d=3, family=family)
    eps = noise(model)
    assert torch.equal(eps, noise(model)) and not torch.equal(eps, noise(model, seed=3))
    assert torch.equal(model.loss_terms(X, eps).loss, model.loss_terms(X, eps).loss)


def test_prior_samples_are_decoded_uniform_points():
    model = SphericalVAE.mlp((50,), d=50, hidden=(1,))
    model.decoder = nn.Identity()
    z = model.sample(4000, seed=0)
    assert_close(z.norm(dim=1), torch.ones(4000))
    second = z.T @ z / 4000 * 50  # the identity; entries have deviations below sqrt(2 / 4000)
    assert (second - torch.eye(50)).abs().max() < 5 * math.sqrt(2 / 4000)
    assert z.mean(0).abs().max() < 4.5 / math.sqrt(50 * 4000)
    assert torch.equal(z, model.sample(4000, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("family", FAMILIES)
def test_training_lowers_the_loss_and_resumes_to_the_very_same_weights(
    family, tmp_path, monkeypatch
):
    data = load("digits").train[:512]

    def build():
        return SphericalVAE.mlp(DIGIT, d=3, hidden=(32,), beta=0.1, family=family)

    whole = build()
    history = fit(whole, data, steps=60, progress=False)
    assert history.loss[-10:].mean() < 0.8 * history.loss[:5].mean()
    assert history.rate[0] == pytest.approx(1.0, rel=1e-5)

    stopped, calls = build(), 0
    terms = stopped.loss_terms

    def fails_at_40(x, eps):
        nonlocal calls
        calls += 1
        if calls == 40:
            raise RuntimeError("power cut")
        return terms(x, eps)

    monkeypatch.setattr(stopped, "loss_terms", fails_at_40)
    path = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power cut"):
        fit(stopped, data, steps=60, checkpoint=path, checkpoint_every=25, progress=False)
    resumed = build()
    again = fit(resumed, data, steps=60, checkpoint=path, checkpoint_every=25, progress=False)
    assert (again.loss == history.loss).all()
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name])


def test_a_loss_that_is_not_finite_stops_training():
    model = SphericalVAE.mlp(DIGIT, d=3)
    model.encoder[-1].weight.data[-1] = math.nan
    with pytest.raises(NonFiniteLossError):
        fit(model, X, steps=3, batch_size=6, progress=False)


@pytest.mark.parametrize(
    "model",
    [
        SphericalVAE.mlp(DIGIT, d=3, hidden=(9,), family="vmf", beta=0.3, initial_rate=2.5, seed=7),
        SphericalVAE.conv(DIGIT, d=5, width=4, distortion="bernoulli"),
        VAE.mlp(DIGIT, d=3, initial_rate=2.5),
    ],
    ids=["mlp", "conv", "gaussian"],
)
def test_a_saved_model_comes_back_as_it_was(model, tmp_path):
    model.encoder[-1].bias.data += 1.0  # not the initial weights
    model.save(tmp_path / "model.safetensors")
    again = models.load(tmp_path / "model.safetensors")
    assert type(again) is type(model) and again.config == model.config and not again.training
    assert torch.equal(
        again.loss_terms(X, noise(model)).loss, model.loss_terms(X, noise(model)).loss
    )


def test_your_own_networks_give_a_direction_and_one_number(tmp_path):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    decoder = nn.Sequential(nn.Linear(3, 64), nn.Unflatten(1, DIGIT))
    model = SphericalVAE(encoder, decoder, image_shape=DIGIT, d=3, family="power")
    assert model.loss_terms(X, noise(model)).loss.shape == (6,)
    with pytest.raises(ValueError, match="your own networks.*state_dict"):
        model.save(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: SphericalVAE.mlp(family="gauss"), "family='gauss'.*cauchy"),
        (lambda: SphericalVAE.mlp(beta=-0.1), r"beta=-0\.1"),
        (lambda: SphericalVAE.mlp(initial_rate=0.0), r"initial_rate=0\.0.*positive"),
        (lambda: VAE.mlp(initial_rate=-1.0), r"initial_rate=-1\.0.*positive"),
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


def test_a_sweep_runs_it_over_workers_only_and_says_so(tmp_path):
    config = dict(image_shape=DIGIT, d=3, hidden=(8,))
    options = dict(betas=[0.1], seeds=[0], steps=2, batch_size=4, progress=False)
    with pytest.raises(ValueError, match="workers=2"):
        sweep(SphericalVAE.mlp, config, X, **options)
    runs = sweep(SphericalVAE.mlp, config, X, workers=1, folder=tmp_path, **options)
    with pytest.raises(TypeError, match="one by one"):
        runs.encode(X)
    assert runs.member().encode(X).batch_shape == (6,)
