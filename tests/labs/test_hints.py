"""What an answer of another type meets: a sentence of the public check, never its own error."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch

from tests.labs.independent.cells import MASTERS, execute, given, listed, solved

QUESTIONS = [
    pytest.param(chapter, question, id=f"{chapter[:2]}-{question}")
    for chapter in MASTERS
    for question in listed(chapter)
]
STRANGE: dict[str, Any] = {
    "nothing": None,
    "an unwritten answer": ...,
    "a word": "healthy",
    "not a number": math.nan,
    "a complex number": 1j,
    "an empty list": [],
    "an empty tuple": (),
    "a pair of nothing": (None, None),
    "a triple of numbers": (1.0, 2.0, 3.0),
    "ragged rows": [[1.0], [2.0, 3.0]],
    "a pair of words": ("a", "b"),
    "a dictionary": {"A": 1.0},
    "an empty array": np.zeros(0),
    "a matrix": torch.ones(3, 2, requires_grad=True),
    "a cube": torch.zeros(3, 2, 3),
    "not a number in a tensor": torch.tensor(math.nan),
    "an array of words": np.array(["a", "b"]),
}


@pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy.ndarrays")
@pytest.mark.parametrize("chapter, question", QUESTIONS)
def test_a_check_says_a_sentence_to_an_answer_of_any_type(chapter, question):
    before, after = given(chapter, question), solved(chapter, question)
    cells = MASTERS[chapter].questions[question].test_cells
    met = 0
    for cell in (cell for cell in cells if "hidden: true" not in cell):
        (call,) = re.findall(r"^\w+\((.*)\)$", cell, re.MULTILINE)
        for name in set(call.split(", ")) - before.keys():
            for title, value in STRANGE.items():
                wrong = (lambda *_, made=value: made) if callable(after[name]) else value
                try:
                    execute(cell, after | {name: wrong})
                except AssertionError as error:
                    assert re.search(r"\w+ \w+ \w+", str(error)), f"{name}, {title}: {error}"
                except Exception as error:
                    pytest.fail(f"{name} as {title} meets {type(error).__name__}: {error}")
                else:
                    pytest.fail(f"{name} as {title} passes {call}")
                met += 1
    assert met >= len(STRANGE)
