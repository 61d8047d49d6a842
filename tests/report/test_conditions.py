"""Thresholds: three zones on a line, which a user can move and not tie into a knot."""

import math

import pytest

from vae_course.report import conditions
from vae_course.report.conditions import DEFAULT, Condition, Conditions
from vae_course.report.measures import MEASURES

EDGES = (-math.inf, -1.0, 0.0, 0.5, 2.0, math.inf)


def test_inside_it_passes_outside_it_fails_and_between_it_is_looked_at():
    c = Condition((0.8, 1.25), (0.5, 2.0))
    wanted = {0.49: "fail", 0.5: "look", 0.79: "look", 0.8: "pass", 1.25: "pass", 1.26: "look"}
    wanted |= {2.0: "look", 2.01: "fail", math.inf: "fail", -math.inf: "fail", math.nan: "fail"}
    assert {v: c.verdict(v) for v in wanted} == wanted


def test_a_number_that_can_only_be_looked_at_never_fails():
    c = Condition((0.0, 0.5))
    assert [c.verdict(v) for v in (0.2, 9.0, math.inf, math.nan)] == ["pass", *3 * ["look"]]


def test_no_bands_are_information_whatever_the_value():
    assert {Condition().verdict(v) for v in (0.0, math.nan, math.inf)} == {"info"}


def test_verdicts_worsen_with_the_distance_for_any_bands():
    order = {"pass": 0, "look": 1, "fail": 2}
    for low in EDGES:
        for high in EDGES:
            if not low <= high:
                continue
            c = Condition((0.0, 0.0), (min(low, 0.0), max(high, 0.0)))
            for side in (1, -1):
                ranks = [order[c.verdict(side * v)] for v in (0.0, 0.25, 1.0, 3.0, math.inf)]
                assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("passes", "fails", "said"),
    [
        ((1.0, 0.0), None, "passes"),
        (None, (1.0, 0.0), "fails"),
        ((math.nan, 1.0), None, "passes"),
        ((0.0, 1.0, 2.0), None, "passes"),
        ((0.0, 1.0), (0.5, 1.0), "must lie within fails"),
        ((0.0, 1.0), (0.0, 0.5), "must lie within fails"),
    ],
)
def test_bands_in_a_knot_are_refused(unchecked, passes, fails, said):
    with pytest.raises(ValueError, match=said):
        Condition(passes, fails)


def test_a_band_moves_where_it_fails_and_cuts_where_it_passes():
    c = DEFAULT.replace(scale_declared=(0.9, 3.0))["scale_declared"]
    assert c.fails == (0.9, 3.0) and c.passes == (0.9, 1.25)
    apart = DEFAULT.replace(scale_declared=(5.0, 6.0))["scale_declared"]
    assert apart.passes == apart.fails == (5.0, 6.0)


def test_only_what_is_named_changes_and_the_defaults_stay():
    before = dict(DEFAULT)
    own = Condition((0.0, 1.0))
    new = DEFAULT.replace(fit=own, rate=None)
    assert new["fit"] is own and new["rate"].verdict(99.0) == "info"
    assert {k: v for k, v in new.items() if k not in ("fit", "rate")} == {
        k: v for k, v in before.items() if k not in ("fit", "rate")
    }
    assert dict(DEFAULT) == before and len(new) == len(MEASURES)


@pytest.mark.parametrize(("key", "near"), [("fitt", "fit"), ("scale_declred", "scale_declared")])
def test_a_name_that_is_none_gets_its_neighbours(key, near):
    with pytest.raises(ValueError, match=rf"no measure '{key}'.*{near}"):
        DEFAULT.replace(**{key: (0, 1)})


def test_the_defaults_are_the_registry():
    assert dict(DEFAULT) == {key: q.condition for key, q in MEASURES.items()}
    assert isinstance(DEFAULT, Conditions) and conditions.DEFAULT is DEFAULT
    with pytest.raises(AttributeError, match="DEFUALT"):
        conditions.DEFUALT  # noqa: B018


def test_every_judged_number_says_where_its_thresholds_come_from():
    for key, q in MEASURES.items():
        if q.condition.passes or q.condition.fails:
            assert q.condition.ground, key
