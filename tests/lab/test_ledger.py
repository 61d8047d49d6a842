"""Claims: the verdict follows from the bounds, is on record, and is read back as it was."""

import json
import os
import subprocess
import sys

import pytest
import torch

from vae_course.lab import ClaimFailed, claim, ledger, read_claims
from vae_course.lab.claims import show

WORDS = {"statement": "a test", "source": "derived"}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_RESULTS", str(tmp_path))
    monkeypatch.setenv("VAE_COURSE_STRICT", "1")
    monkeypatch.delenv("VAE_COURSE_TIER", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "value, bounds, verdict",
    [
        (1.0, {"expected": 1.05, "tolerance": 0.1}, "holds"),
        (1.2, {"expected": 1.05, "tolerance": 0.1}, "fails"),
        (1.0, {"at_least": 1.0}, "holds"),
        (0.9, {"at_least": 1.0}, "fails"),
        (1.1, {"at_most": 1.0}, "fails"),
        (0.9, {"at_most": 1.0, "at_least": 1.0}, "fails"),
        (1.0, {}, "measured"),
        (1.0, {"expected": 7.0}, "measured"),
        (0.9, {"at_least": 1.0, "refuted": "because", "power": {"yes": 1.5}}, "refuted"),
        (0.9, {"at_least": 1.0, "refuted": "because", "power": {"no": 0.5}}, "not supported"),
        (0.9, {"at_least": 1.0, "refuted": "because"}, "not supported"),
        (1.1, {"at_least": 1.0, "refuted": "because"}, "fails"),
        (1.1, {"at_least": 1.0, "null": {"chance": 0.2}}, "holds"),
        (1.1, {"at_least": 1.0, "null": {"a": 0.2, "b": [1.0, 1.1, 0.0]}}, "not supported"),
        (1.1, {"at_least": 1.0, "control": {"without": 1.2}}, "not supported"),
        (0.9, {"at_least": 1.0, "control": {"without": 1.2}}, "fails"),
        (1.1, {"null": {"chance": 1.1}}, "measured"),
        (1.0, {"at_most": 1.0, "identity": "a share"}, "identity"),
        (1.1, {"at_most": 1.0, "identity": "a share"}, "fails"),
        # a value that is expected may move by its tolerance
        (1.0, {"expected": 1.0, "tolerance": 0.125, "halfway": 1.125}, "holds"),
        (1.0, {"expected": 1.0, "tolerance": 0.1, "halfway": 1.11}, "not settled"),
        # a bounded one by what is left of the way to its bound; back from the bound is no better
        (1.5, {"at_least": 1.0, "halfway": 1.9}, "holds"),
        (1.5, {"at_least": 1.0, "halfway": 2.1}, "not settled"),
        (1.5, {"at_least": 1.0, "halfway": 1.0}, "holds"),
        (1.5, {"at_least": 1.0, "halfway": 0.9}, "not settled"),
        (0.1, {"at_least": 0.0, "halfway": -0.1}, "not settled"),  # its sign turned
        (0.5, {"at_least": 1.0, "refuted": "so", "power": {"yes": 2.0}, "halfway": 0.4}, "refuted"),
        (0.5, {"at_least": 1.0, "refuted": "so", "power": {"yes": 2.0}, "halfway": 1.2},
         "not settled"),
        # fails comes before not settled, and that before not supported
        (0.9, {"at_least": 1.0, "halfway": 1.5}, "fails"),
        (1.5, {"at_least": 1.0, "halfway": 0.9, "null": {"chance": 1.2}}, "not settled"),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_bounds_and_references(value, bounds, verdict, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_STRICT", "0")
    assert claim("t.x", value, **WORDS, **bounds).verdict == verdict


@pytest.mark.parametrize(
    "values, half, settled",
    [
        ([1.0], [0.95], True),
        ([1.0], [0.85], False),
        ([0.8, 1.0, 1.2], [0.7, 0.8, 0.9], True),  # within the seeds' scatter
        ([0.95, 1.0, 1.05], [0.7, 0.8, 0.9], False),
        ([-0.1, 0.1, 0.3], [-0.2, -0.1, 0.0], True),
    ],
)
def test_a_number_without_a_bound_stands_still_if_it_hardly_moved(values, half, settled):
    found = claim("t.x", values, **WORDS, halfway=half)
    assert (found.verdict, found.settled) == ("measured", settled)
    assert claim("t.x", values, **WORDS).settled is None


def test_the_half_way_value_is_what_a_half_way_run_recorded(results, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_RESULTS", str(results / "half"))
    claim("t.x", [1.0, 2.0], **WORDS, seeds=[0, 1])
    monkeypatch.setenv("VAE_COURSE_RESULTS", str(results / "whole"))
    monkeypatch.setenv("VAE_COURSE_HALFWAY", str(results / "half"))
    assert claim("t.x", [1.5, 2.5], **WORDS, seeds=[0, 1]).halfway == (1.0, 2.0)
    assert claim("t.x", 1.0, **WORDS, halfway=3.0).halfway == (3.0,)
    assert claim("t.unknown", 1.0, **WORDS).halfway is None


def test_references_are_printed_beside_the_value(capsys):
    claim("t.x", 1.6, **WORDS, null={"a perfect code": [1.2, 1.3, 1.4]}, halfway=1.5)
    text = capsys.readouterr().out
    assert "half-way 1.5" in text and "a perfect code 1.3 [1.2, 1.4]" in text


def test_the_median_of_the_seeds_is_judged():
    assert claim("t.x", [0.0, 1.0, 50.0], **WORDS, expected=1.0, tolerance=0.0).value == 1.0
    with pytest.raises(ClaimFailed):
        claim("t.x", [0.0, 2.0, 50.0], **WORDS, expected=1.0, tolerance=0.5)


def test_a_learner_is_never_punished_and_smoke_is_never_judged(monkeypatch):
    monkeypatch.setenv("VAE_COURSE_TIER", "smoke")
    assert claim("t.x", 5.0, **WORDS, at_most=1.0).verdict == "not judged"
    monkeypatch.setenv("VAE_COURSE_TIER", "class")
    monkeypatch.delenv("VAE_COURSE_STRICT")
    assert claim("t.x", 5.0, **WORDS, at_most=1.0).verdict == "fails"


def test_a_failing_claim_is_on_record_before_it_raises(results):
    with pytest.raises(ClaimFailed, match="t.bad"):
        claim("t.bad", 5.0, **WORDS, at_most=1.0)
    assert read_claims(results)["t.bad"].verdict == "fails"


def test_a_claim_survives_the_round_trip_through_its_file(results):
    made = claim(
        "t.x",
        torch.tensor([1.0, 3.0]),
        **WORDS,
        expected=2,
        tolerance=0.5,
        seeds=[4, 5],
        halfway=[1.0, 2.0],
        null={"chance": torch.tensor([0.0, 1.0])},
        control={"without": 0.5},
    )
    assert read_claims(results) == {"t.x": made}
    assert not list(results.rglob("*.partial"))


def test_without_a_results_folder_nothing_is_written(results, monkeypatch):
    monkeypatch.delenv("VAE_COURSE_RESULTS")
    claim("t.x", 1.0, **WORDS)
    assert list(results.iterdir()) == []


@pytest.mark.parametrize(
    "id, value, extra, message",
    [
        ("NoDot", 1.0, {}, "id must look like"),
        ("t.x", float("nan"), {}, "finite"),
        ("t.x", [], {}, "finite"),
        ("t.x", [1.0, 2.0], {"seeds": [0]}, "2 values for 1 seeds"),
        ("t.x", 1.0, {"tolerance": 0.1}, "needs expected"),
        ("t.x", 1.0, {"expected": 1.0, "tolerance": -1.0}, "negative"),
        ("t.x", 1.0, {"halfway": []}, "halfway of claim 't.x' must be finite"),
        ("t.x", 1.0, {"null": {"chance": float("nan")}}, "null 'chance' of claim 't.x' must be"),
        ("t.x", 1.0, {"power": {"yes": 2.0}}, "is for a claim that is refuted="),
        ("t.x", 1.0, {"refuted": "a", "identity": "b"}, "what can't fail can't be false"),
    ],
)
def test_ill_formed_claims_are_refused_with_the_reason(id, value, extra, message):
    with pytest.raises(ValueError, match=message):
        claim(id, value, **WORDS, **extra)


def test_a_damaged_record_is_named(results):
    (results / "claims").mkdir()
    (results / "claims" / "t.x.json").write_text(json.dumps({"id": "t.x"}))
    with pytest.raises(ValueError, match=r"t\.x\.json"):
        read_claims(results)


def test_an_unknown_tier_is_refused(monkeypatch):
    monkeypatch.setenv("VAE_COURSE_TIER", "huge")
    with pytest.raises(ValueError, match="smoke, class, full, paper"):
        ledger.tier()


@pytest.mark.parametrize(
    "value, text",
    [(0.08741, "0.0874"), (1.5512, "1.55"), (41.63, "41.6"), (1257, "1,257"), (0, "0"),
     (1.27e-14, "1.3 × 10⁻¹⁴"), (-0.5, "−0.5"), (-9.1e-4, "−9.1 × 10⁻⁴"),
     (1.0, "1"), (745.2, "745"), (1257.4, "1,260"), (-1024000, "−1,024,000")],
)  # fmt: skip
def test_numbers_are_shown_with_three_digits(value, text):
    assert show(value) == text


def test_what_is_on_record_does_not_depend_on_the_locale(results):
    code = (
        "from vae_course.lab import claim, read_claims; import sys;"
        "claim('t.kappa', 1.0, statement='\\u03ba', source='\\u2014');"
        "sys.exit(read_claims(sys.argv[1])['t.kappa'].statement != '\\u03ba')"
    )
    plain = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "utf8",
    }
    command = [sys.executable, "-c", code, str(results)]
    assert subprocess.run(command, env=os.environ | plain).returncode == 0
