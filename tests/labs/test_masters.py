"""Exercise masters: a stub earns nothing, the solution everything, a mistake its own hint."""

import ast
import base64
import builtins
import copy
import itertools
import json
import math
import os
import re
import subprocess
import symtable
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from _pytest.mark import ParameterSet

from tests.labs.independent.cells import MASTERS, ROOT, execute, given, listed, solved

if TYPE_CHECKING:
    import masters

QUESTIONS = [
    pytest.param(chapter, name, id=f"{chapter[:2]}-{name}")
    for chapter in MASTERS
    for name in listed(chapter)
]


def mistakes() -> Iterator[ParameterSet]:
    for chapter in MASTERS:
        for name, titles in listed(chapter).items():
            for number, title in enumerate(titles):
                yield pytest.param(chapter, name, number, id=f"{chapter[:2]}-{name}-{title}")


def asked(chapter: str, question: str) -> "masters.Question":
    return MASTERS[chapter].questions[question]


def hidden_tests(question: "masters.Question") -> list[ast.FunctionDef]:
    functions = [node for node in ast.parse(question.test_source).body if hasattr(node, "args")]
    return [f for f in functions if "hidden=True" in ast.unparse(f.decorator_list[0])]


# ---- what every master must be


@pytest.mark.parametrize("chapter", MASTERS)
def test_a_master_is_stripped_and_all_that_it_holds_is_listed(chapter):
    master = MASTERS[chapter]
    for cell in master.notebook.cells:
        assert not cell.get("outputs") and not cell.get("execution_count")
    assert set(master.notebook.metadata) == {"kernelspec"}
    questions = master.questions.items()
    assert {n: [m.title for m in q.mistakes] for n, q in questions} == listed(chapter)


@pytest.mark.parametrize("chapter, question", QUESTIONS)
def test_an_exercise_has_checks_hidden_tests_and_three_known_wrong_answers(chapter, question):
    question = asked(chapter, question)
    names = [node.name for node in ast.parse(question.test_source).body if hasattr(node, "args")]
    assert len(set(names)) == len(names) == len(question.test_cells), (
        "otter keeps the last of equals"
    )
    assert 0 < len(hidden_tests(question)) < len(names)
    hints = [mistake.hint for mistake in question.mistakes]
    assert len(set(hints)) == len(hints) >= 3
    # Windows reads test files in another encoding than it should.
    assert question.test_source.isascii()


@pytest.mark.parametrize("chapter, question", QUESTIONS)
def test_a_hidden_test_compares_stored_literals_after_a_probe(chapter, question):
    for test in hidden_tests(asked(chapter, question)):
        stored = [
            number
            for number, statement in enumerate(test.body)
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets) == "expected"
        ]
        assert len(stored) == 1
        assert ast.literal_eval(test.body[stored[0]].value)
        probe = ast.unparse(test.body[: stored[0]])
        compare = ast.unparse(test.body[stored[0] + 1 :])
        assert "answers" in probe and "assert" not in probe
        # The student's process could have patched torch.
        assert not re.search(r"\b(torch|numpy|np|allclose)\b", compare)


def test_a_master_with_an_unreadable_mistake_or_two_questions_of_one_name_is_refused(tmp_path):
    import masters
    import nbformat

    path = tmp_path / "09-bad.ipynb"
    master = copy.deepcopy(next(iter(MASTERS.values())).notebook)
    mistake = next(cell for cell in master.cells if cell.source.startswith("# IGNORE"))
    mistake.source = mistake.source.replace("# hint:", "# says:")
    nbformat.write(master, path)
    with pytest.raises(ValueError, match="not a known wrong answer"):
        masters.read(path)
    starts = [cell for cell in master.cells if cell.source.startswith("# BEGIN QUESTION")]
    starts[1].source = starts[0].source
    nbformat.write(master, path)
    with pytest.raises(ValueError, match="two questions named"):
        masters.read(path)


# ---- what the tests say


@pytest.mark.parametrize("chapter, question", QUESTIONS)
def test_the_stub_earns_nothing(chapter, question):
    stub = asked(chapter, question).stub
    assert asked(chapter, question).grade(execute(stub, given(chapter, question))).score == 0


def spoiled(value: Any) -> Any:
    if callable(value):
        return lambda *arguments: spoiled(value(*arguments))
    if isinstance(value, tuple):
        return tuple(map(spoiled, value))
    if isinstance(value, dict):
        return {key: spoiled(inner) for key, inner in value.items()}
    return torch.full_like(value, math.nan) if isinstance(value, torch.Tensor) else math.nan


@pytest.mark.parametrize("chapter, question", QUESTIONS)
def test_nan_earns_nothing(chapter, question):
    before, after = (f(chapter, question) for f in (given, solved))
    answers = {name: spoiled(after[name]) for name in after.keys() - before.keys()}
    assert asked(chapter, question).grade(before | answers).score == 0


@pytest.mark.parametrize("chapter, question", QUESTIONS)
def test_the_solution_earns_full_marks(chapter, question):
    result = asked(chapter, question).grade(dict(solved(chapter, question)))
    assert result.passed_all, result.summary()
    assert result.score == result.possible > 0


@pytest.mark.parametrize("chapter, question, number", list(mistakes()))
def test_a_known_wrong_answer_meets_its_own_hint(chapter, question, number):
    names, question = solved(chapter, question), asked(chapter, question)
    mistake = question.mistakes[number]
    result = question.grade(execute(mistake.code, names))
    failed = [case for case in result.test_case_results if not case.passed]
    said = "\n".join(
        case.message.rpartition("Error: ")[2] for case in failed if not case.test_case.hidden
    )
    heard = [other.hint for other in question.mistakes if other.hint in said]
    assert heard == [mistake.hint], said or "no check failed"
    assert any(case.test_case.hidden for case in failed), "a grader that sees values only is fooled"


@pytest.mark.parametrize("solve", [True, False], ids=["solved", "untouched"])
@pytest.mark.parametrize("chapter", MASTERS)
def test_a_notebook_runs_to_its_end(chapter, solve):
    import matplotlib.pyplot

    matplotlib.use("agg")
    names: dict[str, Any] = {}
    for name, question in MASTERS[chapter].questions.items():
        stub = question.stub
        names |= solved(chapter, name) if solve else execute(stub, given(chapter, name))
    execute(MASTERS[chapter].epilogue, names)
    matplotlib.pyplot.close("all")


# ---- independent answers: the stored values are right


@pytest.mark.parametrize("chapter, question", QUESTIONS)
def test_an_independent_solution_earns_full_marks(chapter, question):
    from tests.labs import independent

    names = given(chapter, question)
    result = asked(chapter, question).grade(names | independent.ANSWERS[question](names))
    assert result.passed_all, result.summary()


def test_the_toy_chemistry_of_chains_is_rdkits():
    chem, base = pytest.importorskip("rdkit.Chem"), pytest.importorskip("rdkit.rdBase")
    chain = given("10-molecules", "funnel")["chain"]
    spellings: dict[str, set[str]] = {}
    strings = ["".join(s) for n in range(1, 6) for s in itertools.product("CNOF", repeat=n)]
    with base.BlockLogs():  # and not for good: other tests listen to RDKit
        for string in strings:
            molecule = chem.MolFromSmiles(string)
            assert (molecule is None) == (chain(string) is None), string
            if molecule is not None:
                spellings.setdefault(chem.MolToSmiles(molecule), set()).add(chain(string))
    # One canonical chain for each molecule, and one molecule for each.
    assert len(spellings) == len(set().union(*spellings.values())) == 356


# ---- what is made of a master


@pytest.fixture(scope="module", params=MASTERS)
def made(request, exercises):
    return MASTERS[request.param], exercises(request.param)


def read(path: Path):
    import nbformat

    return nbformat.read(path, 4)


def unpacked(notebook) -> dict[str, dict[str, Any]]:
    setup = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    packed = re.search(r'packed = "(.*)"', setup).group(1)
    return json.loads(zlib.decompress(base64.b85decode(packed)))


def test_a_student_gets_one_file_and_none_of_the_secrets(made):
    import masters

    master, folder = made
    files = list((folder / "student").iterdir())
    assert [file.name for file in files] == [master.path.name]
    notebook = read(files[0])
    packed = unpacked(notebook)
    checks, locked = packed["checks"], packed["solutions"]
    probes = [probe for question in locked.values() for probe in question["probes"]]
    text = files[0].read_text() + "".join([*checks.values(), *probes])
    text += "\n".join(cell.source for cell in notebook.cells)
    assert checks.keys() == locked.keys() == master.questions.keys()
    assert "hidden=True" not in text and "IGNORE" not in text and "# BEGIN" not in text
    assert "`grader.solution` shows the solution" in text and "](../" not in text
    for question in master.questions.values():
        assert question.stub.strip() in text
        solution = masters.without_marks(question.solution)
        for line in set(solution.split("\n")) - set(question.stub.split("\n")):
            assert line.strip() not in text or len(line.strip()) < 12
        for mistake in question.mistakes:
            assert mistake.code not in text
        for test in hidden_tests(question):
            assert test.name not in text
            literal = ast.unparse(
                next(s.value for s in test.body if "expected =" in ast.unparse(s))
            )
            assert literal not in text


def test_the_setup_cell_installs_only_what_is_missing_from_the_one_address(made):
    import make_exercises

    _, folder = made
    url, book = make_exercises.site()
    for path in folder.rglob("*.ipynb"):
        source = path.read_text()
        assert {book, url} >= set(re.findall(r"https://[\w./-]+?vae_course/?", source))
    setup = next(
        c.source for c in read(next((folder / "student").iterdir())).cells if c.cell_type == "code"
    )
    installs = re.findall(
        r"try:\n +import (\w+)\nexcept ImportError:\n +%pip install -q (.*)", setup
    )
    assert installs == [("vae_course", f'"git+{url}"'), ("otter", '"otter-grader>=7,<8"')]
    assert setup.count("pip install") == 2 and "torch" not in setup.partition("packed =")[0]


def test_teachers_see_all_tests_and_all_known_mistakes(made):
    import masters

    master, folder = made
    name = master.path.stem
    kinds = ("solution.ipynb", "instructor.ipynb", "autograder.zip", "grading.json")
    found = {path.name for path in (folder / "instructor").iterdir()}
    assert found == {f"{name}-{kind}" for kind in kinds}
    notebook = read(folder / "instructor" / f"{name}-instructor.ipynb")
    text = "\n".join(cell.source for cell in notebook.cells)
    for question in master.questions.values():
        assert masters.without_marks(question.solution).strip() in text
        assert all(m.code in text and m.hint in text for m in question.mistakes)
        assert all(f"def {test.name}(" in text for test in hidden_tests(question))
    assert "# BEGIN" not in text


def taken_from_outside(scope: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
    return names.union(*map(taken_from_outside, scope.get_children()))


def test_the_grading_file_has_every_test_as_the_master_has_it(made):
    master, folder = made
    told = json.loads((folder / "instructor" / f"{master.path.stem}-grading.json").read_text())
    assert told["name"] == master.path.stem
    assert told["questions"].keys() == master.questions.keys()
    for name, question in master.questions.items():
        for test, cell in zip(told["questions"][name], question.test_cells, strict=True):
            head, source = re.fullmatch(r'"{3}.*\n([\s\S]*?)"{3}.*([\s\S]*)', cell).groups()
            config = yaml.safe_load(head)
            function, call = ast.parse(source).body
            arguments = [argument.arg for argument in function.args.args]
            assert ast.unparse(call) == f"{test['name']}({', '.join(test['names'])})"
            assert test["name"] == function.name and test["names"] == arguments
            assert test["points"] == config["points"]
            assert test["hidden"] is config.get("hidden", False)
            (alone,) = ast.parse(test["source"]).body
            assert ast.dump(alone) == ast.dump(function)
            # It stands alone: whatever it takes from outside is Python's own.
            (scope,) = symtable.symtable(test["source"], name, "exec").get_children()
            assert all(hasattr(builtins, free) for free in taken_from_outside(scope))
    text = "\n".join(cell.source for cell in master.notebook.cells)
    promised = re.search(r"about \d+ minutes, (\d+) points", text)
    tests = [test for tests in told["questions"].values() for test in tests]
    assert sum(test["points"] for test in tests) == int(promised[1])


def test_the_same_master_makes_the_same_files(made, tmp_path):
    import make_exercises

    master, folder = made
    make_exercises.make(master.path, tmp_path / "again")
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()
    with zipfile.ZipFile(next(folder.rglob("*.zip"))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_only_a_changed_master_is_made_again(tmp_path, monkeypatch, capsys):
    import make_exercises

    calls = []

    def make(path: Path, folder: Path) -> None:
        calls.append(path.stem)
        folder.mkdir(parents=True)

    master = tmp_path / "09-one.ipynb"
    master.write_text("a")
    monkeypatch.setattr(make_exercises, "make", make)
    monkeypatch.setattr(sys, "argv", ["make", "--build", str(tmp_path), str(master)])
    assert make_exercises.main() == make_exercises.main() == 0
    assert calls == ["09-one"]
    master.write_text("b")
    make_exercises.main()
    assert calls == ["09-one"] * 2


def otter_run(archive: Path, submission: Path, folder: Path) -> dict[str, tuple[float, float]]:
    """Points and the most there are of each question, as Gradescope finds them."""
    folder.mkdir()
    command = [sys.executable, "-m", "otter", "run", "--no-logo", "-a", archive, "-o", folder]
    done = subprocess.run(
        [*command, submission],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout
    points: dict[str, tuple[float, float]] = {}
    for test in json.loads((folder / "results.json").read_text())["tests"]:
        if test.get("max_score"):
            name = test["name"].partition(" - ")[0]
            score, most = points.get(name, (0, 0))
            points[name] = score + test["score"], most + test["max_score"]
    return points


def test_otter_gives_each_question_of_a_half_solved_notebook_its_points(exercises, tmp_path):
    name = "04-packing"  # the shortest to run
    folder, questions = exercises(name), MASTERS[name].questions
    stub, solution = (
        json.loads(path.read_text())
        for path in (
            folder / "student" / f"{name}.ipynb",
            folder / "instructor" / f"{name}-solution.ipynb",
        )
    )
    heads = [i for i, c in enumerate(stub["cells"]) if c["source"][0].startswith("## ")]
    handed_in = stub | {"cells": stub["cells"][: heads[2]] + solution["cells"][heads[2] :]}
    (tmp_path / "half.ipynb").write_text(json.dumps(handed_in))
    points = otter_run(
        folder / "instructor" / f"{name}-autograder.zip", tmp_path / "half.ipynb", tmp_path / "out"
    )
    assert [points[question] for question in questions] == [
        (0 if number < 2 else most, most)
        for number, most in enumerate(points[question][1] for question in questions)
    ]
    assert all(points[question][1] > 0 for question in questions)


@pytest.mark.slow(reason="two kernels a chapter; by default otter runs one half solved notebook")
@pytest.mark.timeout(3600)
def test_otter_gives_the_solution_full_marks_and_the_stub_none(made, tmp_path):
    master, folder = made
    name = master.path.stem
    grader = folder / "instructor" / f"{name}-autograder.zip"
    solution = folder / "instructor" / f"{name}-solution.ipynb"
    full = otter_run(grader, solution, tmp_path / "solution")
    none = otter_run(grader, folder / "student" / f"{name}.ipynb", tmp_path / "stub")
    assert full.keys() == none.keys() >= master.questions.keys()
    for question in full:
        assert full[question][0] == full[question][1] == none[question][1] > none[question][0] == 0
