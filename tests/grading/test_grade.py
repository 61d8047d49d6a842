"""Broken and hostile submissions: the right score or a reason, and nobody else notices."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.grading.helpers import needs_sandbox
from tests.labs.independent.cells import ROOT
from vae_course.grading import assignment, grade, report, sandbox

pytestmark = [needs_sandbox, pytest.mark.timeout(600)]
LIMITS = sandbox.Limits(cell=4, call=4, total=120)
TOY = {
    "name": "00-toy",
    "mistakes": {"double": [["takes the square for the double", "You square"]]},
    "questions": {
        "double": [
            {
                "name": "check_double",
                "points": 1,
                "hidden": False,
                "names": ["double"],
                "source": "def check_double(double):\n    import torch\n"
                "    y = double(torch.tensor([1.0, 2.0])).tolist()\n"
                "    if y == [1.0, 4.0]:\n        raise AssertionError('You square.')\n"
                "    assert y == [2.0, 4.0], 'Not the double.'",
            },
            {
                "name": "test_double",
                "points": 3,
                "hidden": True,
                "names": ["double"],
                "source": "def test_double(double):\n    import torch\n"
                "    answers = double(torch.tensor([7.5])).tolist()\n    expected = [15.0]\n"
                "    assert answers == expected",
            },
        ],
        "answer": [
            {
                "name": "check_answer",
                "points": 1,
                "hidden": False,
                "names": ["answer"],
                "source": "def check_answer(answer):\n    assert answer == 42, 'Not 42.'",
            },
        ],
    },
}
GOOD = "def double(x):\n    return 2 * x\n\nanswer = 42\n"


def notebook(*sources: str) -> str:
    cells = [{"cell_type": "code", "source": source} for source in sources]
    return json.dumps({"cells": cells, "nbformat": 4})


def graded(folder: Path, *sources: str, text: str | None = None, limits=LIMITS):
    path = folder / "one.ipynb"
    path.write_text(notebook(*sources) if text is None else text)
    return grade.submission(path, toy(folder), limits)


def toy(folder: Path) -> assignment.Assignment:
    (folder / "grading.json").write_text(json.dumps(TOY))
    return assignment.read(folder / "grading.json")


def test_a_right_notebook_has_all_points_without_any_metadata_or_test_cell(tmp_path):
    result = graded(tmp_path, "%pip install x\n!ls", GOOD)
    assert (result["score"], result["possible"], result["reason"]) == (5, 5, None)


def test_what_a_hidden_test_says_is_no_hint(tmp_path):
    double = "def double(x):\n    if len(x) < 2: raise ValueError(str(x))\n    return 2 * x"
    result = graded(tmp_path, double, "answer = 42")
    told = result["questions"][0]
    assert (told["score"], told["hint"]) == (1, "")
    assert "7.5" in told["tests"][1]["said"], "the teacher sees it"


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "empty"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "no cells"),
        ('{"cells": 3}', "no cells"),
        ('{"cells": [1, {}, {"cell_type": "markdown"}]}', "no code"),
        ("\udcff", "not valid JSON"),
    ],
)
def test_a_broken_file_is_a_zero_with_its_reason(tmp_path, text, reason):
    path = tmp_path / "one.ipynb"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = grade.submission(path, toy(tmp_path), LIMITS)
    assert result["score"] == 0 and reason in result["reason"]


def test_a_missing_file_and_a_link_are_zeros_with_their_reasons(tmp_path):
    assert "no file" in grade.submission(tmp_path / "none", toy(tmp_path), LIMITS)["reason"]
    (tmp_path / "link").symlink_to(tmp_path / "grading.json")
    assert "a link" in grade.submission(tmp_path / "link", toy(tmp_path), LIMITS)["reason"]


# Code, and the score that is right for it.
ENDINGS = {
    "an error in one cell leaves the others": (["1 / 0", GOOD], 5),
    "no syntax": (["def (", GOOD], 5),
    "an endless cell": ["while True: pass", GOOD],
    "an endless function": ["answer = 42\ndef double(x):\n    while True: pass"],
    "nothing stops it": [
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    ],
    "exit": ["import sys\nsys.exit()", GOOD],
    "os._exit": ["import os\nos._exit(0)", GOOD],
    "memory": ["x = bytearray(5 << 30)", GOOD],
    "a child that goes on": ["import os\nos.fork()", GOOD],
    "too many empty rows": [
        "import torch\ndef double(x): return torch.empty(10**7, 0)\nanswer = 42"
    ],
    "a terminal's commands": ["raise ValueError('\\x1b[2J')", GOOD],
    "a full disk": ["open('/tmp/x', 'wb').write(b'x' * (200 << 20))", GOOD],
    "a fork bomb": [
        "import os\ntry:\n    while True: os.fork()\nexcept OSError: pass\n"
        "if os.getpid() != MAIN: os._exit(0)",
        GOOD,
    ],
    "output": ["for _ in range(200): print('x' * (1 << 20))", GOOD],
    "ten thousand cells": ["n = 1"] * 10_000 + [GOOD],
    "patched torch": [
        "import torch\ntorch.Tensor.tolist = lambda *a: [2.0, 4.0]\n"
        "torch.allclose = lambda *a, **k: True\nimport builtins\nbuiltins.abs = lambda x: 0\n"
        "def double(x):\n    return x\nanswer = 42",
    ],
    "tampered tests": [
        "import otter\notter.Notebook.check = lambda *a, **k: None\n"
        "def check_double(*a): pass\ntest_double = check_answer = check_double\n"
        "def double(x):\n    return x\nanswer = 42",
        "otter.Notebook().check('double')",
    ],
    "always equal": [
        "class Yes:\n    def __eq__(self, other): return True\n"
        "    def __call__(self, *a): return self\n"
        "    def tolist(self): return self\ndouble = answer = Yes()",
    ],
    "forged messages": [
        "import os\nfor fd in range(3, 30):\n"
        "    try: os.write(fd, b'\\0\\0\\0\\x09{\"id\": 2}' * 9)\n"
        "    except OSError: pass",
        GOOD,
    ],
    "a frame of four gigabytes": [
        "import os\nfor fd in range(3, 30):\n    try: os.write(fd, b'\\xff' * 99)\n"
        "    except OSError: pass",
        GOOD,
    ],
    "a forged result": [
        "import json, os\nfor p in ['results.json', '/tmp/results.json', '/grades.csv']:\n"
        "    try: open(p, 'w').write(json.dumps({'score': 5}))\n"
        "    except OSError: pass\nanswer = 42",
    ],
    "too large an answer": ["import torch\ndef double(x): return torch.ones(1 << 23)\nanswer = 42"],
}
SCORES = {
    "an endless cell": 5,
    "an endless function": 1,
    "nothing stops it": 0,
    "exit": 5,
    "os._exit": 0,
    "memory": 5,
    "a full disk": 5,
    "a child that goes on": 5,
    "too many empty rows": 1,
    "a terminal's commands": 5,
    "a fork bomb": 5,
    "output": 5,
    "ten thousand cells": 5,
    "patched torch": 1,
    "tampered tests": 1,
    "always equal": 0,
    "forged messages": 0,
    "a frame of four gigabytes": 0,
    "a forged result": 1,
    "too large an answer": 1,
}
REASONS = {
    "nothing stops it": "out of time",
    "os._exit": "ended by itself",
    "forged messages": "stopped",
    "a frame of four gigabytes": "4,294,967,295 bytes",
}


NOTES = {
    "a terminal's commands": "ValueError: \N{REPLACEMENT CHARACTER}[2J",
    "memory": "MemoryError",
    "a full disk": "OSError",
    "exit": "SystemExit",
}


@pytest.mark.parametrize("title", ENDINGS)
def test_hostile_code_gets_what_it_has_earned(tmp_path, title):
    told = ENDINGS[title]
    sources, score = told if isinstance(told, tuple) else (told, SCORES[title])
    sources = ["import os\nMAIN = os.getpid()", *sources] if "fork" in title else sources
    result = graded(tmp_path, *sources)
    assert result["score"] == score, result
    assert REASONS.get(title, "") in (result["reason"] or "")
    assert NOTES.get(title, "") in "".join(result["notes"])
    assert {p.name for p in tmp_path.iterdir()} == {"one.ipynb", "grading.json"}


def test_many_processes_may_not_hold_together_what_one_may_not(tmp_path):
    bomb = (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n"
        "        x = b'x' * (300 << 20)\n        time.sleep(99)\ntime.sleep(3)"
    )
    limits = sandbox.Limits(cell=20, memory=1 << 30)
    result = graded(tmp_path, bomb, GOOD, limits=limits)
    assert result["score"] == 0
    assert result["reason"] == "stopped: its processes took more than 1,024 MiB"


def test_an_answer_cannot_keep_a_test_busy_out_here(tmp_path):
    source = "def check_answer(answer):\n    for _ in range(answer): pass"
    counting = {**TOY["questions"]["answer"][0], "source": source}
    told = {"name": "00-toy", "questions": {"answer": [counting]}}
    (tmp_path / "grading.json").write_text(json.dumps(told))
    (tmp_path / "one.ipynb").write_text(notebook("answer = 10**18"))
    result = grade.submission(
        tmp_path / "one.ipynb",
        assignment.read(tmp_path / "grading.json"),
        sandbox.Limits(test=1),
    )
    assert (result["score"], result["reason"]) == (
        0, "stopped: its answers keep a test for over 1 s"
    )  # fmt: skip


SPY = f"""
import os, socket
found = []
for folder in ("/home", "/root", "/mnt", "/proc/1/root/home", {str(ROOT)!r}, "{{folder}}"):
    for where, _, files in os.walk(folder):
        if "site-packages" not in where:
            found += [f for f in files if f.endswith((".ipynb", "grading.json"))]
written = []
for path in ("/x", "/usr/x", "/course/x", "/etc/x", "{{folder}}/x", "/dev/shm/x"):
    try:
        open(path, "w").write("x")
        written.append(path)
    except OSError:
        pass
try:
    socket.create_connection(("1.1.1.1", 53), 2)
    net = "open"
except OSError as error:
    net = "closed"
who = os.getuid()
answer = 42
assert (found, written, net, who != 0) == ([], [], "closed", True), (found, written, net, who)
"""


def test_a_spy_finds_no_test_and_no_other_submission_writes_nothing_and_has_no_network(tmp_path):
    (tmp_path / "other.ipynb").write_text(notebook(GOOD))
    path = tmp_path / "spy.ipynb"
    path.write_text(notebook(SPY.replace("{folder}", str(tmp_path))))
    result = grade.submission(path, toy(tmp_path), LIMITS)
    assert result["notes"] == [] and result["score"] == 1


def run(folder: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "vae_course.grading", folder / "in", *more]
    command += ["--assignment", folder / "grading.json", "--out", folder / "grades.csv"]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )


def handed_in(folder: Path) -> None:
    (folder / "in").mkdir()
    toy(folder)
    wrong = "def double(x):\n    return x * x\nanswer = 42"
    for number in range(4):
        source = f"n = {number}\n" + (wrong if number % 2 else GOOD)
        (folder / "in" / f"student{number}_10{number}_7_toy.ipynb").write_text(notebook(source))
    (folder / "in" / "broken_200_8_toy.ipynb").write_text("{")
    (folder / "in" / os.fsdecode(b"caf\xe9_201_9_toy.ipynb")).write_text(notebook(GOOD))


def test_killed_half_way_and_resumed_it_makes_the_same_table(tmp_path):
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        handed_in(tmp_path / name)
    whole = run(tmp_path / "whole", "--jobs", "2")
    said, _ = whole.communicate()
    assert whole.returncode == 0
    stopped = run(tmp_path / "broken", "--jobs", "1")
    kept = tmp_path / "broken" / "grades" / "results"
    while len(list(kept.glob("*.json"))) < 2:
        assert stopped.poll() is None, "it was over before it could be stopped"
        time.sleep(0.05)
    stopped.send_signal(signal.SIGKILL)
    stopped.communicate()
    before = {p.name: p.stat().st_mtime_ns for p in kept.glob("*.json")}
    assert 0 < len(before) < 6
    again = run(tmp_path / "broken", "--jobs", "2")
    assert again.communicate()[0] == said
    after = {p.name: p.stat().st_mtime_ns for p in kept.glob("*.json")}
    assert before.items() <= after.items(), "a kept result was made again"
    tables = [(tmp_path / name / "grades.csv").read_bytes() for name in ("whole", "broken")]
    assert tables[0] == tables[1]
    rows = list(csv.DictReader(tables[0].decode().splitlines()))
    assert {row["ID"]: row["00-toy"] for row in rows} == {
        "100": "5", "101": "1", "102": "5", "103": "1", "200": "0", "201": "5"
    }  # fmt: skip
    assert list(rows[0]) == [*report.COLUMNS, "00-toy"]
    assert (
        "2 x double: takes the square for the double" in said and "Hardest question: double" in said
    )


@pytest.mark.parametrize("out", ["in.csv", "in/grades.csv"])
def test_what_it_writes_never_lies_among_the_submissions(tmp_path, out):
    (tmp_path / "in").mkdir()
    toy(tmp_path)
    command = [sys.executable, "-m", "vae_course.grading", tmp_path / "in", "--unsafe"]
    command += ["--assignment", tmp_path / "grading.json", "--out", tmp_path / out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "among the submissions" in done.stderr
    assert list((tmp_path / "in").iterdir()) == []


def test_without_bubblewrap_it_refuses_and_says_why(tmp_path, monkeypatch, capsys):
    from vae_course.grading import __main__ as program

    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["grading", str(tmp_path), "--assignment", "01"])
    assert program.main() == 2
    assert "--unsafe" in capsys.readouterr().err


def test_unsafe_it_grades_without_a_sandbox_and_a_roster_gives_absent_students_a_zero(tmp_path):
    (tmp_path / "in").mkdir()
    toy(tmp_path)
    (tmp_path / "in" / "ann_101_7_toy.ipynb").write_text(notebook(GOOD))
    (tmp_path / "class.csv").write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"
        '"Ames, Ann",101,s1,ann,A\n"Bohr, Bo",102,s2,bo,A\n'
    )
    done = run(tmp_path, "--unsafe", "--jobs", "1", "--roster", str(tmp_path / "class.csv"))
    done.communicate()
    assert done.returncode == 0
    with (tmp_path / "grades.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["Student"], row["ID"], row["00-toy"]) for row in table] == [
        ("Ames, Ann", "101", "5"), ("Bohr, Bo", "102", "0")
    ]  # fmt: skip
