"""The lines of code on the prerequisites page run, and give the numbers that stand beside them."""

import re
from pathlib import Path

import pytest
import torch

PAGE = (Path(__file__).parents[1] / "book/prerequisites.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_each_line_gives_the_number_beside_it():
    torch.manual_seed(0)
    names: dict[str, object] = {}
    checked = 0
    for block in BLOCKS:
        exec(block, names)
        for name, stated in re.findall(r"^(\w+) = .*  # (-?\d[\d.]*)$", block, flags=re.MULTILINE):
            half = 0.5 * 10.0 ** -len(stated.partition(".")[2])
            assert float(names[name]) == pytest.approx(float(stated), abs=1.001 * half), name
            checked += 1
    assert checked >= 8


def test_the_own_beta_is_where_the_bound_is_highest_in_the_variance():
    # d/d gamma of D / (2 gamma) + (m / 2) log gamma vanishes at gamma = D / m, and only there
    m, error = 64, 1.9
    gamma = torch.tensor(error / m, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(error / (2 * gamma) + 0.5 * m * gamma.log(), gamma)
    assert abs(float(slope)) < 1e-9


def test_ten_questions_stand_at_the_end_and_each_says_where_to_go():
    answers = re.findall(r":::{dropdown} (\d+)\. [^\n]+\n(.*?)\n:::", PAGE, flags=re.DOTALL)
    assert [int(number) for number, _ in answers] == list(range(1, 11))
    assert all(re.search(r"\]\(|{cite:t}|{numref}|{eq}", text) for _, text in answers)
