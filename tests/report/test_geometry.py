"""The decoder's own geometry: σ as a ruler, the price of a nat, spectra, and bends."""

import math
from functools import cache

import pytest
import torch

from tests.report.bases import base, model
from tests.spatial_world import SpatialLinearGaussian
from vae_course.isometry import pullback_metric
from vae_course.report.geometry import bend, isometry, ruler
from vae_course.report.measures import MEASURES, Found, Unmeasured
from vae_course.report.plan import Sizes
from vae_course.report.study import Declared, Study

WORLD = SpatialLinearGaussian()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def study(encode, decode, images, *, beta=None, seed=0, **rest):
    sizes = Sizes(images=len(images), **rest.pop("sizes", {}))
    return Study(
        encode, decode, images, sizes=sizes, seed=seed, declared=Declared(beta=beta), **rest
    )


@cache
def images():
    return WORLD.images(40, 3, torch.float32)


def oracle(sigma=lambda s: s, **rest):
    """The world, with σ given as something else."""

    def encode(x):
        mu, s = WORLD.encode(x)
        return mu, sigma(s)

    return study(encode, WORLD.decode, images(), **rest)


def value(found):
    return found.value if isinstance(found.value, float) else found.value.value


def test_the_ruler_of_the_oracle_is_right_and_so_is_the_price():
    found = ruler(oracle(beta=2 * WORLD.beta))
    assert value(found["ruler_slope"]) == pytest.approx(1, abs=1e-4)
    assert value(found["ruler_correlation"]) == pytest.approx(1, abs=1e-6)
    assert value(found["price"]) == pytest.approx(WORLD.beta, rel=1e-4)
    assert value(found["price_ratio"]) == pytest.approx(0.5, rel=1e-4)
    assert isinstance(ruler(oracle())["price_ratio"], Unmeasured)


@pytest.mark.parametrize(
    "sigma, slope, verdict",
    [
        (lambda s: s, (0.999, 1.001), "pass"),
        (lambda s: s.square(), (1.2, 2), "fail"),
        (lambda s: s.sqrt(), (0.5, 0.64), "fail"),
    ],
)
def test_the_slope_names_what_was_given_for_sigma(sigma, slope, verdict):
    found = ruler(oracle(sigma, beta=WORLD.beta))
    assert slope[0] < value(found["ruler_slope"]) < slope[1]
    keys = ("ruler_slope", "price_ratio")
    verdicts = [MEASURES[k].condition.verdict(value(found[k])) for k in keys]
    assert (verdict in verdicts) and (verdict == "fail" or set(verdicts) == {"pass"})


def test_sigma_in_another_order_is_correlated_with_nothing():
    order = torch.randperm(WORLD.d, generator=torch.Generator().manual_seed(2))
    found = ruler(oracle(lambda s: s.flatten(1)[:, order].view_as(s)))
    assert abs(value(found["ruler_correlation"])) < 4 / 256**0.5
    assert MEASURES["ruler_correlation"].condition.verdict(value(found["ruler_correlation"])) in (
        "fail",
        "look",
    )


def test_intervals_of_a_noisy_ruler_hold():
    """The logs of 1/σ² - 1 lie .4 beside the truth. 95 % of 40 intervals: 34 or more (99.7 %)."""
    lengths = (0.7 * normal(12, seed=1)).exp()
    truth = {"ruler_slope": 1.0, "price": 0.01}
    found = []
    for seed in range(40):
        noise = 0.4 * normal(24, 12, seed=seed)

        def encode(x, noise=noise):
            narrow = 2 / 0.01 * lengths.square() * noise[: len(x)].exp()
            return x, (1 / (1 + narrow)).sqrt()

        found.append(ruler(study(encode, lambda z: z * lengths, normal(24, 12), seed=seed)))
    for key, true in truth.items():
        estimates = [f[key].value for f in found]
        half = sum(e.high - e.low for e in estimates) / 80
        assert sum(e.low <= true <= e.high for e in estimates) >= 34
        assert half < 1.8 * 1.96 * torch.tensor([e.value for e in estimates]).std()


def test_short_codes_are_taken_more_of_so_that_latents_are_as_many():
    seen = []

    def decode(z):
        seen.append(len(z))
        return z * torch.arange(1, 5)

    def encode(x):
        return x, 0.1 / torch.arange(1, 5).expand_as(x).double()

    one = study(encode, decode, normal(300, 4))
    found = ruler(one)
    assert max(seen) <= 8 * 32 // 4
    assert "256 latents of 64 codes" in found["ruler_correlation"].reading


def test_codes_that_are_collapsed_are_left_out():
    def encode(x):
        sigma = torch.full_like(x, 0.1) / torch.arange(1, 5)
        return x, torch.where(x[:, :1] > 0, sigma, 1.0)

    found = ruler(study(encode, lambda z: z * torch.arange(1, 5), normal(300, 4)))
    assert value(found["price"]) == pytest.approx(2 / 99, rel=0.05)
    assert found["ruler_slope"].each is None  # other models have other live codes
    with pytest.raises(Unmeasured, match="0 of 64 codes"):
        ruler(study(lambda x: (0 * x, torch.ones_like(x)), lambda z: z, normal(300, 4)))


def test_latents_are_drawn_from_those_that_a_code_uses():
    """Half of the codes use half of 64 latents each, others none."""
    half = torch.arange(64) < 32

    def encode(x):
        mine = torch.where((x[:, :1] > 0) & (x[:, 1:2] > 0), half, ~half)
        return x, torch.where(mine & (x[:, :1] > 0), 0.1 * (0.4 * normal(64)).exp(), 1.0)

    one = study(encode, lambda z: z * normal(64, seed=1), normal(300, 64))
    live = int((one.mu[:8, 0] > 0).sum())
    assert 2 < live < 8
    assert f"{32 * live} latents of {live} codes" in ruler(one)["ruler_correlation"].reading


def test_an_isometry_has_no_slope_but_a_price():
    found = ruler(study(lambda x: (x, torch.full_like(x, 0.1)), lambda z: 2 * z, normal(30, 4)))
    assert isinstance(found["ruler_slope"], Unmeasured)
    assert isinstance(found["ruler_correlation"], Unmeasured)
    assert value(found["price"]) == pytest.approx(2 * 4 / 99)


def test_a_metric_is_a_unit_of_the_price():
    plain = ruler(oracle())["price"]
    double = ruler(oracle(metric=lambda x, u: 2 * u))["price"]
    assert value(double) == pytest.approx(2 * value(plain))


def test_a_decoder_that_gives_no_gradient_is_no_ruler():
    with pytest.raises(Unmeasured, match="derivative"):
        ruler(study(WORLD.encode, lambda z: WORLD.decode(z).detach(), images()))


def test_the_spectrum_of_the_oracle_is_that_of_its_closed_form():
    one = oracle(beta=WORLD.beta)
    found = isometry(one)
    for key in ("isometry_angles", "isometry_used"):
        estimate = found[key].value
        assert estimate.low <= WORLD.exact[key] <= estimate.high
        assert estimate.error < 0.1 * WORLD.exact[key]
    assert value(found["isometry_volume"]) < 0.05
    assert found["isometry_angles"].each.mean().item() == pytest.approx(
        found["isometry_angles"].value.value
    )
    share, log = one.tables["eigen_share"], one.tables["eigen_log10"]
    assert share.sum().item() == pytest.approx(1)
    lowest = (WORLD.metric.min() / WORLD.metric.max()).log10().item()
    assert share[log < lowest - 0.2].sum() < 1e-6
    floor = math.log10(WORLD.beta / 2 / WORLD.metric.max())
    assert one.tables["eigen_floor"].item() == pytest.approx(floor, abs=1e-3)


def test_a_small_decoder_s_numbers_are_those_of_its_matrices():
    """Against dense eigenvalues at the same codes, with the price as the floor."""
    healthy = base("digits")
    one = study(healthy.encode, healthy.decode, healthy.images, beta=0.05)
    found = isometry(one)
    values = torch.linalg.eigvalsh(pullback_metric(model("digits").decode, one.z[:8]).double())
    price = value(one.row("ruler")["price"])
    log = (values + price / 2).log()
    expected = {
        "isometry_angles": log.var(1, correction=0).mean(),
        "isometry_volume": log.mean(1).std(),
        "isometry_used": values.mean(1).square().mean() / values.square().mean(),
    }
    for key, true in expected.items():
        assert value(found[key]) == pytest.approx(true.item(), rel=1e-3)
    per_code = log.var(1, correction=0)
    torch.testing.assert_close(found["isometry_angles"].each, per_code, rtol=1e-3, atol=1e-3)


def test_codes_without_noise_have_the_floor_instead_of_a_price():
    healthy = base("autoencoder")
    one = study(healthy.encode, healthy.decode, healthy.images)
    found = isometry(one)
    values = torch.linalg.eigvalsh(pullback_metric(model("autoencoder").decode, one.z[:8]).double())
    log = (values + 1e-3 * values.amax(1, keepdim=True)).log()
    assert value(found["isometry_angles"]) == pytest.approx(
        log.var(1, correction=0).mean().item(), rel=1e-3
    )
    assert one.tables["eigen_floor"].item() == pytest.approx(-3)


def test_an_isometry_has_no_angles_no_spread_and_uses_everything():
    found = isometry(study(lambda x: x, lambda z: 3 * z, normal(30, 6)))
    assert abs(value(found["isometry_angles"])) < 1e-12
    assert value(found["isometry_volume"]) < 1e-6
    assert value(found["isometry_used"]) == pytest.approx(1)


def test_two_codes_have_no_spread():
    found = isometry(study(lambda x: x, lambda z: z.sin(), normal(30, 6), sizes={"codes": 2}))
    assert isinstance(found["isometry_volume"], Unmeasured)
    assert isinstance(found["isometry_angles"], Found)


def test_a_decoder_that_stands_still_has_no_geometry():
    def encode(x):
        return x, torch.full_like(x, 0.1)

    still = study(encode, lambda z: 0 * z, normal(30, 4))
    for row in (ruler, isometry, bend):
        with pytest.raises(Unmeasured):
            row(still)


def test_a_linear_decoder_does_not_bend_and_a_curved_one_does():
    straight = bend(oracle())["bend"]
    assert straight.value < 1e-4  # and no interval, for rounding has none
    circle = study(
        lambda x: (x, torch.full_like(x, 0.2)),
        lambda z: torch.cat([z.sin(), z.cos()], 1),
        normal(60, 1).float(),
        sizes={"codes": 60},
    )
    # Half of |s|'s tangent: <tan(s/2)> for a step s ~ N(0, .2²).
    s = 0.2 * normal(100_000, seed=4)
    expected = (s.abs() / 2).tan().mean().item()
    found = bend(circle)["bend"]
    assert abs(found.value.value - expected) < 4 * found.value.error < 0.05
    assert found.each.mean().item() == pytest.approx(found.value.value)


def test_every_number_of_the_rows_is_told():
    healthy = base("mnist")
    one = study(healthy.encode, healthy.decode, healthy.images, **healthy.declared)
    found = {**ruler(one), **isometry(one), **bend(one)}
    rows = ("ruler", "isometry", "bend")
    assert set(found) == {k for k, q in MEASURES.items() if q.row in rows}
    for key, one in found.items():
        assert MEASURES[key].condition.verdict(value(one)) != "fail"
