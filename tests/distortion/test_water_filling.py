"""Water-filling against linear VAEs that are really trained, on any quadratic distortion."""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import LinearGaussian
from vae_course.distortion import (
    beta_at_rate,
    posterior_anisotropy,
    rate_at_beta,
    reverse_water_filling,
)

SPECTRUM = torch.tensor([2.0, 0.9, 0.3, 0.05, 0.0], dtype=torch.float64)


def trained_linear_vae(
    covariance: Tensor, beta: float, d: int, metric: Tensor | None = None, gradient: float = 1e-9
) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior variances, mean KL of each latent and distortion of a linear VAE, by L-BFGS.

    Encoder mu = A x with free sigma, decoder W z. Over x with this covariance and over the noise
    the loss is a polynomial in A, W and sigma: no sampling, and no knowledge of the spectrum. It is
    searched over W alone, to a slope of ``gradient``: the best A and sigma for a W are those at
    which the derivatives by them vanish, and leave those by W as they are.
    """
    n = len(covariance)
    metric = torch.eye(n, dtype=torch.float64) if metric is None else metric
    w = 0.3 * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.LBFGS(
        [w], max_iter=3000, tolerance_grad=gradient, tolerance_change=0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def terms() -> tuple[Tensor, Tensor, Tensor]:
        seen = metric @ w
        form = w.T @ seen
        variance = beta / (beta + 2 * form.diagonal())
        a = torch.linalg.solve(2 * form + beta * torch.eye(d, dtype=torch.float64), 2 * seen.T)
        cross, second = a @ covariance, a @ covariance @ a.T + variance.diag()
        # tr M E(x - x_hat)(x - x_hat)^T, multiplied out
        distortion = (
            (metric * covariance).sum() - 2 * (cross * seen.T).sum() + (form * second).sum()
        )
        rate = 0.5 * (second.diagonal() - 1 - variance.log())
        w.grad = 2 * (seen @ second - metric @ cross.T)
        return variance, rate, distortion

    def closure() -> Tensor:
        _, rate, distortion = terms()
        return distortion + beta * rate.sum()

    optimizer.step(closure)
    return terms()


@pytest.mark.parametrize("beta", [0.05, 0.4, 1.0, 3.0])
def test_a_trained_linear_vae_fills_the_water_in_reverse(beta):
    world = LinearGaussian(SPECTRUM, beta)
    variance, rate, distortion = trained_linear_vae(world.covariance, beta, d=5)
    filled = reverse_water_filling(SPECTRUM, beta)
    assert_close(variance.sort().values, filled.variances.sort().values, rtol=0.0, atol=1e-6)
    assert_close(rate.sort(descending=True).values, filled.rates, rtol=0.0, atol=1e-6)
    assert_close(distortion, filled.distortion, rtol=0.0, atol=1e-6)
    # So that the world's numbers can be used wherever they are needed.
    assert rate.sum().item() == pytest.approx(world.rate_exact, abs=1e-6)
    assert distortion.item() == pytest.approx(world.distortion_exact, abs=1e-6)
    assert_close(
        variance.sort().values, world.sigma_exact.square().sort().values, atol=1e-6, rtol=0
    )
    loss = world.distortion_exact + beta * world.rate_exact
    assert world.loss_exact(world.images()).mean().item() == pytest.approx(loss, rel=1e-10)


def test_a_linear_vae_with_d_latents_codes_the_d_largest_and_pays_for_the_rest():
    _, rate, distortion = trained_linear_vae(SPECTRUM.diag(), 0.05, d=2)
    world = LinearGaussian(SPECTRUM[:2], 0.05)
    assert rate.sum().item() == pytest.approx(world.rate_exact, abs=1e-6)
    rest = SPECTRUM[2:].sum().item()
    assert distortion.item() == pytest.approx(world.distortion_exact + rest, abs=1e-6)


@pytest.mark.parametrize("beta", [0.02, 0.2, 1.0, 2.5])
def test_the_slope_of_distortion_over_rate_is_minus_beta(beta):
    before, after = (reverse_water_filling(SPECTRUM, beta * f) for f in (1 - 1e-5, 1 + 1e-5))
    slope = (after.distortion - before.distortion) / (after.rates - before.rates).sum()
    assert_close(slope.item(), -beta, rtol=1e-6, atol=0.0)


def test_everything_collapses_at_twice_the_largest_eigenvalue_and_not_before():
    before, at = (reverse_water_filling(SPECTRUM, beta) for beta in (4 - 1e-9, 4.0))
    assert before.rates.sum() > 0 and before.variances.min() < 1
    assert (at.rates == 0).all() and (at.variances == 1).all()
    assert at.distortion == SPECTRUM.sum()


def test_each_axis_pays_its_share_whatever_the_order_and_the_batch():
    shuffled = SPECTRUM[[3, 0, 4, 2, 1]]
    both = reverse_water_filling(torch.stack([shuffled, 2 * shuffled]), 0.4)
    assert_close(both.rates[0], reverse_water_filling(SPECTRUM, 0.4).rates[[3, 0, 4, 2, 1]])
    # Twice the variances at twice the price: the same code, twice the error.
    double = reverse_water_filling(2 * shuffled, 0.8)
    assert_close(double.variances, both.variances[0])
    assert_close(double.distortion, 2 * both.distortion[0])
    assert both.distortion.shape == (2,)


def test_water_filling_holds_in_float32_over_a_wide_range():
    spectrum = torch.logspace(-8, 6, 30, dtype=torch.float64)
    exact, single = (reverse_water_filling(s, 1e-3) for s in (spectrum, spectrum.float()))
    assert_close(single.variances.double(), exact.variances, rtol=1e-6, atol=0.0)
    assert_close(single.rates.double(), exact.rates, rtol=1e-6, atol=1e-6)
    assert_close(single.distortion.double(), exact.distortion, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(
    "eigenvalues, beta, message",
    [
        (SPECTRUM, 0.0, "beta=0.0"),
        (SPECTRUM, -1.0, "beta=-1.0"),
        (SPECTRUM, math.inf, "beta=inf"),
        (SPECTRUM, math.nan, "beta=nan"),
        (torch.tensor([1.0, -1e-9]), 0.1, "eigenvalues lie in .*clamp_min"),
        (torch.tensor([1.0, math.nan]), 0.1, "eigenvalues lie in"),
        (torch.tensor([math.inf, 1.0]), 0.1, "eigenvalues lie in"),
        (torch.zeros(0), 0.1, r"eigenvalues has shape \(0,\)"),
        (torch.tensor(1.0), 0.1, "at least one"),
    ],
)
def test_water_filling_refuses_what_is_no_spectrum_and_no_price(
    unchecked, eigenvalues, beta, message
):
    with pytest.raises(ValueError, match=message):
        reverse_water_filling(eigenvalues, beta)


# ---- rates and prices, seen through a metric


@pytest.fixture(scope="module")
def digits_covariance():
    images = torch.tensor(load_digits().data / 16)
    return torch.cov(images.T, correction=0)


def random_metric(n, rank, seed):
    root = torch.randn(n, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return root @ root.T


def through(covariance, metric):
    """Eigenvalues of S^(1/2) M S^(1/2), as those of L^T M L with a Cholesky factor of S."""
    factor = torch.linalg.cholesky(covariance)
    return torch.linalg.eigvalsh(factor.T @ metric @ factor).flip(0).clamp_min(0)


def test_a_trained_linear_vae_of_the_digits_has_the_rate_and_the_evenness_of_theory(
    digits_covariance,
):
    """Bar A1: rate 14.193 nats, anisotropy 0.264, and s = beta / (beta + 2 c) for each latent."""
    beta = 0.02
    spectrum = torch.linalg.eigvalsh(digits_covariance).flip(0)
    assert spectrum.sum().item() == pytest.approx(4.6933, abs=1e-4)
    variance, rate, _ = trained_linear_vae(digits_covariance, beta, d=8, gradient=1e-7)
    theory = rate_at_beta(spectrum[:8], beta)
    assert theory.item() == pytest.approx(14.193, abs=1e-3)
    assert_close(rate.sum(), theory, rtol=0.0, atol=1e-5)
    law = spectrum[:8].log().var(correction=0)  # as far as L-BFGS has come
    assert_close(posterior_anisotropy(variance.sqrt()), law, rtol=0.0, atol=1e-5)
    assert posterior_anisotropy(variance.sqrt()).item() == pytest.approx(0.2636, abs=1e-3)
    weight = spectrum[:8] - beta / 2  # the effective weight c of the metric on each latent
    expected = (beta / (beta + 2 * weight)).sort().values
    assert_close(variance.sort().values, expected, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("beta", [0.3, 3.0])
def test_a_linear_vae_under_any_quadratic_distortion_sees_the_data_through_its_metric(beta):
    covariance = random_metric(5, 7, seed=2) / 7
    metric = random_metric(5, 4, seed=3)  # blind to one direction
    variance, rate, distortion = trained_linear_vae(covariance, beta, d=5, metric=metric)
    filled = reverse_water_filling(through(covariance, metric), beta)
    assert (filled.rates > 0).sum() < 5
    assert_close(rate.sum(), rate_at_beta(through(covariance, metric), beta), rtol=0.0, atol=1e-6)
    assert_close(variance.sort().values, filled.variances.sort().values, rtol=0.0, atol=1e-6)
    assert_close(distortion, filled.distortion, rtol=0.0, atol=1e-6)


def test_a_metric_that_is_smaller_in_every_direction_never_costs_more_at_the_same_price():
    covariance = random_metric(6, 9, seed=0)
    for seed in range(20):
        smaller = random_metric(6, 3, seed=10 + seed)
        larger = smaller + random_metric(6, 2, seed=40 + seed)
        for beta in (0.1, 1.0, 10.0, 100.0):
            rates = [rate_at_beta(through(covariance, m), beta) for m in (smaller, larger)]
            assert rates[0] <= rates[1] + 1e-9


def test_twice_the_metric_is_half_the_price():
    assert_close(rate_at_beta(2 * SPECTRUM, 0.4), rate_at_beta(SPECTRUM, 0.2))


@pytest.mark.parametrize("rate", [1e-3, 0.3, 1.0, 2.7, 10.0, 80.0])
def test_the_price_of_a_rate_buys_that_rate(rate):
    shuffled = SPECTRUM[[3, 0, 4, 2, 1]]
    beta = beta_at_rate(torch.stack([shuffled, 7 * shuffled]), rate)
    assert_close(beta[1], 7 * beta[0])
    assert rate_at_beta(SPECTRUM, beta[0].item()).item() == pytest.approx(rate, rel=1e-10)
    single = beta_at_rate(shuffled.float(), rate)
    assert_close(single.double(), beta[0], rtol=1e-5, atol=0.0)


def test_with_all_latents_in_use_evenness_is_that_of_the_spectrum_whatever_the_rate(
    digits_covariance,
):
    """Bar A2: Var log lambda = 0.722 at 20 and at 30 nats; less where axes are under water."""
    spectrum = torch.linalg.eigvalsh(digits_covariance).flip(0)[:20]
    evenness = {}
    for rate in (2.0, 5.0, 10.0, 20.0, 30.0):
        filled = reverse_water_filling(spectrum, beta_at_rate(spectrum, rate).item())
        evenness[rate] = posterior_anisotropy(filled.variances.sqrt()).item()
        assert (filled.rates > 0).all() == (rate >= 20)
    law = spectrum.log().var(correction=0).item()
    assert law == pytest.approx(0.722, abs=1e-3)
    assert evenness[20.0] == pytest.approx(law, rel=1e-9)
    assert evenness[30.0] == pytest.approx(law, rel=1e-9)
    assert [evenness[r] for r in (2.0, 5.0, 10.0)] == pytest.approx([0.146, 0.409, 0.683], abs=1e-3)


def flattened(spectrum, t, normalise):
    """The 20 largest eigenvalues through M = U diag(max(w, w20)^-t) U^T, of a fixed trace: over
    all axes (``"all"``), over those 20 (``"coded"``), or with M <= I instead (``"lipschitz"``)."""
    weight = spectrum.clamp_min(spectrum[19]) ** -t
    seen = spectrum * weight
    if normalise == "lipschitz":
        return seen[:20] / weight.max()
    among = slice(None) if normalise == "all" else slice(20)
    return (seen * spectrum[among].sum() / seen[among].sum())[:20]


@pytest.mark.parametrize(
    "normalise, beta, rates",
    [
        ("all", 0.01, [33.57, 34.61, 35.00, 34.74, 33.89]),
        ("coded", 0.01, [33.57, 35.23, 36.43, 37.14, 37.37]),
        ("lipschitz", 0.01, [33.57, 30.53, 27.49, 24.44, 21.40]),
        ("all", 0.3, [3.385, 2.991, 2.290, 1.268, 0.0]),
        ("coded", 0.3, [3.385, 3.298, 3.104, 3.126, 3.358]),
    ],
)
def test_whether_a_flatter_metric_costs_less_depends_on_price_and_scale(
    digits_covariance, normalise, beta, rates
):
    """Bar A3. At a low price a flatter metric of the same trace costs more, however the trace is
    taken; at a high price it costs less, but much less only if the trace is also spent on axes that
    no latent codes. Under a ceiling it always costs less."""
    spectrum = torch.linalg.eigvalsh(digits_covariance).flip(0)
    measured = [
        rate_at_beta(flattened(spectrum, t, normalise), beta).item()
        for t in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert measured == pytest.approx(rates, abs=6e-3)
    assert posterior_anisotropy(flattened(spectrum, 1, normalise)).item() < 1e-20


def test_at_a_fixed_trace_the_flattest_spectrum_costs_most_where_all_is_coded_and_least_below():
    """The sum of logs is Schur-concave; but a single axis above the water beats many below it."""
    spiky, flat = torch.tensor([4.0, 1.0, 1.0]), torch.tensor([2.0, 2.0, 2.0])
    assert rate_at_beta(flat, 0.5) > rate_at_beta(spiky, 0.5)
    assert rate_at_beta(flat, 4.0) == 0 < rate_at_beta(spiky, 4.0)


@pytest.mark.parametrize(
    "eigenvalues, rate, message",
    [
        (SPECTRUM, 0.0, r"rate=0\.0"),
        (SPECTRUM, math.inf, "rate=inf"),
        (SPECTRUM, math.nan, "rate=nan"),
        (torch.zeros(3), 1.0, "all 0"),
        (torch.tensor([1.0, -1.0]), 1.0, "clamp_min"),
    ],
)
def test_the_price_of_no_rate_is_refused(unchecked, eigenvalues, rate, message):
    with pytest.raises(ValueError, match=message):
        beta_at_rate(eigenvalues, rate)


@pytest.mark.parametrize("eigenvalue, beta, rate", [(1e38, 0.1, 45.2472), (10.0, 1e-38, 45.2472)])
def test_rates_are_finite_up_to_the_ends_of_float32(eigenvalue, beta, rate):
    eigenvalues = torch.tensor([eigenvalue, 0.0], requires_grad=True)
    found = rate_at_beta(eigenvalues, beta)
    assert_close(found.item(), 0.5 * math.log(2 * eigenvalue / beta), rtol=1e-6, atol=0.0)
    assert abs(found.item() - rate) < 0.01
    (slope,) = torch.autograd.grad(found, eigenvalues)
    assert slope.isfinite().all() and slope[1] == 0
