"""Sizes from a budget: never above it where that can be, monotone, and honest about the rest."""

import math
from dataclasses import replace

import pytest

from vae_course.report.measures import ROWS
from vae_course.report.plan import LEAST, PLANNED, SPARED, USES, Sizes, Speed, costs, enough, plan

FAST, SLOW = Speed(1e-4, 2e-4), Speed(2.7, 6.3)  # the second: an 84 M autoencoder, 256 x 256
MOST = Sizes(images=1000)


def drawn(budget, speed, rows=ROWS, **more):
    return plan(budget, speed, channels=4, rows=rows, **({"wanted": MOST} | more))


def total(drawn_up, speed):
    spent = costs(drawn_up.sizes, speed, 4)
    return sum(s for row, s in spent.items() if row not in drawn_up.left_out)


@pytest.mark.parametrize("budget", [300, math.inf])
def test_a_small_model_gets_everything(budget):
    whole = drawn(budget, FAST)
    assert whole.sizes == MOST and not whole.left_out


@pytest.mark.parametrize("budget", [50, 300, 3600, 36000])
@pytest.mark.parametrize("speed", [FAST, Speed(0.14, 0.25), SLOW])
def test_the_plan_keeps_to_its_share_of_the_budget(budget, speed):
    drawn_up = drawn(budget, speed)
    rest = [row for row in SPARED if row not in drawn_up.left_out]
    assert drawn_up.seconds == pytest.approx(total(drawn_up, speed))
    assert drawn_up.seconds <= PLANNED * budget or not rest
    # what is not used would be too little for one more of everything
    if drawn_up.sizes.images not in (MOST.images, LEAST.images):
        assert drawn_up.seconds > 0.95 * PLANNED * budget


def test_more_time_is_never_less_of_anything():
    plans = [drawn(b, SLOW) for b in (60, 300, 1000, 1e4, 1e5)]
    for less, more in zip(plans, plans[1:], strict=False):
        if less.left_out == more.left_out:
            assert all(vars(less.sizes)[k] <= vars(more.sizes)[k] for k in vars(LEAST))
        assert set(more.left_out) <= set(less.left_out)


def test_a_budget_that_is_enough_leaves_nothing_out():
    tight = drawn(100, SLOW)
    assert tight.left_out
    ask = enough(tight.seconds + sum(tight.left_out.values()))
    assert not drawn(ask, SLOW).left_out and drawn(ask - 60, SLOW).left_out


def test_rows_that_nobody_asked_for_cost_nothing():
    only = drawn(300, SLOW, rows=["scale"])
    assert only.sizes.images > drawn(300, SLOW).sizes.images and not only.left_out


def test_images_are_encoded_once():
    assert (
        drawn(300, SLOW, rows=["fit"]).seconds
        > drawn(300, SLOW, rows=["fit"], encoded=True).seconds
    )


@pytest.mark.parametrize("row", sorted(set(costs(Sizes(), FAST, 4)) - {"encoding"}))
def test_costs_are_of_rows_that_exist(row):
    assert row in ROWS


@pytest.mark.parametrize("row", SPARED)
def test_what_is_spared_has_a_cost_and_says_what_it_uses(row):
    assert costs(LEAST, SLOW, 4)[row] > 0
    assert row in USES and set(USES[row]) <= set(vars(LEAST))


@pytest.mark.parametrize("row", USES)
def test_a_row_that_uses_more_costs_more(row):
    for name in USES[row]:
        more = replace(MOST, **{name: 2 * vars(MOST)[name]})
        assert costs(more, SLOW, 100)[row] > costs(MOST, SLOW, 100)[row]
