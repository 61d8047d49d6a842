"""Matched laws have what they are matched by, measured on their densities."""

import math

import pytest
import torch
from torch.distributions import kl_divergence
from torch.testing import assert_close

from tests.sphere.contract import DOUBLE, axis
from vae_course.sphere import (
    FAMILIES,
    SphericalUniform,
    VonMisesFisher,
    from_stretch,
    log_area,
    matched,
    normalise,
)


def along(law, theta):
    """Log density at the angles theta from loc, on one great circle, (theta, batch of laws)."""
    d, theta = law.event_shape[0], theta.view(-1, *[1] * (len(law.batch_shape) + 1))
    return law.log_prob(theta.cos() * axis(d) + theta.sin() * axis(d, 1))


def integrate(law, function):
    """Integral over the sphere of the density times function(theta, log density): the trapezoidal
    rule in the latitude, where the integrand is smooth and falls exponentially on both sides. In 64
    dimensions its peak is at least 1/11 wide: the error is below e^-60."""
    d, step = law.event_shape[0], 0.05
    latitude = torch.arange(-30, 40, step, dtype=DOUBLE)
    theta = 2 * torch.atan(torch.exp(-latitude))
    log_sine = math.log(2) - latitude.abs() - torch.log1p(torch.exp(-2 * latitude.abs()))
    log_f = along(law, theta)
    ring = log_area(d - 1) + (d - 1) * log_sine[:, None]
    return step * ((ring + log_f).exp() * function(theta, log_f)).sum(0)


@pytest.mark.parametrize("d", [2, 3, 8, 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_matched_law_has_its_rate_and_mean_cosine_by_quadrature(family, d):
    loc = axis(d).expand(3, d)
    rates, cosines = (torch.tensor(v, dtype=DOUBLE) for v in ([0.01, 1.0, 4.0], [0.01, 0.3, 0.9]))
    nats = integrate(matched(family, loc, rate=rates), lambda theta, log_f: log_f + log_area(d))
    assert_close(nats, rates, rtol=1e-8, atol=1e-11)
    laws = matched(family, loc, mean_cosine=cosines)
    found = integrate(laws, lambda theta, log_f: theta.cos()[:, None])
    assert_close(found, cosines, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("d", [2, 3, 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_matched_law_has_its_curvature_by_second_differences(family, d):
    for curvature in (0.01, 2.0, 900.0):
        law = matched(family, axis(d), curvature=curvature)
        h = 1e-3 / math.sqrt(1 + curvature)
        log_f = along(law, torch.tensor([-h, 0.0, h], dtype=DOUBLE))
        second = (log_f[0] - 2 * log_f[1] + log_f[2]) / h**2
        assert -second.item() == pytest.approx(curvature, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("d", [2, 3, 5, 24, 64, 1024])
@pytest.mark.parametrize("family", FAMILIES)
def test_matching_is_solved_to_ten_digits_from_tiny_to_concentrated(family, d):
    rates = torch.logspace(-6, math.log10(4.0 * (d - 1)), 9, dtype=DOUBLE)
    cosines = torch.tensor([1e-6, 1e-3, 0.5, 0.99, 0.99999], dtype=DOUBLE)
    law = matched(family, axis(d).expand(9, d), rate=rates)
    uniform = SphericalUniform(d, dtype=DOUBLE)
    assert_close(kl_divergence(law, uniform), rates, rtol=1e-10, atol=0)
    found = matched(family, axis(d).expand(5, d), mean_cosine=cosines).mean_cosine
    assert_close(found, cosines, rtol=1e-10, atol=0)


def test_float32_rounds_the_parameter_and_nothing_else():
    for family in FAMILIES:
        single = matched(family, axis(16, dtype=torch.float32), rate=12.5)
        uniform = SphericalUniform(16)
        assert kl_divergence(single, uniform).item() == pytest.approx(12.5, rel=2e-6)


def test_the_three_matchings_disagree():
    # d = 64, rho = 1/2: worked out in the chapter from three different formulas.
    cauchy = FAMILIES["cauchy"].from_rho(axis(64), torch.tensor(0.5, dtype=DOUBLE))
    nats = kl_divergence(cauchy, SphericalUniform(64, dtype=DOUBLE))
    kappa = {
        "curvature": matched("vmf", axis(64), curvature=2 * 63 * 0.5 / 0.25).concentration,
        "mean_cosine": matched("vmf", axis(64), mean_cosine=cauchy.mean_cosine).concentration,
        "rate": matched("vmf", axis(64), rate=nats).concentration,
    }
    assert kappa["curvature"].item() == pytest.approx(252, rel=1e-12)
    assert kappa["mean_cosine"].item() == pytest.approx(136.9, abs=0.1)
    assert kappa["rate"].item() == pytest.approx(137.3, abs=0.1)


@pytest.mark.parametrize("d", [2, 3, 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_stretch_is_where_latitudes_are_densest(family, d):
    latitude = torch.linspace(-1, 5, 12_001, dtype=DOUBLE)  # -log tan(theta / 2)
    theta = 2 * torch.atan(torch.exp(-latitude))
    for u in (0.0, 0.5, 3.0):
        law = from_stretch(family, axis(d), torch.tensor(u, dtype=DOUBLE))
        # d(theta) / d(latitude) is sin(theta)
        log_density = along(law, theta) + (d - 1) * theta.sin().log()
        assert abs(latitude[log_density.argmax()].item() - u) < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_property_of_zero_is_the_uniform_law(family):
    loc = axis(5).expand(2, 5)
    for name in ("rate", "mean_cosine", "curvature"):
        law = matched(family, loc, **{name: torch.tensor([0.0, 0.1], dtype=DOUBLE)})
        kl = kl_divergence(law, SphericalUniform(5, dtype=DOUBLE))
        assert kl[0] == 0 and kl[1] > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_pass_through_loc_and_inference_mode_is_no_obstacle(family):
    raw = torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE, requires_grad=True)
    matched(family, normalise(raw), rate=2.0).log_prob(axis(3)).backward()
    assert raw.grad.abs().max() > 0.01
    with torch.inference_mode():
        law = matched(family, axis(3), rate=torch.tensor(2.0))
        kl = kl_divergence(law, SphericalUniform(3, dtype=DOUBLE))
    assert kl.item() == pytest.approx(2.0, rel=1e-10)


def test_a_property_broadcasts_with_loc_and_no_gradient_passes_through_it():
    wanted = torch.tensor([[0.5], [0.7]], dtype=DOUBLE, requires_grad=True)
    uniform = SphericalUniform(3, dtype=DOUBLE)
    for family in FAMILIES:
        for name in ("rate", "mean_cosine", "curvature"):
            law = matched(family, torch.eye(3, dtype=DOUBLE), **{name: wanted})
            assert law.batch_shape == (2, 3)
            assert not kl_divergence(law, uniform).requires_grad
        nats = kl_divergence(matched(family, axis(3).expand(3, 3), rate=wanted), uniform)
        assert_close(nats, wanted.detach().expand(2, 3), rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: matched("gauss", axis(3), rate=1.0), r"'gauss'.*\['cauchy', 'power', 'vmf'\]"),
        (lambda: matched("vmf", axis(3)), "no property given: give exactly one"),
        (lambda: matched("vmf", axis(3), rate=1.0, curvature=2.0), r"\['curvature', 'rate'\]"),
        (lambda: matched("vmf", axis(3), rate=-1.0), r"rate lies in \[-1, -1\].*at least 0"),
        (lambda: matched("vmf", axis(3), rate=math.nan), "rate lies in"),
        (lambda: matched("vmf", axis(3), mean_cosine=1.0), "less than 1"),
        (lambda: matched("vmf", axis(3), curvature=math.inf), "finite"),
        (lambda: matched("cauchy", 2 * axis(3), rate=1.0), "unit vectors"),
        (lambda: matched("vmf", axis(2, dtype=torch.float32), rate=99.0), "reach of torch.float32"),
        (lambda: matched("power", axis(3), rate=60.0), "reach of torch.float64; give less$"),
        (
            lambda: matched("vmf", axis(2, dtype=torch.float32), rate=99.0),
            r"normalise\(loc.double\(\)\)",
        ),
        (lambda: matched("vmf", axis(3).expand(2, 3), rate=torch.ones(2, 1)), "rate has shape"),
        (lambda: from_stretch("gauss", axis(3), 1.0), "'gauss' is unknown"),
        (lambda: from_stretch("vmf", axis(3), -1.0), "u lies in"),
        (lambda: from_stretch("vmf", 2 * axis(3), 1.0), "loc has norms"),
    ],
)
def test_bad_arguments_are_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


def test_families_are_the_three_laws():
    assert FAMILIES["vmf"] is VonMisesFisher and len(FAMILIES) == 3
