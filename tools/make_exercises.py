"""From each exercise master: what students get, what teachers get.

    python tools/make_exercises.py                  # of every master that changed

    _build/exercises/NN-name/student/NN-name.ipynb              one file, runs on Colab as it is
    _build/exercises/NN-name/instructor/NN-name-solution.ipynb  the student's, solved
                                        NN-name-instructor.ipynb  with all tests and known mistakes
                                        NN-name-autograder.zip  for Gradescope and `otter run`
                                        NN-name-grading.json  for python -m vae_course.grading

The student's notebook carries its public checks in the setup cell, not in the metadata nor in
files beside it: Colab reads no metadata, and one file is easily handed out and in. Beside them are
the solutions, locked by the right answers (tools/locks.py).
"""

import argparse
import ast
import base64
import copy
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import locks
import masters
import nbformat
import otter.assign
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from otter.test_files.exception_test import ExceptionTestFile

from vae_course.lab import solutions

ROOT = Path(__file__).resolve().parent.parent

SETUP = """\
# @title Setup: run me first
import base64
import json
import zlib
from pathlib import Path

try:
    import vae_course
except ImportError:
    %pip install -q "git+{url}"
try:
    import otter
except ImportError:
    %pip install -q "otter-grader>=7,<8"
    import otter
from vae_course.lab import Solutions

# The checks, packed, and the solutions, locked by your answers: this file is all you need.
packed = "{packed}"
packed = json.loads(zlib.decompress(base64.b85decode(packed)))
checks = Path("checks-{name}")
checks.mkdir(exist_ok=True)
for question, source in packed["checks"].items():
    (checks / f"{{question}}.py").write_text(source)
grader = otter.Notebook(tests_dir=str(checks))
grader.solution = Solutions(packed["solutions"], globals())
"""


def site(config: Path = ROOT / "_config.yml") -> tuple[str, str]:
    """The repository's and the published book's addresses."""
    settings = yaml.safe_load(config.read_text())
    return settings["repository"]["url"], settings["html"]["baseurl"]


def key(master: Path) -> str:
    """A hash of all that decides what is made of a master."""
    digest = hashlib.sha256(f"{version('otter-grader')} {site()}".encode())
    sources = [__file__, masters.__file__, locks.__file__, solutions.__file__]
    for path in [master, *map(Path, sources)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def setup_cell(name: str, url: str, contents: dict[str, Any]) -> NotebookNode:
    """The cell that installs what is missing and unpacks the rest, folded away."""
    packed = base64.b85encode(zlib.compress(json.dumps(contents, sort_keys=True).encode(), 9))
    return new_code_cell(
        SETUP.format(name=name, url=url, packed=packed.decode()),
        metadata={"cellView": "form", "jupyter": {"source_hidden": True}},
    )


def write(notebook: NotebookNode, path: Path, url: str, book: str) -> None:
    """Save with links that work outside the repository and with cell ids that do not change."""
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\(\.\./(book/[\w/-]+)\.md", rf"]({book}\1.html", cell.source)
            cell.source = re.sub(
                r"\]\(\.\./(notebooks/[\w/-]+)\.ipynb", rf"]({book}\1.html", cell.source
            )
    nbformat.write(notebook, path)


def instructor_version(master: masters.Master) -> NotebookNode:
    """The master in plain cells: solutions, known mistakes with their hints, every test."""
    cells = []
    for role, _, cell in masters.parts(master.notebook):
        if role == "mistake":
            title, hint, code = masters.MISTAKE.fullmatch(cell.source).groups()
            text = f"**Known wrong answer**: {title}. The check says “… {hint} …”."
            cells.append(new_markdown_cell(f"{text}\n```python\n{code}\n```"))
        elif role == "tests":
            config, source = re.fullmatch(
                r'""" *# BEGIN TEST CONFIG\n([\s\S]*?)""" *# END TEST CONFIG\s*([\s\S]*)',
                cell.source,
            ).groups()
            config = yaml.safe_load(config)
            kind = "Hidden test" if config.get("hidden") else "Public check"
            cells += [new_markdown_cell(f"**{kind}**, points: {config['points']}")]
            cells += [new_code_cell(source)]
        elif role == "solution":
            cells += [new_code_cell(masters.without_marks(cell.source))]
        elif role in ("markdown", "code"):
            cells += [copy.deepcopy(cell)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata = master.notebook.metadata
    return notebook


def grading(master: masters.Master) -> str:
    """All tests, for the grader that runs them outside of the students' sandbox."""
    questions = {}
    for name, question in master.questions.items():
        functions = [f for f in ast.parse(question.test_source).body if hasattr(f, "args")]
        cases = ExceptionTestFile.from_string(question.test_source, f"{name}.py").test_cases
        questions[name] = []
        for function, case in zip(functions, cases, strict=True):
            function.decorator_list = []
            names = [argument.arg for argument in function.args.args]
            test = {"name": function.name, "points": case.points, "hidden": case.hidden}
            questions[name] += [test | {"names": names, "source": ast.unparse(function)}]
    mistakes = {n: [[m.title, m.hint] for m in q.mistakes] for n, q in master.questions.items()}
    told = {"name": master.path.stem, "questions": questions, "mistakes": mistakes}
    return json.dumps(told, indent=1) + "\n"


def pack(files: Mapping[str, bytes], target: Path) -> None:
    """Write a zip archive without time stamps: the same contents make the same file."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)


def rezip(source: Path, target: Path) -> None:
    """Copy a zip archive without its time stamps."""
    with zipfile.ZipFile(source) as old:
        pack({name: old.read(name) for name in old.namelist()}, target)


def make(path: Path, folder: Path) -> None:
    """Everything that belongs to one master, into an empty folder."""
    master = masters.read(path)
    name, (url, book) = path.stem, site()
    student, instructor = folder / "student", folder / "instructor"
    student.mkdir(parents=True)
    instructor.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        # Gradescope installs the course as the students' setup cell does: from one address.
        twin, made = Path(scratch, path.name), Path(scratch, "made")
        prepared = copy.deepcopy(master.notebook)
        config = next(cell for role, _, cell in masters.parts(prepared) if role == "config")
        config.source += f'\nrequirements: ["vae_course @ git+{url}"]'
        nbformat.write(prepared, twin)
        # PDFs need a browser or LaTeX; tests/labs/test_masters.py runs the tests.
        otter.assign.main(str(twin), str(made), no_pdfs=True, no_run_tests=True)
        checks = {p.stem: p.read_text() for p in (made / "student" / "tests").glob("*.py")}
        contents = {"checks": checks, "solutions": locks.solutions(master)}
        setup = setup_cell(name, url, contents)
        for kind, target in [
            ("student", student / path.name),
            ("autograder", instructor / f"{name}-solution.ipynb"),
        ]:
            notebook = nbformat.read(made / kind / path.name, 4)
            for cell in notebook.cells:
                cell.source = masters.without_marks(cell.source)
            notebook.cells.insert(first_code(notebook), copy.deepcopy(setup))
            add_openers(notebook)
            write(notebook, target, url, book)
        archive = next((made / "autograder").glob("*.zip"))
        rezip(archive, instructor / f"{name}-autograder.zip")
    (instructor / f"{name}-grading.json").write_text(grading(master))
    write(instructor_version(master), instructor / f"{name}-instructor.ipynb", url, book)


def first_code(notebook: NotebookNode) -> int:
    """Where the setup cell belongs: below the title, above all code."""
    return next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")


def add_openers(notebook: NotebookNode) -> None:
    """Below each check, the cell that shows the solution to who has one."""
    for number, cell in reversed(list(enumerate(notebook.cells))):
        if match := re.fullmatch(r'grader\.check\("(\w+)"\)', cell.source):
            source = f'grader.solution("{match[1]}")  # opens when all of it is right'
            opener = new_code_cell(source, metadata=copy.deepcopy(cell.metadata))
            notebook.cells.insert(number + 1, opener)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "_build")
    parser.add_argument("masters", type=Path, nargs="*", help="default: every master")
    options = parser.parse_args()
    for path in options.masters or sorted((ROOT / "exercises").glob("*.ipynb")):
        folder = options.build / "exercises" / path.stem
        mark = folder / "key"
        if mark.exists() and mark.read_text() == key(path):
            print(f"{path.stem}: nothing has changed")
            continue
        scratch = folder.with_name(f"{folder.name}.scratch")
        shutil.rmtree(scratch, ignore_errors=True)
        make(path, scratch)
        (scratch / "key").write_text(key(path))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)
        print(f"{path.stem}: made in {os.path.relpath(folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
