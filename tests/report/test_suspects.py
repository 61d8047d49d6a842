"""Sabotages are named, healthy models are not accused, and every suspect can be explained."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.report import bases, own_sabotages, sabotages
from tests.report.museum import HEALTHY, broken, look_at, oracles
from vae_course.report.card import Measure
from vae_course.report.conditions import DEFAULT, Condition
from vae_course.report.measures import MEASURES
from vae_course.report.suspects import KNOWN, LAST, RULES, suspects

BOOK = Path(__file__).resolve().parents[2] / "book"
BASES = "mnist", "fashion"
LISTED = [*sabotages.SABOTAGES, *sabotages.TRAINED]
OWN = [*sabotages.OWN_TUNED, *sabotages.OWN_TRAINED, *own_sabotages.OWN]


EVIDENCE = {key for rule in (*RULES, LAST) for key in rule.evidence}
"""All that a rule looks at; the rest costs more than half of a report."""


def sabotaged(base: str, name: str) -> tuple[str, bases.Base]:
    """The suspect expected, and the broken pair."""
    for trained in (sabotages.TRAINED, sabotages.OWN_TRAINED):
        if name in trained:
            suspect, kind = trained[name]
            return suspect, sabotages.trained(base, kind)
    if name in own_sabotages.OWN:
        breaks, suspect = own_sabotages.OWN[name]
    else:
        suspect, breaks = (sabotages.SABOTAGES | sabotages.OWN_TUNED)[name]
    return suspect, broken(bases.base(base), breaks)


def first(card) -> str:
    return card.suspects[0].key if card.suspects else ""


def named(base: str, names: list[str]) -> dict[str, tuple[str, str]]:
    """Those that are not named: sabotage → what was named instead, and what was expected."""
    missed = {}
    for name in names:
        suspect, pair = sabotaged(base, name)
        if (got := first(look_at(pair, only=EVIDENCE))) not in suspect.split("|"):
            missed[name] = got, suspect
    return missed


# --- sabotages -----------------------------------------------------------------------------------
@pytest.mark.parametrize("base", BASES)
def test_of_eighteen_sabotages_sixteen_are_named(base):
    missed = named(base, LISTED)
    assert len(LISTED) == 18
    assert len(missed) <= 2, missed


def test_of_ten_of_our_own_seven_are_named():
    missed = named("mnist", OWN)
    assert len(OWN) == 10
    assert len(missed) <= 3, missed


@pytest.mark.parametrize("name", sabotages.OTHER_CODES)
def test_what_breaks_codes_of_other_kinds_is_named(name):
    suspect, make = sabotages.OTHER_CODES[name]
    assert first(look_at(make())) == suspect


def test_without_a_price_that_is_declared_only_wrong_prices_are_missed():
    """What a price would tell is not guessed: no rule but theirs needs one."""
    unknown = {"price_ratio"}
    for name in LISTED:
        suspect, pair = sabotaged("mnist", name)
        if suspect in ("weak-rate", "strong-rate"):
            continue
        declared = {k: v for k, v in pair.declared.items() if k != "beta"}
        card = look_at(pair._replace(declared=declared), only=EVIDENCE)
        assert unknown.isdisjoint(k for k, m in card.measures.items() if m.verdict != "skipped")
        assert first(card) == suspect, name


# --- healthy models ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_model_fails_in_nothing_and_is_accused_of_nothing(name):
    card = look_at(bases.base(name))
    assert card.verdict in ("pass", "look")
    assert card.suspects == ()


@pytest.mark.parametrize("which", range(2))
def test_nor_is_the_best_model_there_is(which):
    world = oracles()[which]
    card = look_at(world)
    assert card.verdict == "pass"
    assert card.suspects == ()


def test_a_few_images_do_not_accuse_a_codebook():
    whole = bases.base("codebook", images=5)
    assert look_at(whole).suspects == ()


def test_a_model_of_another_range_is_the_same_model():
    whole = bases.base("fashion")
    card = look_at(
        whole._replace(
            encode=lambda x: whole.encode((x + 1) / 2),
            decode=lambda z: 2 * whole.decode(z) - 1,
            images=2 * whole.images - 1,
            declared={"beta": 4 * bases.BETA},  # of squares that are four times as large
        )
    )
    assert card.suspects == ()
    assert card.measures["price_ratio"].value == pytest.approx(
        look_at(whole).measures["price_ratio"].value, rel=1e-2
    )


# --- rules on numbers ----------------------------------------------------------------------------
def shown(**values: float) -> dict[str, Measure]:
    """Measures of these values, judged by the registry; all others were not measured."""
    measures = {}
    for key, q in MEASURES.items():
        value = values.get(key, torch.nan)
        verdict = q.condition.verdict(value) if key in values else "skipped"
        measures[key] = Measure(
            key, q.question, value, None, q.unit, verdict, q.condition, None, "", q.chapter, 0.0
        )
    return measures


def keys(**values: float) -> list[str]:
    return [s.key for s in suspects(shown(**values))]


def test_of_nothing_nobody_is_accused():
    assert keys() == []


@pytest.mark.parametrize("a", [0.5, 1.0, 4.0, 30.0])
def test_the_slopes_of_a_variance_and_of_a_root_by_theory(a):
    """1/σ² = 1 + a with a = 2A/β: what a report shows where σ² or √σ is given for σ."""
    s = (1 + a) ** -0.5
    variance = {"ruler_slope": 2 - 2 / (a + 2), "price_ratio": 1 / (a + 2)}
    assert keys(**variance, sigma_median=s * s, ruler_correlation=1.0) == (
        ["variance-for-sigma"] if variance["ruler_slope"] > 1.2 else []
    )
    root = {"ruler_slope": 0.5 + 0.5 * s, "price_ratio": 1 + 1 / s}
    if s < 0.5:  # √σ given: where its square is above one half the ruler does not look
        assert keys(**root, radius=1.05, ruler_correlation=1.0) == ["root-for-sigma"]
    assert keys(ruler_slope=1.0, price_ratio=1.0, sigma_median=s, ruler_correlation=1.0) == []


def test_a_variance_is_told_from_a_weak_rate_by_how_small_the_price_is():
    steep = {"ruler_slope": 1.3, "ruler_correlation": 0.9, "sigma_median": 0.01}
    assert keys(**steep, price_ratio=0.0099)[0] == "variance-for-sigma"
    assert "variance-for-sigma" not in keys(**steep, price_ratio=0.0005)


def test_a_high_price_alone_is_no_root():
    """A healthy model at a high price: its slope is one half, and its price the one declared."""
    assert keys(ruler_slope=0.5, price_ratio=0.9, ruler_correlation=0.8, radius=1.0) == []
    assert keys(ruler_slope=0.5, ruler_correlation=0.8, radius=1.0) == []


def test_noise_tells_the_price_where_no_latent_is_narrow_enough_for_the_ruler():
    measures = shown(heard=0.2, contract=0.2, rate=0.05, fit=0.8)
    assert suspects(measures) == ()
    measures["contract"] = replace(measures["contract"], null=0.01)
    assert [s.key for s in suspects(measures)] == ["strong-rate"]


def test_unused_channels_are_no_fault_and_those_that_are_heard_are():
    assert keys(dead=0.25, dead_heard=0.0005, heard=0.03) == []
    assert keys(dead=0.25, dead_heard=0.02, heard=0.03) == ["dead-channel"]


def test_what_nothing_explains_is_two_strangers_and_only_then():
    assert keys(fit=-0.5) == ["strangers"]
    assert keys(fit=-0.5, deaf=0.0) == ["deaf-decoder"]


def test_a_user_who_moves_a_threshold_moves_the_accusation():
    whole = look_at(bases.base("mnist")._replace(declared={"factor": 1.5}))
    assert first(whole) == ""
    assert first(whole.judged(DEFAULT.replace(scale_declared=(0.9, 1.1)))) == "wrong-factor"
    lenient = look_at(bases.base("mnist")._replace(declared={"factor": 3.0}))
    assert first(lenient) == "wrong-factor"
    assert first(lenient.judged(DEFAULT.replace(scale_declared=Condition()))) == ""


# --- what is said --------------------------------------------------------------------------------
def test_every_suspect_is_explained_and_every_explanation_has_a_rule():
    assert {rule.key for rule in RULES} | {LAST.key} == KNOWN.keys()
    for key, said in KNOWN.items():
        assert said.keys() == {"sentence", "remedy", "chapter"}, key
        assert said["sentence"].endswith(".") and said["remedy"].rstrip().endswith("."), key
        assert (BOOK / f"{said['chapter']}.md").exists(), key
    for rule in (*RULES, LAST):
        assert rule.evidence and set(rule.evidence) <= MEASURES.keys(), rule.key


def test_each_suspect_that_a_sabotage_must_raise_is_known():
    wanted = {s.suspect for s in (sabotages.SABOTAGES | sabotages.OWN_TUNED).values()}
    wanted |= {s for s, _ in (sabotages.TRAINED | sabotages.OWN_TRAINED).values()}
    wanted |= {s for s, _ in sabotages.OTHER_CODES.values()}
    wanted |= {s for _, s in own_sabotages.OWN.values()}
    assert {key for some in wanted for key in some.split("|")} <= KNOWN.keys()


def test_a_suspect_is_named_once_with_evidence_that_was_measured():
    suspect, pair = sabotaged("mnist", "variance given as σ")
    card = look_at(pair)
    assert max(Counter(s.key for s in card.suspects).values()) == 1
    for one in card.suspects:
        assert one.evidence
        assert all(card.measures[k].verdict != "skipped" for k in one.evidence)
    assert card.suspects[0].evidence == ("ruler_slope", "price_ratio", "heard")
