"""Water-filling through a metric in the browser: the library's numbers, the two claims' signs."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from tests.site.contract import FigureContract
from tests.site.readings import cards, drag, drawn, said, shots, where
from vae_course.distortion.realism import realistic_beta_at_rate, realistic_water_filling
from vae_course.distortion.spectrum import posterior_anisotropy
from vae_course.distortion.water_filling import (
    beta_at_rate,
    rate_at_beta,
    reverse_water_filling,
)
from vae_course.figures.metric_water import MetricWater

K = 6
PIXELS = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.0], dtype=torch.float64)
STEEP = torch.tensor([9.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.0, 0.0, 0.0], dtype=torch.float64)
EVEN = torch.tensor([1.0, 1.0, 0.9, 0.9, 0.8, 0.8, 0.8, 0.1, 0.1], dtype=torch.float64)
SPECTRA = {
    "digits": {"pixels": PIXELS, "features": STEEP},
    "patches": {"pixels": PIXELS.sqrt(), "edges": EVEN},
}
LIPSCHITZ = {"digits": {"features": 5.0}, "patches": {"edges": 8.0}}
PRICES = [0.03, 0.4, 1.7]
SEEN = """const { w, t, k, control, beta, realism } = a;
  const lambda = m.controlled(m.whiten(w, t, k), w, control, beta, k, realism);
  return [lambda, m.fillSeen(lambda, beta, k, realism)]"""


def made(**changes: object) -> MetricWater:
    return MetricWater(SPECTRA, LIPSCHITZ, **{"latents": K, "beta": 0.1, **changes})


@pytest.fixture
def figure() -> MetricWater:
    return made()


class TestMetricWater(FigureContract):
    moves = {
        "Its latents are more even": {"whitening": 0.5},
        "β = 1,": {"beta": 1.0},
        "“features” costs": {"metric": "features"},
        "At equal rate": {"control": "rate"},
        "“edges” costs": {"data": "patches", "metric": "edges"},  # new data before their metric
        "“pixels” with perfect realism costs": {"realism": True},
    }

    @pytest.fixture
    def looks(self) -> tuple[MetricWater, ...]:
        return made(metric="features", realism=True), made(data="patches", metric="edges")


def whitened(t: float, scale: float) -> np.ndarray:
    """Eigenvalues of S^½ M S^½ with M as a full matrix, in a random basis."""
    u, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((9, 9)))
    metric = scale * u @ np.diag(PIXELS.clamp_min(PIXELS[K - 1]).numpy() ** -t) @ u.T
    root = u @ np.diag(PIXELS.sqrt().numpy()) @ u.T
    return np.linalg.eigvalsh(root @ metric @ root)[::-1]


def scale(t: float, control: str, beta: float) -> float:
    """What each control makes of the metric, from its own words."""
    weights = PIXELS.clamp_min(PIXELS[K - 1]).numpy() ** -t  # M's eigenvalues
    if control == "null":
        return PIXELS.sum().item() / (weights @ PIXELS.numpy())
    if control == "lipschitz":
        return 1 / weights.max()
    plain = torch.from_numpy(whitened(0, 1.0)[:K].copy())
    seen = torch.from_numpy(whitened(t, 1.0)[:K].copy())
    # c lambda costs R at beta where lambda costs it at beta / c
    return beta / beta_at_rate(seen, rate_at_beta(plain, beta).item()).item()


@pytest.mark.parametrize("beta", PRICES)
@pytest.mark.parametrize("control", ["null", "lipschitz", "rate"])
def test_the_browsers_spectrum_is_that_of_the_matrix_and_its_water_the_librarys(
    javascript, control, beta
):
    for t in (0.0, 0.3, 1.0):
        arguments = {"w": PIXELS.tolist(), "t": t, "k": K, "control": control, "beta": beta}
        spectrum, got = javascript(MetricWater, SEEN, arguments)
        exact = torch.from_numpy(whitened(t, scale(t, control, beta)).copy())
        assert spectrum == pytest.approx(exact.tolist(), rel=1e-9, abs=1e-14)
        water = reverse_water_filling(exact[:K], beta)
        assert got["variances"] == pytest.approx(water.variances.tolist(), rel=1e-9)
        assert got["rates"] == pytest.approx(water.rates.tolist(), rel=1e-9, abs=1e-9)
        assert got["rate"] == pytest.approx(rate_at_beta(exact[:K], beta).item(), rel=1e-9)
        assert got["active"] == int((exact[:K] > beta / 2 * (1 + 1e-9)).sum())
        evenness = posterior_anisotropy(water.variances.sqrt())
        assert got["anisotropy"] == pytest.approx(evenness.item(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("beta", [*PRICES, 30.0])  # at 30 nothing is coded without realism
@pytest.mark.parametrize("control", ["null", "lipschitz", "rate"])
def test_with_perfect_realism_the_browsers_balls_are_the_librarys(javascript, control, beta):
    plain = rate_at_beta(PIXELS[:K], beta).item()
    for t in (0.0, 0.3, 1.0):
        arguments = {"w": PIXELS.tolist(), "t": t, "k": K, "control": control, "beta": beta}
        spectrum, got = javascript(MetricWater, SEEN, arguments | {"realism": True})
        exact = torch.from_numpy(whitened(t, 1.0).copy())
        if control != "rate":
            exact *= scale(t, control, beta)
        elif plain:
            exact *= beta / realistic_beta_at_rate(exact[:K], plain).item()
        else:
            exact *= 0
        assert spectrum == pytest.approx(exact.tolist(), rel=1e-9, abs=1e-14)
        filled = realistic_water_filling(exact[:K], beta)
        assert got["variances"] == pytest.approx(filled.variances.tolist(), rel=1e-9)
        assert got["rates"] == pytest.approx(filled.rates.tolist(), rel=1e-9)
        assert got["rate"] == pytest.approx(filled.rates.sum().item(), rel=1e-9)
        assert got["active"] == (K if exact[0] else 0)
        evenness = posterior_anisotropy(filled.variances.sqrt())
        assert got["anisotropy"] == pytest.approx(evenness.item(), rel=1e-9, abs=1e-12)


def test_whitening_digits_raises_the_rate_at_a_small_price_and_lowers_it_at_a_large_one(
    javascript,
):
    pixels = torch.tensor(load_digits().data / 16)
    w = torch.linalg.eigvalsh(pixels.T.cov(correction=0)).clamp_min(0).flip(0)

    def rates(control: str, beta: float) -> list[float]:
        steps = (0, 0.25, 0.5, 0.75, 1)
        a = {"w": w.tolist(), "k": 20, "control": control, "beta": beta}
        return [javascript(MetricWater, SEEN, {**a, "t": t})[1]["rate"] for t in steps]

    small, large = rates("null", 0.01), rates("null", 0.3)
    assert small == pytest.approx([33.57, 34.61, 35.00, 34.74, 33.89], abs=0.02)
    assert large == pytest.approx([3.385, 2.991, 2.290, 1.268, 0], abs=0.02)
    for beta in (0.01, 0.3):
        falling = rates("lipschitz", beta)
        assert all(b < a or b == 0 for a, b in zip(falling, falling[1:], strict=False))
        assert rates("rate", beta) == pytest.approx([falling[0]] * 5, rel=1e-9)
    # k=20 over the plain spectrum: one matrix less
    assert small[0] == pytest.approx(rate_at_beta(w[:20], 0.01).item(), rel=1e-9)


def test_with_all_latents_in_use_anisotropy_is_the_variance_of_the_log_spectrum(javascript):
    for t in (0.0, 0.4, 0.9):
        for control in ("null", "lipschitz"):
            a = {"w": PIXELS.tolist(), "t": t, "k": K, "control": control, "beta": 0.03}
            got = javascript(MetricWater, SEEN, a)[1]
            law = (1 - t) ** 2 * PIXELS[:K].log().var(correction=0).item()
            assert got["active"] == K and got["anisotropy"] == pytest.approx(law, rel=1e-9)


@pytest.mark.parametrize("control", ["null", "lipschitz", "rate"])
def test_a_measured_metric_has_the_scale_of_its_control(visit, control):
    page = visit(made(metric="features", control=control))
    plain = rate_at_beta(PIXELS[:K], 0.1).item()
    factor = {
        "null": PIXELS.sum().item() / STEEP.sum().item(),
        "lipschitz": 1 / 5,
        "rate": 0.1 / beta_at_rate(STEEP[:K], plain).item(),
    }[control]
    water = reverse_water_filling(factor * STEEP[:K], 0.1)
    shown = cards(page)
    assert shown["rate R"] == f"{water.rates.sum():.2f} nats"
    assert shown["active latents"] == f"{int((water.rates > 0).sum())} of {K}"
    assert shown["anisotropy A"] == f"{posterior_anisotropy(water.variances.sqrt()):.3f}"
    assert float(shown["λ of latent 1"]) == pytest.approx(9 * factor, rel=5e-3)
    assert float(shown["its σ²"]) == pytest.approx(water.variances[0].item(), rel=5e-3)
    assert "less even" in said(page)
    assert page.get_by_label("Whitening t").is_disabled()


def choose(page, text: str) -> None:
    page.get_by_role("button", name=text, exact=True).click()


def test_the_reader_finds_that_the_control_and_the_price_decide_the_sign(visit):
    page = visit(made(beta=PRICES[0]))
    assert said(page).startswith("At equal null cost and β = 0.03, “pixels” costs")
    page.get_by_label("Whitening t").fill("0.5")
    assert "more than “pixels”. Its latents are more even" in said(page)
    price = page.get_by_label("Price β of a nat")
    price.fill("110")  # about 2
    assert "fewer than “pixels”. Its latents are more even" in said(page)
    choose(page, "Lipschitz bound")
    assert "fewer than “pixels”" in said(page)
    price.fill("20")
    assert "fewer than “pixels”" in said(page)
    choose(page, "rate")
    assert "as many as “pixels”. Its latents are more even" in said(page)


def test_keys_and_pointer_raise_the_water(visit):
    page = visit(made(beta=1.0))
    grip, bars = page.locator(".vf-handle"), page.locator(".vf-bars").bounding_box()
    before = shots(page)
    grip.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowUp")
    low, high = made().sets["digits"]["betas"]
    step = 11 + round(160 * math.log(1.0 / low) / math.log(high / low))
    beta = low * (high / low) ** (step / 160)
    assert grip.get_attribute("aria-valuetext") == f"β/2 = {beta / 2:.3g}"
    assert all(a != b for a, b in zip(before, shots(page), strict=True))
    x, _ = where(grip)
    drag(page, where(grip), (x, bars["y"] + 60))
    drawn(page)
    assert abs(where(grip)[1] - (bars["y"] + 60)) <= 1


def test_while_all_latents_are_in_use_the_price_decides_nothing_but_the_rate(visit):
    page = visit(made(beta=PRICES[0]))
    (bars, *charts), shown = shots(page), cards(page)
    page.get_by_label("Price β of a nat").press("ArrowLeft")
    after = shots(page)
    assert after[0] != bars and after[1:] == charts
    assert cards(page)["rate R"] != shown["rate R"]
    assert cards(page)["anisotropy A"] == shown["anisotropy A"]


def test_above_all_bars_the_water_is_collapse(visit):
    page = visit(made())
    page.get_by_label("Price β of a nat").press("End")
    assert cards(page)["active latents"] == f"0 of {K}" and "collapse" in said(page)
    for text in ("Lipschitz bound", "rate"):
        choose(page, text)
        assert cards(page)["rate R"] == "0.00 nats"
    page.get_by_role("checkbox").check()  # at equal rate, which is none
    assert cards(page)["rate R"] == "0.00 nats" and "collapse" in said(page)
    text = page.locator(".vae-figure").inner_text()
    assert not any(bad in text for bad in ("NaN", "Infinity", "undefined", "-0.0"))


def test_a_latent_is_read_off(visit):
    page = visit(made(beta=0.1, control="lipschitz"))
    page.get_by_label("Latent to read off").fill("4")
    shown = cards(page)
    # at t = 0 the metric is the identity: lambda = 0.5, and 0.05 / 0.5
    assert (shown["λ of latent 4"], shown["its σ²"]) == ("0.5", "0.1")
    assert shown["its rate"] == f"{0.5 * math.log(10):.2f} nats"


def test_a_critic_wakes_idle_latents_and_evens_all_whether_price_or_rate_is_held(visit):
    page = visit(made(beta=1.7))
    idle, plain = cards(page), shots(page)
    assert idle["active latents"] == f"3 of {K}"
    box = page.get_by_role("checkbox", name="Perfect realism")
    box.focus()
    page.keyboard.press("Space")
    filled, shown = realistic_water_filling(PIXELS[:K], 1.7), cards(page)
    assert all(a != b for a, b in zip(plain, shots(page), strict=True))
    assert shown["rate R"] == f"{filled.rates.sum():.2f} nats"
    assert shown["active latents"] == f"{K} of {K}"
    assert shown["anisotropy A"] == f"{posterior_anisotropy(filled.variances.sqrt()):.3f}"
    assert "more than “pixels” without" in said(page)
    choose(page, "rate")
    assert cards(page)["rate R"] == idle["rate R"]
    assert "as many as “pixels” without. Its latents are more even" in said(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert not box.is_checked() and cards(page) == idle


def test_other_data_offer_their_own_metrics_and_prices(visit):
    page = visit(made(metric="features"))
    choose(page, "patches")
    assert page.get_by_role("button", name="features").count() == 0
    assert page.get_by_label("Whitening t").is_enabled()  # back at the first metric
    assert cards(page)["λ of latent 1"] == "2"  # the root of 4
    choose(page, "edges")
    assert "more even" in said(page)
    low, high = made().sets["patches"]["betas"]
    assert page.get_by_label("Price β of a nat").get_attribute("aria-valuetext") == "0.1"
    page.get_by_label("Price β of a nat").press("Home")
    assert f"β = {low:.3g}," in said(page)


def test_one_metric_of_one_data_set_offers_no_choice_of_them(visit):
    page = visit(MetricWater({"digits": {"pixels": PIXELS}}, latents=K))
    offered = ["null cost", "Lipschitz bound", "rate"]
    assert page.get_by_role("button").all_inner_texts() == offered
    assert page.get_by_text("Metric", exact=True).count() == 0


def test_a_kernel_hears_where_the_reader_stops(told):
    _, high = made().sets["digits"]["betas"]
    assert told(made(), [160, 0.25], ("Lipschitz bound",)) == {
        "data": "digits",
        "metric": "pixels",
        "control": "lipschitz",
        "whitening": 0.25,
        "beta": pytest.approx(high),
        "realism": False,
    }
