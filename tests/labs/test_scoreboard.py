"""The Scoreboard takes its verdict from full, and shows what a doubter looks for."""

import pytest
import scoreboard

from vae_course.lab import claim


def made(value, tier, monkeypatch, **rest):
    monkeypatch.setenv("VAE_COURSE_TIER", tier)
    return claim("t.x", value, statement="A test.", source="derived", at_least=1.0, **rest)


@pytest.mark.parametrize(
    "at_class, at_full, halfway, verdict",
    [
        (2.0, 1.5, 1.6, "holds"),
        (2.0, 1.5, 2.4, "not settled"),
        (2.0, 0.5, 0.5, "fails"),
        (0.5, 1.5, 1.6, "fails"),
        (2.0, None, None, "holds"),
        (None, 1.5, 1.6, "holds"),
        (None, None, None, scoreboard.NOT_RUN),
    ],
)
def test_the_verdict_is_that_of_full_but_red_stays_red(
    at_class, at_full, halfway, verdict, monkeypatch
):
    here = None if at_class is None else made(at_class, "class", monkeypatch)
    full = None if at_full is None else made(at_full, "full", monkeypatch, halfway=halfway)
    assert scoreboard.verdict(here, full) == verdict


def test_a_row_shows_half_way_null_control_and_power(monkeypatch):
    found = made(
        [1.5, 1.6, 1.7],
        "full",
        monkeypatch,
        seeds=[0, 1, 2],
        halfway=2.4,
        null={"a perfect code": 0.3},
        control={"no noise": [0.4, 0.5, 0.6]},
    )
    assert scoreboard.measured(found) == "1.6 [1.5, 1.7], 3 seeds"
    assert scoreboard.halfway(found) == "2.4: still moving"
    text = scoreboard.references(found).astext()
    assert "null, a perfect code: 0.3" in text and "control, no noise: 0.5 [0.4, 0.6]" in text


def test_what_training_does_not_move_and_what_was_not_run_are_said(monkeypatch):
    exact = made(2.0, "full", monkeypatch, halfway=2.0)
    assert scoreboard.halfway(exact) == "the same"
    assert scoreboard.halfway(None) == scoreboard.measured(None) == scoreboard.NOT_RUN
    assert scoreboard.references(exact).astext() == "–"
