"""The importance-weighted bound against log likelihoods known in closed form or by quadrature."""

import math

import pytest
import torch
from scipy import special
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import ConstantDecoder, LinearGaussian, normal, orthonormal
from vae_course.distortion import squared_error
from vae_course.evaluation import importance_bound
from vae_course.models import VAE, Autoencoder, SphericalVAE
from vae_course.sphere import SphericalLaw, VonMisesFisher, matched, normalise


def bounds(model, x: Tensor, rows: int, draws: int = 1) -> Tensor:
    """(rows, len(x)) independent bounds of each image.

    Of copies in one batch, each with noise of its own: some fifty times quicker than many seeds.
    """
    copies = x.repeat(rows, *[1] * (x.ndim - 1))
    return importance_bound(model, copies, draws=draws).reshape(rows, len(x))


def tight(model, x: Tensor, draws: int) -> Tensor:
    """The bound of so many draws, 20 of them in each of many rows, whose weights are averaged."""
    rows = draws // 20
    return bounds(model, x, rows, draws=20).logsumexp(0) - math.log(rows)


def affine(function, d: int) -> tuple[Tensor, Tensor]:
    """Weight (outputs, d) and bias of an affine function."""
    bias = function(torch.zeros(1, d).double())
    return (function(torch.eye(d).double()) - bias).T, bias[0]


def vae(world, posterior: bool) -> VAE:
    """The world's decoder and, if asked for, its true posterior; else an untrained encoder."""
    model = VAE.mlp((world.pixels,), d=2, hidden=(), beta=world.beta).double()
    layers = {model.decoder[0]: world.decode}
    if posterior:
        layers[model.encoder[1]] = lambda x: torch.cat(
            [world.encode(x)[0], 2 * world.encode(x)[1].log()], 1
        )
    with torch.no_grad():
        for layer, function in layers.items():
            weight, bias = affine(function, layer.in_features)
            layer.weight.copy_(weight), layer.bias.copy_(bias)
    return model


def linear(beta: float) -> LinearGaussian:
    return LinearGaussian(torch.tensor([4.0, 0.25]).double() + beta / 2, beta)


@pytest.mark.parametrize("world", [linear(0.25), ConstantDecoder()], ids=["linear", "constant"])
def test_with_the_true_posterior_the_bound_is_the_log_likelihood_at_any_k(world):
    model, x = vae(world, posterior=True), normal(7, world.pixels, seed=5)
    constant = world.pixels / 2 * math.log(math.pi * world.beta)
    for k in (1, 3):
        bound = importance_bound(model, x, draws=k) - constant
        assert_close(bound, world.likelihood_exact(x), rtol=1e-10, atol=1e-10)


def test_with_another_posterior_the_bound_climbs_to_the_log_likelihood():
    world = linear(2.0)
    model, x = vae(world, posterior=False), world.mean + normal(6, world.pixels, seed=5)
    exact = world.likelihood_exact(x) + world.pixels / 2 * math.log(2 * math.pi)
    at_1, at_8 = (bounds(model, x, rows=200, draws=k).mean(0) for k in (1, 8))
    assert (at_1 < at_8).all() and (at_8 < exact).all()
    assert_close(tight(model, x, draws=3000), exact, rtol=0, atol=0.15)


class Orthonormal:
    """A spherical model with known likelihood: squared error, decoder 2 Q z, Q orthonormal."""

    beta = torch.tensor(0.5)
    distortion = staticmethod(squared_error)

    def __init__(self, family: str) -> None:
        self.family, self.q = family, orthonormal(9, 4, seed=6)

    def decoder(self, z: Tensor) -> Tensor:
        return 2 * z @ self.q.T

    def concentration(self, x: Tensor) -> Tensor:
        return 4 * torch.linalg.vector_norm(x @ self.q, dim=1) / self.beta.double()

    def encode(self, x: Tensor) -> SphericalLaw:
        true = VonMisesFisher(normalise(x @ self.q), self.concentration(x))
        if self.family == "vmf":
            return true
        return matched(self.family, true.loc, mean_cosine=true.mean_cosine)

    def draw_noise(self, n: int, generator: torch.Generator) -> Tensor:
        noise_dim = 5 if self.family == "vmf" else 4
        return torch.randn(n, noise_dim, generator=generator, dtype=torch.float64)


def test_on_the_sphere_it_is_the_log_likelihood_too_and_a_bound_with_another_family():
    x = normal(6, 9, seed=7)
    exact_model = Orthonormal("vmf")
    kappa = exact_model.concentration(x)
    # -(|x|^2 + 4) / beta + log E exp(kappa t) of a uniform point, in R^4: 2 I_1(kappa) / kappa
    log_mean = (2 * torch.from_numpy(special.ive(1, kappa.numpy())) / kappa).log() + kappa
    exact = log_mean - (x.square().sum(1) + 4) / 0.5
    for k in (1, 3):
        assert_close(importance_bound(exact_model, x, draws=k), exact, rtol=1e-9, atol=1e-9)
    other = Orthonormal("cauchy")
    assert (bounds(other, x, rows=200).mean(0) < exact).all()
    assert_close(tight(other, x, draws=2000), exact, rtol=0, atol=0.1)


@pytest.mark.parametrize("family", ["cauchy", "vmf", "power"])
def test_for_binary_pixels_it_is_the_integral_over_the_circle(family):
    # A broad posterior: of a narrow one with light tails the weights have no finite variance.
    model = SphericalVAE.mlp(
        (6,), d=2, hidden=(8,), beta=1.0, distortion="bernoulli", family=family, initial_rate=0.05
    )
    with torch.no_grad():
        model.decoder[-2].weight.mul_(4)
    x = torch.rand(5, 6, generator=torch.Generator().manual_seed(0)).round()
    turn = torch.arange(3600) * (2 * math.pi / 3600)
    z = torch.stack([turn.cos(), turn.sin()], 1)
    logits = model.decoder(z).detach()
    likelihood = torch.distributions.Bernoulli(logits=logits).log_prob(x[:, None]).sum(-1)
    exact = likelihood.logsumexp(1) - math.log(3600)
    assert_close(tight(model, x, draws=800), exact, rtol=0, atol=0.15)


def test_the_mean_over_draws_at_k_1_is_minus_the_loss_over_beta():
    model = SphericalVAE.mlp((6,), d=3, hidden=(8,), beta=0.3, initial_rate=2.0)
    x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    bound = bounds(model, x, rows=400)
    noise = model.draw_noise(1600, torch.Generator().manual_seed(999))
    loss = model.loss_terms(x.repeat(400, 1), noise).loss.detach().reshape(400, 4)
    spread = (bound.var(0) + (loss / 0.3).var(0)).sqrt() / 20
    assert ((bound.mean(0) + loss.mean(0) / 0.3) / spread).abs().max() < 4.5
    first, again, other = (importance_bound(model, x, draws=2, seed=s) for s in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_models_without_a_density_and_a_free_rate_are_refused(unchecked):
    x = torch.zeros(2, 5)
    with pytest.raises(TypeError, match="codes of Autoencoder have no density"):
        importance_bound(Autoencoder.mlp((5,), d=2), x)
    with pytest.raises(ValueError, match=r"beta=0\.0"):
        importance_bound(VAE.mlp((5,), d=2, beta=0.0), x)
    with pytest.raises(ValueError, match="draws=0"):
        importance_bound(VAE.mlp((5,), d=2), x, draws=0)
