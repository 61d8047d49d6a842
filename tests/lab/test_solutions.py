"""A lock opens for answers within their tolerances, and for no others; it gives nothing away."""

import json
import math
import random

import pytest

from vae_course.lab import Solutions
from vae_course.lab.solutions import LOCKED, leaves, lock, unlock

TEXT = "def price(x):\n    return 2 * x  # σ\n"
ANSWERS = [1.5, -0.25, 7, True, "C", (1e-20, [3e8]), {"best": 0.5, "name": "vmf"}, None]
TOLERANCES = [1e-3, 1e-6, 0.0, 0.0, 0.0, 1e-24, 10.0, 0.0, 0.01, 0.0, 0.0, 0.0]


def moved(share: float, seed: int = 0) -> list:
    """The answers, each number off by that share of its tolerance, up or down."""
    rng, tolerances = random.Random(seed), iter(TOLERANCES)

    def visit(part):
        if isinstance(part, dict):
            return {visit(k): visit(v) for k, v in part.items()}
        if isinstance(part, list | tuple):
            return type(part)(map(visit, part))
        tolerance = next(tolerances)
        return part + rng.choice([-1, 1]) * share * tolerance if tolerance else part

    return visit(ANSWERS)


@pytest.fixture(scope="module")
def locked():
    return json.loads(json.dumps(lock("price", TEXT, ANSWERS, TOLERANCES)))


@pytest.mark.parametrize("seed", range(5))
def test_it_opens_within_the_tolerances_and_nowhere_else(locked, seed):
    assert unlock(locked, moved(0.98, seed)) == TEXT
    assert unlock(locked, moved(1.05, seed)) is None


@pytest.mark.parametrize("number", range(12))
def test_one_wrong_answer_keeps_it_shut(locked, number):
    flat = list(leaves(ANSWERS))
    assert unlock(locked, flat) == TEXT  # nesting is no answer
    right = flat[number]
    flat[number] = right + 20.5 if isinstance(right, float) else "another"
    assert unlock(locked, flat) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "1.5", [1.5, 1.5], 1e300, -1e300])
def test_what_is_no_number_keeps_it_shut(locked, bad):
    assert unlock(locked, [bad, *ANSWERS[1:]]) is None
    assert unlock(locked, []) is None


def test_whole_numbers_may_be_floats_and_numbers_of_numpy(locked):
    import numpy as np
    import torch

    same = [torch.tensor(1.5), np.float64(-0.25), 7.0, np.bool_(True), *ANSWERS[4:]]
    assert unlock(locked, same) == TEXT


def test_a_lock_holds_neither_text_nor_answers_and_is_always_the_same(locked):
    assert locked == json.loads(json.dumps(lock("price", TEXT, ANSWERS, TOLERANCES)))
    assert "price(x)" not in str(locked) and "vmf" not in str(locked)
    for cell, tolerance in zip(locked["cells"], TOLERANCES, strict=True):
        width, offset = cell or (0, 0)
        assert width == pytest.approx(2 * tolerance) and abs(offset) <= width / 2
    # One stream for two texts would give away their difference.
    assert lock("other", TEXT, ANSWERS, TOLERANCES)["box"] != locked["box"]


def test_a_changed_box_is_no_text(locked):
    assert unlock(locked | {"box": locked["box"][:-5] + "00000"}, ANSWERS) is None


def test_solutions_show_what_is_solved_and_say_what_is_not(locked, capsys):
    shown = []
    probe = "def probe(price):\n    answers = price(1)\n    return answers"
    names = {"price": lambda x: ANSWERS}
    solutions = Solutions({"q": {"probes": [probe], "lock": locked}}, names, shown.append)
    solutions("q")
    assert shown == [TEXT] and not capsys.readouterr().out
    for unfinished in (lambda x: ..., lambda x: 1 / 0, None):
        names["price"] = unfinished
        solutions("q")
        assert capsys.readouterr().out == LOCKED + "\n"
    del names["price"]
    solutions("q")
    assert shown == [TEXT]
    with pytest.raises(ValueError, match=r"question='r': choose one of \['q'\]"):
        solutions("r")


def test_by_default_it_is_displayed_as_code(locked, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    probe = "def probe(a):\n    return a"
    Solutions({"q": {"probes": [probe], "lock": locked}}, {"a": ANSWERS})("q")
    assert f"```python\n{TEXT}" in shown[0].data
