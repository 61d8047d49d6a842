"""Sizes from a budget: never above it where that can be, monotone, and honest about the rest."""

import math

import pytest

from vae_course.report.measures import ROWS
from vae_course.report.plan import LEAST, PLANNED, SPARED, Sizes, Speed, costs, plan

FAST, SLOW = Speed(1e-4, 2e-4), Speed(2.7, 6.3)  # the second: an 84 M autoencoder, 256 x 256


def total(drawn_up, speed, channels=4):
    spent = costs(drawn_up.sizes, speed, channels)
    return sum(s for row, s in spent.items() if row not in drawn_up.left_out)


def test_a_small_model_gets_everything():
    whole = plan(300, FAST, images=2000, channels=4, rows=ROWS)
    assert whole.sizes == Sizes() and not whole.left_out


def test_few_images_are_no_reason_to_ask_for_more():
    few = plan(300, FAST, images=100, channels=4, rows=ROWS)
    assert (few.sizes.images, few.sizes.decoded) == (100, 100)


@pytest.mark.parametrize("budget", [50, 300, 3600, 36000])
@pytest.mark.parametrize("speed", [FAST, Speed(0.14, 0.25), SLOW])
def test_the_plan_keeps_to_its_share_of_the_budget(budget, speed):
    drawn_up = plan(budget, speed, images=1000, channels=4, rows=ROWS)
    rest = [row for row in SPARED if row not in drawn_up.left_out]
    assert drawn_up.seconds == pytest.approx(total(drawn_up, speed))
    assert drawn_up.seconds <= PLANNED * budget or not rest
    # what is not used would be too little for one more of everything
    if drawn_up.sizes.images not in (1000, LEAST.images):
        assert drawn_up.seconds > 0.95 * PLANNED * budget


def test_more_time_is_never_less_of_anything():
    plans = [plan(b, SLOW, images=1000, channels=4, rows=ROWS) for b in (60, 300, 1000, 1e4, 1e5)]
    for less, more in zip(plans, plans[1:], strict=False):
        if less.left_out == more.left_out:
            assert all(vars(less.sizes)[k] <= vars(more.sizes)[k] for k in vars(LEAST))
        assert set(more.left_out) <= set(less.left_out)


def test_what_is_left_out_says_the_budget_that_would_do():
    tight = plan(100, SLOW, images=1000, channels=4, rows=ROWS)
    assert tight.left_out
    asked = {int(why.split("budget=")[1].split()[0]) for why in tight.left_out.values()}
    (enough,) = asked
    assert not plan(enough, SLOW, images=1000, channels=4, rows=ROWS).left_out


def test_rows_that_nobody_asked_for_cost_nothing():
    only = plan(300, SLOW, images=1000, channels=4, rows=["scale"])
    assert only.sizes.images > plan(300, SLOW, images=1000, channels=4, rows=ROWS).sizes.images
    assert not only.left_out


def test_without_end_there_is_no_limit():
    assert plan(math.inf, SLOW, images=5000, channels=4, rows=ROWS).sizes == Sizes()


@pytest.mark.parametrize("row", sorted(set(costs(Sizes(), FAST, 4)) - {"encoding"}))
def test_costs_are_of_rows_that_exist(row):
    assert row in ROWS


@pytest.mark.parametrize("row", SPARED)
def test_what_is_spared_has_a_cost(row):
    assert costs(LEAST, SLOW, 4)[row] > 0
