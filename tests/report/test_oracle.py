"""The report of a VAE whose numbers are known: none is off by more than chance, none accuses."""

import math

import pytest
import torch

from tests.report import coverage
from tests.report.coverage import WORLD
from tests.spatial_world import SpatialLinearGaussian, mean_root
from vae_course.report.card import Report
from vae_course.report.run import report

SIGMAS = 4.5  # of one number in 150,000; there are 60
TOKENS = coverage.IMAGES * WORLD.side**2
PUSHED = 32 * (WORLD.side - 2) ** 2  # random signs that are pushed through for the wiring
CODES, PROBES = 8, 2


@pytest.fixture(scope="module")
def card() -> Report:
    return coverage.card(0)


def chance(card: Report) -> dict[str, float]:
    """What may be between a number without an interval and the truth."""
    se = 1 / math.sqrt(TOKENS)
    edge = math.sqrt(WORLD.channels) * se + SIGMAS * se  # singular values (Davidson, Szarek 2001)
    condition = ((1 + edge) / (1 - edge)) ** 2
    fit = card.measures["fit"].estimate
    assert fit
    numbers = WORLD.channels * (WORLD.channels + 3) / 2  # of a token's moments
    # Of mean log λ at a code, by the probes; what is left of it when its mean is taken off.
    noise = math.sqrt(2 * WORLD.exact["isometry_angles"] / WORLD.d / PROBES)
    left = math.sqrt(SIGMAS * math.sqrt(2 / (CODES - 1)))
    return {
        "rows": 1e-6,
        "repeats": 0.0,
        "finite": 0.0,
        "range_fit": SIGMAS * fit.error,
        "gain_fit": SIGMAS * fit.error * math.sqrt(256 / 32),
        "gain_centred": 2 * SIGMAS**2 * se**2,
        "channel_ratio": math.expm1(2 * SIGMAS * se / math.sqrt(2)),
        "channel_offset": SIGMAS * se,
        "covariance": condition - 1,
        "covariance_used": 1 - 4 * condition / (1 + condition) ** 2,  # Kantorovich
        "tails": SIGMAS * math.sqrt(24) * se,
        "gap": SIGMAS * math.sqrt(2 * numbers) / (2 * TOKENS) / WORLD.channels,
        "dead": 0.0,
        "dead_places": 0.0,
        "sigma_max": 1e-6,
        "sigma_median": 1e-6,
        "wiring": 0.0,
        "answer": 1e-5,
        "misread": 1e-5,
        "reply": 1e-5,
        "orientation": SIGMAS / math.sqrt(PUSHED),
        "transposed": SIGMAS / math.sqrt(PUSHED),
        "flipped": SIGMAS / math.sqrt(PUSHED),
        "samples_full": 0.01,  # 150 codes span 149 of 256 dimensions
        "isometry_volume": left * noise,
        "bend": 1e-5,
    }


def test_every_number_is_the_exact_one_but_for_chance(card):
    allowed = chance(card)
    for key, truth in WORLD.exact.items():
        m = card.measures[key]
        assert (key in allowed) == (m.estimate is None), key
        most = SIGMAS * m.estimate.error + 1e-6 if m.estimate else allowed[key]
        assert abs(m.value - truth) <= most, m


def test_all_is_measured_that_there_is(card):
    skipped = {key for key, m in card.measures.items() if m.verdict == "skipped"}
    assert skipped == {"dead_heard"}  # no channel is dead
    unknown = set(card.measures) - set(WORLD.exact) - skipped
    maps = {"range", "range_output", "range_input"}
    assert unknown == {*maps, "holes_near"}
    assert all(card.measures[key].value < 1e-4 for key in maps)  # none serves better
    near = card.measures["holes_near"]  # what a linear model shows is computed from its codes
    assert near.value == pytest.approx(near.null, abs=1e-5)


def test_a_vae_without_fault_is_not_accused(card):
    assert list(coverage.alarms([card])) == []
    assert card.verdict == "pass"


def test_a_channel_that_is_given_up_is_seen_and_is_no_fault():
    world = SpatialLinearGaussian((0.32, 0.18, 0.004, 0.1, 0.05, 0.04, 0.03, 0.025, 0.02))
    x = world.images(coverage.IMAGES, 0, torch.float32)
    card = report(world.encode, world.decode, x, beta=world.beta, progress=False)
    accused = {k for k, m in card.measures.items() if m.verdict in ("look", "fail")}
    assert accused == {"dead"} and not card.meta["stopped"]
    assert card.measures["dead_heard"].value == 0
    for key in ("dead", "rate", "fit", "spread", "deaf", "scale", "isometry_used", "price"):
        m = card.measures[key]
        error = SIGMAS * m.estimate.error if m.estimate else 0
        assert abs(m.value - world.exact[key]) <= error + 1e-6, m


@pytest.mark.slow(reason="whether 95 of 100 intervals hold takes a hundred reports: minutes")
def test_intervals_hold_and_are_no_wider_than_they_must_be():
    cards = [coverage.card(seed) for seed in range(100)]
    assert list(coverage.alarms(cards)) == []
    assert coverage.misses(coverage.lines(cards), range(100, 500)) == []


# --- the world itself: what its exact numbers rest on ------------------------------------------


def test_the_metric_of_the_world_is_that_of_its_decoder():
    world = SpatialLinearGaussian(side=3)
    z = torch.zeros(world.channels, 3, 3, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda z: world.decode(z[None]).flatten())(z).flatten(1)
    expected = world.metric.repeat_interleave(9).diag()
    torch.testing.assert_close(jacobian.mT @ jacobian, expected, atol=1e-12, rtol=0)


def test_the_filter_keeps_lengths_and_is_undone():
    world = SpatialLinearGaussian(side=3)
    x = world.images(5)
    back = world.image(world.coordinates(x))
    torch.testing.assert_close(back, x, atol=1e-12, rtol=0)
    lengths = (x - world.mean).square().sum((1, 2, 3))
    torch.testing.assert_close(world.coordinates(x).square().sum((1, 2, 3)), lengths)


def test_posteriors_of_the_world_are_those_of_its_decoder():
    """The precision of a code is 1 + A / (β/2), and its mean the ridge solution."""
    world = SpatialLinearGaussian(side=2)
    x = world.images(3)
    mu, sigma = world.encode(x)
    precision = 1 + world.metric / (world.beta / 2)
    torch.testing.assert_close(sigma[0, :, 0, 0], precision.rsqrt())
    z = mu.clone().requires_grad_()
    loss = (x - world.decode(z)).square().sum() / world.beta + z.square().sum() / 2
    (slope,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-10, rtol=0)


@pytest.mark.parametrize("d", [1, 3, 200])
def test_the_mean_length_of_a_gaussian_is_that_of_chi(d):
    exact = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    assert mean_root(torch.full((d,), 4.0).double()) == pytest.approx(2 * exact, rel=1e-9)
