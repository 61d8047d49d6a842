"""The VAE: its rate against torch.distributions, safety at extremes, its prior, its ablations."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from tests.models.contract import LatentModelContract, noise
from vae_course import gaussian
from vae_course.data import load
from vae_course.models import VAE

DIGIT = (1, 8, 8)
X = torch.rand(6, *DIGIT, generator=torch.Generator().manual_seed(1))
EPS = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))


class TestVAE(LatentModelContract):
    builds = {
        "mlp": partial(VAE.mlp, DIGIT, d=3, hidden=(9,), beta=0.3, activation="tanh"),
        "linear": partial(VAE.mlp, (16,), d=3, hidden=()),
        "conv": partial(VAE.conv, DIGIT, d=3, width=4, distortion="bernoulli", beta=0.7),
        "initial rate": partial(VAE.mlp, DIGIT, d=3, hidden=(9,), initial_rate=2.5),
    }

    def code(self, model, x, eps):
        mu, sigma = model.encode(x)
        return mu + sigma * eps

    def rate_exact(self, model, x):
        ball, prior = Normal(*model.encode(x)), Normal(x.new_zeros(()), 1.0)
        return kl_divergence(ball, prior).sum(-1)


def test_the_rate_is_the_kl_of_the_gaussian_module():
    model = VAE.mlp(DIGIT, d=3).double()
    x, eps = X.double(), EPS.double()
    assert_close(model.loss_terms(x, eps).rate, gaussian.kl_to_standard_normal(*model.encode(x)))


@pytest.mark.parametrize("logit", [0.0, 1e30, -1e30, math.inf, -math.inf])
def test_sigma_its_square_and_its_inverse_are_finite_at_any_logit(logit):
    model = VAE.mlp((2,), d=1, hidden=())
    model.encoder[-1].weight.data.zero_()
    model.encoder[-1].bias.data.copy_(torch.tensor([0.0, logit]))
    _, sigma = model.encode(torch.zeros(1, 2))
    assert 4.5e-5 < sigma.item() < 2.21e4
    assert all(v.isfinite().all() for v in model.loss_terms(torch.zeros(1, 2), torch.ones(1, 1)))


def test_nan_is_not_hidden_by_the_bound_on_sigma():
    model = VAE.mlp((2,), d=1, hidden=())
    assert model.encode(torch.full((1, 2), math.nan)).sigma.isnan().all()


def test_prior_samples_are_decoded_standard_normal_draws():
    model = VAE.mlp((40_000,), d=40_000, hidden=(1,))
    model.decoder = nn.Identity()
    z = model.sample(2, seed=0).flatten()
    assert abs(z.mean()) < 4 / math.sqrt(z.numel())  # four standard errors
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / z.numel())
    assert torch.equal(z, model.sample(2, torch.Generator().manual_seed(0)).flatten())


# PyTorch's own forward mode calls what it deprecates
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_decode_is_differentiable_by_forward_mode_one_code_at_a_time():
    model = VAE.mlp(DIGIT, d=3)
    jacobian = torch.func.vmap(torch.func.jacfwd(model.decode))(EPS)  # (6, *image, d)
    step = 1e-2 * torch.eye(3)[0]
    difference = (model.decode(EPS + step) - model.decode(EPS - step)) / 2e-2
    assert_close(jacobian[..., 0], difference, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("build", [VAE.mlp, VAE.conv])
def test_it_starts_at_its_initial_rate_to_two_percent(build):
    x = load("mnist_small").test[:100]
    for d, rate in ((2, 1.0), (3, 5.0), (20, 5.0)):
        model = build((1, 28, 28), d=d, initial_rate=rate)
        mu, sigma = model.encode(x)
        # exactly it is the initial rate and what the centres add
        exact = rate + mu.square().sum(1) / 2
        assert_close(model.loss_terms(x, noise(model, 100)).rate, exact, rtol=1e-5, atol=0)
        assert exact.mean().item() == pytest.approx(rate, rel=0.02)
        assert sigma.max() < 1 and sigma.max() == sigma.min()


def test_without_an_initial_rate_it_starts_as_it_always_did():
    plain, moved = VAE.mlp(DIGIT, d=3, seed=4), VAE.mlp(DIGIT, d=3, seed=4, initial_rate=2.0)
    mu, sigma = plain.encode(X)
    assert (sigma - 1).abs().max() < 0.3 and sigma.std() > 0
    assert_close(moved.encode(X).mu, mu, rtol=0, atol=0)


def test_the_ablations_remove_the_noise_or_the_pull_and_nothing_else():
    options = {"vae": {}, "still": {"sampling": False}, "free": {"pull": False}}
    models = {name: VAE.mlp(DIGIT, d=3, seed=3, **option) for name, option in options.items()}
    terms = {name: model.loss_terms(X, EPS) for name, model in models.items()}
    mu = models["vae"].encode(X).mu
    still = models["vae"].loss_terms(X, torch.zeros_like(EPS))
    assert_close(terms["still"].rate, terms["vae"].rate)
    assert_close(terms["still"].distortion, still.distortion)
    assert_close(terms["free"].distortion, terms["vae"].distortion)
    assert_close(terms["free"].rate, terms["vae"].rate - mu.square().sum(1) / 2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: VAE.mlp(beta=-0.1), r"beta=-0\.1"),
        (lambda: VAE.mlp(beta=math.nan), "beta must be finite, got nan"),
        (lambda: VAE.mlp(beta="much"), "beta must be a number, got str"),
        (lambda: VAE.mlp(d="3"), "d=.*whole numbers"),
        (lambda: VAE.mlp(hidden=16), "hidden must be a list of whole numbers, got 16"),
        (lambda: VAE.mlp(distortion=3), "distortion must be a name or a callable"),
        (lambda: VAE.mlp().decode([0.0]), "z must be a tensor"),
        (lambda: VAE.mlp().encode([0.0]), "x must be a tensor"),
        (lambda: VAE.mlp(initial_rate=-1.0), r"initial_rate=-1\.0.*positive"),
        (lambda: VAE.mlp().sample(3), "seed=0, or a generator"),
        (lambda: VAE.mlp().sample(3, torch.Generator(), seed=1), "one source"),
    ],
)
def test_bad_arguments_are_named(unchecked, call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
