"""The committed records: whole, of claims that could have come out otherwise."""

import json
from pathlib import Path

import pytest

from vae_course.lab import Claim, claim, read_claims

RECORDS = Path(__file__).resolve().parents[2] / "results" / "full"
CLAIMS = read_claims(RECORDS)
SHARES = ("accuracy", "coverage", "precision", "purity", "recall", "share")  # all of them in [0, 1]


def cannot_fail(of: Claim) -> bool:
    """Whether a bound holds for whatever could be measured, as far as a machine can tell.

    A share is at least 0 and at most 1, a count at least 0; and a value that sits exactly on its
    bound for every seed, half-way and whole, is one that the measure can't leave.
    """
    first = of.statement.lower().split()[0]
    empty = []
    if first in SHARES and "minus" not in of.statement and "over" not in of.statement:
        empty = [of.at_least is None or of.at_least <= 0, of.at_most is None or of.at_most >= 1]
    seen = {*of.values, *(of.halfway or of.values)}
    on_the_bound = len(of.values) > 1 and seen in ({of.at_least}, {of.at_most})
    one_sided = of.expected is None and (of.at_least is not None or of.at_most is not None)
    return one_sided and (on_the_bound or (bool(empty) and all(empty)))


@pytest.mark.parametrize(
    "statement, values, bounds, empty",
    [
        ("Share of draws inside a ball.", [0.0, 0.0], {"at_most": 0.0}, True),
        ("Share of draws inside a ball.", [0.2, 0.3], {"at_most": 1.0}, True),
        ("Recall of the model.", [0.2, 0.3], {"at_least": 0.0}, True),
        ("Recall of the model.", [0.2, 0.3], {"at_least": 0.1}, False),
        ("Share of draws inside a ball.", [0.2, 0.3], {"at_least": 0.0, "at_most": 0.5}, False),
        ("Energy distance.", [0.2, 0.3], {"at_most": 1.0}, False),
        ("Energy distance.", [0.2, 0.3], {}, False),
    ],
)
def test_a_claim_that_cannot_fail_is_recognised(statement, values, bounds, empty):
    assert cannot_fail(claim("t.x", values, statement=statement, source="", **bounds)) is empty


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_a_claim_on_record_could_have_come_out_otherwise(name):
    of = CLAIMS[name]
    assert of.verdict != "fails"
    assert of.identity or not cannot_fail(of), "mark it identity=, or drop its bound"
    assert of.tier == "full"


@pytest.mark.parametrize("lab", [f"{number:02}" for number in (*range(1, 13), 15)])
def test_a_lab_on_record_ran_half_way_too(lab):
    (folder,) = RECORDS.glob(f"{lab}-*")
    claims = read_claims(folder)
    assert claims and all(of.halfway for of in claims.values())
    moved = [of for of in claims.values() if of.halfway != of.values]
    assert len(moved) > 10, "half the steps are another training"
    cost = json.loads((folder / "labs" / f"{folder.name}.json").read_text())
    assert cost["cpu_seconds"] > 0 and cost["halfway_cpu_seconds"] > 0
