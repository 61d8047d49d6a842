"""Sampling of slots, the browser side: draws, shares and controls, with no network."""

import functools
import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from tests.site.contract import FigureContract
from tests.site.readings import said
from vae_course.figures import SlotSampling

K, SLOTS = 3, 3


def recorded(n: int = 90) -> Tensor:
    """Tuples (a, a, b): the first two slots always agree, the third is free of them."""
    a, b = torch.arange(n) % K, (torch.arange(n) // K) % K
    return torch.stack([a, a, b], 1)


def decoder() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Flatten(-2), nn.Linear(2 * SLOTS, 32), nn.SiLU(), nn.Linear(32, 64), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Unflatten(-1, (1, 8, 8)))


@pytest.fixture(scope="module")
def figure() -> SlotSampling:
    codebook = 3 * torch.randn(K, 2, generator=torch.Generator().manual_seed(1))
    prior = torch.tensor([[0, 0, 1], [1, 1, 1], [2, 2, 0], [0, 1, 2]])  # one of four is of no image
    return SlotSampling(codebook, recorded(), decoder(), (1, 8, 8), prior=prior, seed=5)


class TestSlotSampling(FigureContract):
    moves = {"Codes 3, 3, 1:": {"chosen": [2, 2, 0], "seed": 9}}


@pytest.fixture
def module(javascript) -> Callable:
    """Call JavaScript with the figure's module as ``m`` and an argument as ``a``."""
    return functools.partial(javascript, SlotSampling)


def slot(page, number: int):
    return page.get_by_role("slider", name=f"Slot {number}")


def chosen(page) -> list[int]:
    return [int(slot(page, s).input_value()) - 1 for s in range(1, SLOTS + 1)]


def labels(page, grid: int) -> list[str]:
    canvases = page.locator(".vf-grid").nth(grid).locator("canvas")
    return canvases.evaluate_all("all => all.map((c) => c.getAttribute('aria-label'))")


# ---------------------------------------------------------------------------- the numbers
def skewed() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    weights = torch.tensor([0.6, 0.3, 0.1])
    first = torch.multinomial(weights, 200, True, generator=generator)
    second = (first + torch.multinomial(weights, 200, True, generator=generator)) % K
    return torch.stack([first, second, first * second % K], 1)


def test_alone_every_slot_keeps_its_marginal_and_forgets_the_others(module):
    tuples = skewed()
    drawn = np.array(module("return m.alone(a, 4000, 7)", tuples.tolist()))
    shares = [tuples[:, s].bincount(minlength=K).double() / len(tuples) for s in range(SLOTS)]
    for s in range(SLOTS):
        counts = np.bincount(drawn[:, s], minlength=K)
        assert scipy.stats.chisquare(counts, 4000 * shares[s].numpy()).pvalue > 0.01
    table = np.zeros((K, K))
    np.add.at(table, (drawn[:, 0], drawn[:, 1]), 1)
    assert scipy.stats.chi2_contingency(table).pvalue > 0.01


def test_together_a_draw_is_a_recorded_tuple_as_often_as_it_is_recorded(module):
    tuples = skewed()
    drawn = Counter(map(tuple, module("return m.together(a, 4000, 7)", tuples.tolist())))
    rows = Counter(map(tuple, tuples.tolist()))
    assert drawn.keys() <= rows.keys()
    expected = [4000 * n / len(tuples) for n in rows.values()]
    assert scipy.stats.chisquare([drawn[t] for t in rows], expected).pvalue > 0.01


@pytest.mark.parametrize("way", ["alone", "together"])
def test_draws_follow_the_seed(module, way):
    body = f"return [m.{way}(a, 50, 3), m.{way}(a, 50, 3), m.{way}(a, 50, 4)]"
    first, again, other = module(body, skewed().tolist())
    assert first == again != other


def test_the_share_of_tuples_that_no_image_has_is_the_sum_over_all_tuples(module):
    for tuples in (skewed(), recorded()):
        rows = set(map(tuple, tuples.tolist()))
        shares = [tuples[:, s].bincount(minlength=K).double() / len(tuples) for s in range(SLOTS)]
        expected = sum(
            np.prod([shares[s][k].item() for s, k in enumerate(t)])
            for t in itertools.product(range(K), repeat=SLOTS)
            if t not in rows
        )
        got = module(f"return m.unseen(a, {K})", tuples.tolist())
        assert got == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(2 / 3)  # the second slot agrees with the first by chance


def test_counts_given_the_earlier_slots_are_those_of_the_rows_that_agree(module):
    tuples = skewed()
    got = module(f"return m.counts(a, {K}, 2, [1, 0])", tuples.tolist())
    agree = tuples[(tuples[:, 0] == 1) & (tuples[:, 1] == 0), 2]
    assert got == agree.bincount(minlength=K).tolist() and sum(got) > 0
    body = "return a.map((t) => m.fewest(a.slice(0, 5), t))"
    expected = (tuples[:, None] != tuples[:5]).sum(2).amin(1)
    assert module(body, tuples.tolist()) == expected.tolist()


def test_the_browser_decodes_the_tuple_that_torch_decodes(visit, figure):
    page = visit(figure)
    for s, k in enumerate([2, 0, 1]):
        slot(page, s + 1).fill(str(k + 1))
    shown = page.locator(".vf-side canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 === 0)"
    )
    codebook = torch.from_numpy(np.frombuffer(figure.codes, "<f4").reshape(K, 2).copy())
    with torch.no_grad():
        expected = 255 * decoder()(codebook[torch.tensor([[2, 0, 1]])]).flatten()
    # float16 weights: 4e-3 of a pixel of order 1, and half a grey level of rounding
    assert np.abs(np.array(shown) - expected.numpy()).max() <= 1.6


# ---------------------------------------------------------------------------- the controls
def test_a_tuple_of_an_image_and_one_of_none_are_told_apart(visit, figure):
    page = visit(figure)
    assert "Codes 1, 1, 1: the tuple of 10 of 90 images. There are 3³ = 27 tuples; the images" in (
        said(page)
    )
    slot(page, 2).fill("3")
    assert "Codes 1, 3, 1: the tuple of no image; the nearest one differs in 1 of 3" in said(page)


def test_a_slots_share_is_that_given_the_slots_before_it(visit, figure):
    page = visit(figure)
    shares = page.locator(".vf-choice .vf-value").all_inner_texts()
    assert shares == ["code 1, 33 %", "code 1, 100 %", "code 1, 33 %"]
    slot(page, 1).focus()
    page.keyboard.press("ArrowRight")
    shares = page.locator(".vf-choice .vf-value").all_inner_texts()
    assert shares == ["code 2, 33 %", "code 1, 0 %", "code 1"]  # no image begins with 2, 1
    assert slot(page, 1).get_attribute("aria-valuetext") == "code 2, 33 %"


def test_the_buttons_draw_tuples_of_their_kind(visit, figure):
    page = visit(figure)
    apart = 0
    for _ in range(12):
        page.get_by_role("button", name="Draw each slot alone").click()
        apart += chosen(page)[0] != chosen(page)[1]
    assert apart > 3  # two thirds of them
    for _ in range(5):
        page.get_by_role("button", name="Draw a whole tuple").click()
        assert chosen(page)[0] == chosen(page)[1]
    page.get_by_role("button", name="Draw from the learned prior").click()
    assert tuple(chosen(page)) in {(0, 0, 1), (1, 1, 1), (2, 2, 0), (0, 1, 2)}


def test_the_grids_show_each_kind_and_the_share_that_no_image_has(visit, figure):
    page = visit(figure)
    titles = page.locator(".vf-name").all_inner_texts()
    assert titles == ["Each slot alone", "Together: an image's tuple", "From the learned prior"]
    shares = [text.split(" %")[0] for text in page.locator(".vf-share").all_inner_texts()]
    assert shares == ["67", "0", "25"]
    for grid in range(3):
        frames = page.locator(".vf-grid").nth(grid).locator(".vf-unseen").count()
        assert frames == sum("of no image" in label for label in labels(page, grid))
        assert (frames == 0) == (grid == 1) and len(labels(page, grid)) == 16


def test_without_a_prior_there_are_two_ways(visit, figure):
    page = visit(SlotSampling(torch.ones(K, 2), recorded(), decoder(), (8, 8)))
    assert page.locator(".vf-grid").count() == 2
    assert page.get_by_role("button", name="Draw from the learned prior").count() == 0


def test_a_seed_is_a_sample_and_resampling_takes_the_next_one(visit, figure):
    page = visit(figure)
    field = page.get_by_label("Seed")
    assert field.input_value() == "5"
    first = [labels(page, g) for g in range(3)]
    page.get_by_role("button", name="Resample").click()
    assert field.input_value() == "6"
    assert all(labels(page, g) != first[g] for g in range(3))
    field.fill("5")
    field.press("Enter")
    assert [labels(page, g) for g in range(3)] == first
    for given, used in (("-3", "0"), ("5000000", "999999"), ("1.5", "999999")):
        field.fill(given)
        field.press("Enter")
        assert field.input_value() == used


def test_a_kernel_hears_of_the_choice_and_the_seed(by_hand, figure):
    told = by_hand(
        figure,
        """state.seed = 41; heard["change:seed"]();
        el.querySelector(".vf-again button").click();
        await rest();
        return told;""",
    )
    assert told == {"chosen": [0, 0, 0], "seed": 42}
