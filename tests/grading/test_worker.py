"""What a student's code does to its own process: all else in the notebook still counts."""

import pytest

from tests.grading.toy import CHECK_ANSWER, CHECK_DOUBLE, GOOD, TEST_DOUBLE, graded, needs_sandbox
from vae_course.grading.sandbox import Limits

pytestmark = [needs_sandbox, pytest.mark.timeout(1800)]

# Cells of one notebook, in this order, and what is noted of each.
SURVIVED = {
    "a magic and a command": ("%pip install x\n!ls", ""),
    "an error": ("1 / 0", "ZeroDivisionError: division by zero"),
    "no syntax": ("def (", "SyntaxError"),
    "a terminal's commands": (
        "raise ValueError('\\x1b[2J')",
        "ValueError: \N{REPLACEMENT CHARACTER}[2J",
    ),
    "exit": ("import sys\nsys.exit()", "SystemExit"),
    "memory": ("x = bytearray(5 << 30)", "MemoryError"),
    "a full disk": ("open('/tmp/x', 'wb').write(b'x' * (200 << 20))", "OSError"),
    "output": ("for _ in range(200): print('x' * (1 << 20))", ""),
    "what Jupyter has": ("display(1)\nget_ipython()\nx = await __import__('asyncio').sleep(0)", ""),
    "IPython's own": ("from IPython import get_ipython as g\ng().run_line_magic('a', '')", ""),
    "a child that goes on": ("import os\nos.fork()", ""),
    # Of so many that a limit of none would end as well.
    "a fork bomb": (
        "import os, time\ntry:\n    for _ in range(64):\n        if os.fork() == 0:\n"
        "            try:\n                os.fork(), os.fork(), os.fork()\n"
        "            finally:\n                time.sleep(999), os._exit(0)\n"
        "    stopped = False\nexcept OSError:\n    stopped = True\nassert stopped, 'no limit'",
        "",
    ),
}


@pytest.fixture(scope="module")
def survivor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survivor")
    result = graded(folder, *(code for code, _ in SURVIVED.values()), GOOD)
    assert {p.name for p in folder.iterdir()} == {"one.ipynb", "grading.json"}
    return result


def test_a_notebook_that_survives_has_all_points(survivor):
    assert (survivor["score"], survivor["reason"]) == (5, None), survivor


@pytest.mark.parametrize("title", SURVIVED)
def test_hostile_code_is_noted_under_its_cell(survivor, title):
    cell = f"Code cell {list(SURVIVED).index(title) + 1}: "
    noted = [note for note in survivor["notes"] if note.startswith(cell)]
    said = SURVIVED[title][1]
    assert len(noted) == bool(said) and said in "".join(noted)


# Each a question of its own, checked right below its code; its points, and what its tests say.
FORGED = """\
import json, os
for p in ['results.json', '/tmp/results.json', '/grades.csv']:
    try: open(p, 'w').write(json.dumps({'score': 5}))
    except OSError: pass
answer = 42"""
EQUAL = """\
class Yes:
    def __eq__(self, other): return True
    def __call__(self, *a): return self
    def tolist(self): return self
double = answer = Yes()"""
PATCHED = """\
import torch
torch.Tensor.tolist = lambda *a: [2.0, 4.0]
torch.allclose = lambda *a, **k: True
import builtins
builtins.abs = lambda x: 0
def double(x):
    return x
answer = 42"""
CLAIMED = {
    "a forged result": (FORGED, 1, "double is not defined."),
    "too large an answer": ("def double(x): return torch.ones(1 << 22)\nanswer = 42", 1, "bytes"),
    "too many empty rows": (
        "def double(x): return torch.empty((1 << 16) + 1, 0)\nanswer = 42",
        1,
        "has no attribute 'tolist'",
    ),
    "always equal": (EQUAL, 0, ""),
    "patched torch": (PATCHED, 1, "Not the double."),
    "right in the end": (GOOD, 5, ""),
}


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    tests = [CHECK_DOUBLE, TEST_DOUBLE, CHECK_ANSWER]
    told = {"name": "00-toy", "questions": dict.fromkeys(CLAIMED, tests)}
    cells = ["import otter\nimport torch\ngrader = otter.Notebook()"]
    for title, (code, _, _) in CLAIMED.items():
        cells += [code, f"grader.check({title!r})"]
    cells += ["del double, answer"]  # each counts where it was checked
    folder = tmp_path_factory.mktemp("claims")
    result = graded(folder, *cells, told=told)
    assert {p.name for p in folder.iterdir()} == {"one.ipynb", "grading.json"}
    return result


@pytest.mark.parametrize("title", CLAIMED)
def test_hostile_answers_get_what_they_have_earned(claims, title):
    assert claims["reason"] is None and claims["notes"] == []
    _, score, said = CLAIMED[title]
    (told,) = (q for q in claims["questions"] if q["name"] == title)
    assert told["score"] == score, told
    assert said in told["tests"][0]["said"]


def test_tampered_checks_do_nothing_and_the_end_counts(tmp_path):
    tampered = (
        "import otter\notter.Notebook.check = lambda *a, **k: None\ndef check_double(*a): pass\n"
        "test_double = check_answer = check_double\ndef double(x):\n    return x\nanswer = 42"
    )
    check = "grader = otter.Notebook()\ngrader.check('double')"
    result = graded(tmp_path, tampered, check, "def double(x):\n    return x + x")
    assert (result["score"], result["notes"], result["reason"]) == (5, [], None)


def test_solutions_that_open_for_students_do_nothing_here(tmp_path):
    opener = "import otter\ngrader = otter.Notebook()\ngrader.solution = lambda name: 1 / 0"
    result = graded(tmp_path, opener, "grader.solution('double')", "double = lambda x: 2 * x")
    assert result["notes"] == [] and result["questions"][0]["score"] > 0


def test_what_has_no_end_is_ended_and_the_rest_counts(tmp_path):
    endless = "answer = 42\ndef double(x):\n    import time\n    while True: time.sleep(0.1)"
    result = graded(tmp_path, "while True: pass", endless, limits=Limits(cell=2, call=2))
    assert (result["score"], result["reason"]) == (1, None)
    assert result["notes"] == ["Code cell 1: TimeoutError: took longer than 2 seconds"]
    assert "took longer than 2 seconds" in result["questions"][0]["hint"]
