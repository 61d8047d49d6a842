"""Blahut and Arimoto against closed forms, and what domination does and does not imply."""

import math

import pytest
import torch
from scipy.optimize import brentq
from torch.testing import assert_close

from vae_course.distortion import blahut_arimoto

BETAS = (0.2, 0.5, 1.0, 2.0, 4.0)


def entropy(*shares):
    return -sum(s * math.log(s) for s in shares if s > 0)


def uniform(n):
    return torch.full((n,), 1 / n, dtype=torch.float64)


def hamming(n):
    return 1 - torch.eye(n, dtype=torch.float64)


# Nothing inside {1, 2} and {3, 4}, 1 between them: never more than Hamming's.
PAIRS = hamming(4)
PAIRS[0, 1] = PAIRS[1, 0] = PAIRS[2, 3] = PAIRS[3, 2] = 0.0


def closed_form(n, beta):
    """Rate and distortion of n equally frequent symbols under Hamming's distortion."""
    weight = (n - 1) * math.exp(-1 / beta)
    d = weight / (1 + weight)
    return math.log(n) - entropy(d, 1 - d) - d * math.log(n - 1), d


@pytest.mark.parametrize("beta", BETAS)
def test_a_fair_coin_costs_log_2_minus_the_entropy_of_its_errors(beta):
    found = blahut_arimoto(uniform(2), hamming(2), beta)
    d = 1 / (1 + math.exp(1 / beta))
    assert found.distortion.item() == pytest.approx(d, rel=1e-9)
    assert found.rate.item() == pytest.approx(math.log(2) - entropy(d, 1 - d), rel=1e-8)
    assert_close(found.channel, (1 - 2 * d) * torch.eye(2, dtype=torch.float64) + d)


@pytest.mark.parametrize("p", [0.05, 0.3])
def test_a_biased_coin_costs_the_difference_of_two_entropies_or_nothing(p):
    """R(D) = h(p) - h(D) for D < p; the price of that D is 1 / log((1 - D) / D)."""
    source = torch.tensor([p, 1 - p], dtype=torch.float64)
    for d in (0.2 * p, 0.8 * p):
        found = blahut_arimoto(source, hamming(2), 1 / math.log((1 - d) / d))
        assert found.distortion.item() == pytest.approx(d, rel=1e-4)
        assert found.rate.item() == pytest.approx(entropy(p, 1 - p) - entropy(d, 1 - d), rel=1e-4)
        assert found.output[0].item() == pytest.approx((p - d) / (1 - 2 * d), rel=1e-3)
    # Beyond the price of D = p the rarer side is given up.
    found = blahut_arimoto(source, hamming(2), 1.5 / math.log((1 - p) / p))
    assert found.rate.item() == pytest.approx(0, abs=1e-9)
    assert found.distortion.item() == pytest.approx(p, rel=1e-6)


def test_a_gaussian_source_on_a_fine_grid_obeys_water_filling():
    """R = log(2 lambda / beta) / 2 and D = beta / 2, for variance 1 and steps of 0.2."""
    grid = torch.arange(-6, 6.01, 0.2, dtype=torch.float64)
    p = torch.exp(-grid.square() / 2)
    found = blahut_arimoto(p / p.sum(), (grid[:, None] - grid).square(), 0.5, tolerance=1e-4)
    assert found.rate.item() == pytest.approx(0.5 * math.log(4), rel=2e-3)
    assert found.distortion.item() == pytest.approx(0.25, rel=2e-3)


def test_no_other_channel_does_better():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(4, generator=generator, dtype=torch.float64)
    p, cost, beta = p / p.sum(), 3 * torch.rand(4, 6, generator=generator, dtype=torch.float64), 0.4
    found = blahut_arimoto(p, cost, beta)
    assert_close(found.channel.sum(1), torch.ones(4, dtype=torch.float64))
    assert_close(found.output, p @ found.channel)

    def loss(channel):
        ratio = (channel / (p @ channel)).clamp_min(1e-300).log()
        return (p[:, None] * channel * (cost + beta * ratio)).sum()

    best = loss(found.channel)
    assert_close(best, found.distortion + beta * found.rate)
    for scale in (1e-3, 0.1, 1.0):
        for _ in range(50):
            noise = scale * torch.randn(4, 6, generator=generator, dtype=torch.float64)
            other = (found.channel.clamp_min(1e-12).log() + noise).softmax(1)
            assert loss(other) >= best - 1e-9


def test_distortion_falls_and_rate_rises_with_slope_minus_beta():
    generator = torch.Generator().manual_seed(1)
    cost = torch.rand(5, 5, generator=generator, dtype=torch.float64)
    for beta in (0.05, 0.2):
        below, above = (blahut_arimoto(uniform(5), cost, beta * f) for f in (0.99, 1.01))
        slope = (above.distortion - below.distortion) / (above.rate - below.rate)
        assert slope.item() == pytest.approx(-beta, rel=1e-3)


# ---- domination


@pytest.mark.parametrize("beta", BETAS)
def test_four_symbols_under_two_distortions_follow_their_closed_forms(beta):
    for found, n in (
        (blahut_arimoto(uniform(4), hamming(4), beta), 4),
        (blahut_arimoto(uniform(4), PAIRS, beta), 2),  # a coin in disguise
    ):
        rate, distortion = closed_form(n, beta)
        assert found.rate.item() == pytest.approx(rate, rel=1e-7)
        assert found.distortion.item() == pytest.approx(distortion, rel=1e-7)


def test_the_weaker_distortion_can_cost_more_at_the_same_price():
    """Bar A4. d2 <= d1 everywhere, and still at beta 2: 0.03030 against 0.02703 nats."""
    assert (PAIRS <= hamming(4)).all()
    rates = {
        beta: [blahut_arimoto(uniform(4), d, beta).rate.item() for d in (hamming(4), PAIRS)]
        for beta in (0.5, 1.0, 2.0, 4.0)
    }
    assert rates[0.5] == pytest.approx([0.46801, 0.32781], abs=1e-4)
    assert rates[1.0] == pytest.approx([0.11799, 0.11094], abs=1e-4)
    assert rates[2.0] == pytest.approx([0.02703, 0.03030], abs=1e-4)
    assert rates[4.0] == pytest.approx([0.00633, 0.00775], abs=1e-4)


def test_the_two_rates_cross_between_prices_1_and_2():
    def gap(beta):
        found = [blahut_arimoto(uniform(4), d, beta).rate.item() for d in (hamming(4), PAIRS)]
        return found[1] - found[0]

    crossing = brentq(gap, 1, 2, xtol=1e-6)
    oracle = brentq(lambda beta: closed_form(2, beta)[0] - closed_form(4, beta)[0], 1, 2)
    assert crossing == pytest.approx(oracle, abs=1e-4)


def test_at_the_same_distortion_the_weaker_one_never_costs_more():
    """What domination does give: R2(D) <= R1(D), from the channel that is feasible for both."""
    generator = torch.Generator().manual_seed(2)
    strong = torch.rand(5, 5, generator=generator, dtype=torch.float64)
    weak = strong * torch.rand(5, 5, generator=generator, dtype=torch.float64)
    for beta in (0.1, 0.3):
        one = blahut_arimoto(uniform(5), strong, beta)
        # Lagrange: R2(D) is the highest of (min over channels of D2 + b R2 - D) / b.
        bounds = []
        for other in torch.logspace(-2, 0, 6).tolist():
            two = blahut_arimoto(uniform(5), weak, other, tolerance=1e-5)
            bounds.append((two.distortion - one.distortion) / other + two.rate)
        assert max(bounds).item() <= one.rate.item() + 2e-5


# ---- use


def test_symbols_and_reproductions_that_do_not_occur_cost_nothing():
    p = torch.tensor([0.5, 0.0, 0.5], dtype=torch.float64)
    cost = torch.tensor([[0.0, 1, 50], [3, 3, 3], [1, 0, 50]], dtype=torch.float64)
    found = blahut_arimoto(p, cost, 0.01, tolerance=1e-12)
    assert found.output[2].item() == pytest.approx(0, abs=1e-12)
    assert found.rate.item() == pytest.approx(math.log(2), rel=1e-9)
    assert all(t.isfinite().all() for t in found)


def test_float32_in_is_float32_out_of_the_same_numbers():
    exact = blahut_arimoto(uniform(4), PAIRS, 1.0)
    single = blahut_arimoto(uniform(4).float(), PAIRS.float(), 1.0)
    for ours, theirs in zip(single, exact, strict=True):
        assert ours.dtype == torch.float32
        assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-7)


def test_too_few_steps_are_said_not_hidden():
    cost = torch.rand(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"after max_steps=3 .* within .* nats only.*raise"):
        blahut_arimoto(uniform(5), cost, 0.1, max_steps=3)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(beta=0.0), r"beta=0\.0"),
        (dict(beta=math.nan), "beta=nan"),
        (dict(p=torch.tensor([0.5, 0.6])), r"sum 1\.1.*p / p\.sum"),
        (dict(p=torch.tensor([1.5, -0.5])), "not negative"),
        (dict(p=torch.zeros(0)), r"shape \(0,\)"),
        (dict(distortion_matrix=torch.zeros(3, 2)), r"\(3, 2\): it must be \(2, m\)"),
        (dict(distortion_matrix=torch.full((2, 2), math.inf)), "many beta"),
        (dict(tolerance=0.0), r"tolerance=0\.0"),
        (dict(max_steps=0), "max_steps=0"),
    ],
)
def test_bad_arguments_are_named(change, message, unchecked):
    arguments = dict(p=torch.tensor([0.5, 0.5]), distortion_matrix=torch.eye(2), beta=1.0) | change
    with pytest.raises(ValueError, match=message):
        blahut_arimoto(**arguments)
