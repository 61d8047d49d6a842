"""What all laws on the sphere promise: property × law, on samples made of given noise."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vae_course.sphere import (
    PowerSpherical,
    SphericalCauchy,
    SphericalLaw,
    SphericalUniform,
    VonMisesFisher,
    log_area,
    normalise,
)

FAMILIES = {"cauchy": SphericalCauchy, "vmf": VonMisesFisher, "power": PowerSpherical}
LAWS = [("cauchy", 2, 1.0), ("cauchy", 21, 0.7), ("vmf", 2, 3.0), ("vmf", 3, 0.0),
        ("vmf", 21, 10.5), ("power", 3, 5.0), ("power", 64, 12.0)]  # fmt: skip
laws = pytest.mark.parametrize(("family", "d", "parameter"), LAWS)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def law(family: str, d: int, parameter: float, dtype: torch.dtype = torch.float64):
    loc = normalise(torch.randn(d, dtype=torch.float64, generator=generator(d)))
    return FAMILIES[family](loc.to(dtype), torch.tensor(parameter, dtype=dtype))


def noise(p, n: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, p.noise_dim, dtype=dtype, generator=generator(seed))


@laws
def test_rsample_is_the_transport_of_normal_noise(family, d, parameter):
    p = law(family, d, parameter)
    assert p.noise_dim == (d if family == "cauchy" else d + 1)
    assert torch.equal(p.rsample((5,), generator(0)), p.transport(noise(p, 5, 0)))


def everything(family: str, d: int, parameter: float) -> list[SphericalLaw]:
    return [law(family, d, parameter), SphericalUniform(d, dtype=torch.float64)]


@laws
def test_samples_are_rsamples_without_gradient(family, d, parameter):
    for p in everything(family, d, parameter):
        y = p.sample((5,), generator(0))
        assert torch.equal(y, p.rsample((5,), generator(0))) and not y.requires_grad
        assert torch.equal(y, p.transport(noise(p, 5, 0))) and y.shape == (5, d)


@laws
def test_entropy_is_the_log_area_less_the_kl_to_uniform_which_is_the_mean_log_ratio(
    family, d, parameter
):
    for p in everything(family, d, parameter):
        rate = kl_divergence(p, SphericalUniform(d, dtype=torch.float64))
        assert torch.equal(p.kl_to_uniform(), rate) and p.dim == d
        assert_close(p.entropy(), log_area(d) - rate, rtol=1e-13, atol=1e-13)
        ratio = p.log_prob(p.sample((4000,), generator(9))) + log_area(d)
        assert abs((ratio.mean() - rate).item()) <= 5 * ratio.std().item() / 4000**0.5 + 1e-12


@laws
def test_no_point_is_denser_than_the_mode_and_the_mean_lies_on_its_radius(family, d, parameter):
    for p in everything(family, d, parameter):
        y = torch.cat([p.sample((200,), generator(1)), -p.mode[None]])
        assert (p.log_prob(p.mode) >= p.log_prob(y) - 1e-12).all()
        assert abs(p.mode.norm().item() - 1) < 1e-12
        assert_close(p.mean, p.mean_cosine * p.mode)


@laws
def test_transport_passes_gradcheck_in_the_direction_the_parameter_and_the_noise(
    family, d, parameter
):
    p = law(family, d, parameter)
    raw = p.loc.clone().requires_grad_()
    scale = torch.tensor(parameter + 0.1, dtype=torch.float64, requires_grad=True)
    eps = noise(p, 3, 1).requires_grad_()

    def transport(raw: Tensor, scale: Tensor, eps: Tensor) -> Tensor:
        return FAMILIES[family](normalise(raw), scale).transport(eps)

    assert torch.autograd.gradcheck(transport, (raw, scale, eps))


@pytest.mark.parametrize("family", FAMILIES)
def test_transport_can_be_differentiated_twice(family):
    raw = torch.randn(3, dtype=torch.float64, generator=generator(7)).requires_grad_()
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    eps = torch.randn(3 + (family != "cauchy"), dtype=torch.float64, generator=generator(8))

    def transport(raw: Tensor, scale: Tensor) -> Tensor:
        return FAMILIES[family](normalise(raw), scale).transport(eps)

    assert torch.autograd.gradgradcheck(transport, (raw, scale))


@laws
def test_float32_samples_are_those_of_float64_made_of_the_same_noise(family, d, parameter):
    p, q = law(family, d, parameter, torch.float32), law(family, d, parameter)
    eps = noise(p, 500, 2, torch.float32)
    y = p.transport(eps)
    assert (y.norm(dim=-1) - 1).abs().max() < 1e-6
    assert_close(y.double(), q.transport(eps.double()), rtol=0, atol=1e-5)


@laws
def test_variance_is_that_of_the_samples_and_with_the_mean_makes_one(family, d, parameter):
    p = law(family, d, parameter)
    y = p.sample((20_000,), generator(3))
    # The fourth moment of a coordinate is at most three times its squared variance, about.
    assert_close(y.var(0), p.variance, rtol=6 * math.sqrt(2 / 20_000), atol=0)
    assert_close(p.variance.sum() + p.mean.square().sum(), torch.ones_like(p.variance.sum()))


@laws
def test_curvature_is_minus_the_second_derivative_of_the_log_density_at_the_mode(
    family, d, parameter
):
    p = law(family, d, parameter)
    tangent = torch.zeros_like(p.loc)
    tangent[0] = 1
    tangent = normalise(tangent - p.loc[0] * p.loc)

    def log_density(theta: Tensor) -> Tensor:
        return p.log_prob(theta.cos() * p.loc + theta.sin() * tangent)

    h = torch.tensor(1e-3, dtype=torch.float64)
    second = (2 * log_density(h) - 2 * log_density(0 * h)) / h.square()  # symmetric in theta
    assert -second.item() == pytest.approx(p.curvature.item(), rel=1e-4, abs=1e-7)


@laws
def test_a_zero_vector_of_noise_still_gives_a_point_of_the_sphere(family, d, parameter):
    p = law(family, d, parameter, torch.float32)
    y = p.transport(torch.zeros(p.noise_dim))
    assert abs(y.norm().item() - 1) < 1e-6


@pytest.mark.parametrize("d", [3, 5])
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_and_rates_map_over_models(family, d):
    loc = normalise(torch.randn(3, d, dtype=torch.float64, generator=generator(4)))
    scale = torch.rand(4, 3, dtype=torch.float64, generator=generator(5)) + 0.5
    eps = torch.randn(4, 3, d + (family != "cauchy"), dtype=torch.float64, generator=generator(6))

    def total(scale: Tensor, eps: Tensor) -> Tensor:
        p = FAMILIES[family](loc, scale, validate_args=False)
        return p.transport(eps).pow(3).sum() + p.kl_to_uniform().sum()

    mapped = torch.func.vmap(torch.func.grad(total))(scale, eps)
    for one, s, e in zip(mapped, scale, eps, strict=True):
        s = s.clone().requires_grad_()
        assert_close(one, torch.autograd.grad(total(s, e), s)[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_of_a_wrong_shape_is_named(family, unchecked):
    p = law(family, 3, 1.0).expand((2,))
    with pytest.raises(ValueError, match="eps has shape"):
        p.transport(torch.zeros(5, 3, p.noise_dim, dtype=torch.float64))


@pytest.mark.parametrize("parameter", [0.3, 2.0, 60.0])
@pytest.mark.parametrize("d", [2, 3, 4, 5, 6, 30, 200])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_second_derivative_of_the_rate_is_the_slope_of_the_first(family, d, parameter):
    """Central differences err by h^2 and by rounding over h: 1e-8 each at h = 1e-4."""
    x = torch.tensor(parameter, dtype=torch.float64, requires_grad=True)
    axis = torch.eye(d, dtype=torch.float64)[0]

    def slope(at: Tensor, graph: bool = False) -> Tensor:
        rate = FAMILIES[family](axis, at).kl_to_uniform()
        return torch.autograd.grad(rate, at, create_graph=graph)[0]

    assert_close(slope(x, graph=True), slope(x), rtol=1e-11, atol=0)
    (second,) = torch.autograd.grad(slope(x, graph=True), x)
    h = 1e-4 * parameter
    difference = (slope(x + h) - slope(x - h)) / (2 * h)
    scale = slope(x).detach() / parameter  # where the slope has saturated it has no slope left
    assert abs(second - difference) <= 1e-6 * second.abs() + 1e-7 * scale
