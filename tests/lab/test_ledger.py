"""Claims: the verdict follows from the bounds, is on record, and is read back as it was."""

import json
import os
import subprocess
import sys

import pytest
import torch

from vae_course.lab import ClaimFailed, claim, ledger, read_claims
from vae_course.lab.ledger import show

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
        (0.9, {"at_least": 1.0, "refuted": "because"}, "refuted"),
        (1.1, {"at_least": 1.0, "refuted": "because"}, "fails"),
    ],
)
def test_the_verdict_follows_from_the_bounds(value, bounds, verdict, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_STRICT", "0")
    assert claim("t.x", value, **WORDS, **bounds).verdict == verdict


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
    made = claim("t.x", torch.tensor([1.0, 3.0]), **WORDS, expected=2, tolerance=0.5, seeds=[4, 5])
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
    with pytest.raises(ValueError, match="smoke, class, full"):
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
