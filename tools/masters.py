"""Read an exercise master: otter-grader 7's format, with known wrong answers beside each solution.

A master is a notebook whose raw cells mark its parts: ``# BEGIN QUESTION``, ``# BEGIN SOLUTION``,
``# BEGIN TESTS``. A raw cell that starts with ``# IGNORE`` is dropped by otter from all it makes.
Ours hold a mistake that students make, and a piece of what the public checks then say:

    # IGNORE a known wrong answer: averages the rate over the latent dimensions
    # hint: 1/d of the right one
    def loss_terms(...): ...

Its code is run after the solution, so it defines only what it gets wrong. In a hidden test the
statements before ``expected = [...]`` make ``answers`` from the student's names and nothing else: a
grader may run them in a sandbox and compare outside.
"""

import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # ipylab's, which otter imports
    from otter.assign.assignment import Assignment
    from otter.assign.blocks import (
        BlockType,
        get_cell_config,
        is_assignment_config_cell,
        is_block_boundary_cell,
    )
    from otter.assign.question_config import QuestionConfig
    from otter.assign.solutions import replace_solutions
    from otter.assign.tests_manager import AssignmentTestsManager
    from otter.assign.utils import is_ignore_cell
    from otter.nbmeta_config import NBMetadataConfig
    from otter.test_files.exception_test import ExceptionTestFile

MISTAKE = re.compile(r"# IGNORE a known wrong answer: (.+)\n# hint: (.+)\n([\s\S]+)")


class Part(NamedTuple):
    """A cell of a master: its role, and the question that it belongs to, if any."""

    role: str  # config, mistake, solution, tests; else the cell's type: markdown, code
    question: str | None
    cell: NotebookNode


class Mistake(NamedTuple):
    """A known wrong answer, and a piece of the hint that it must meet with."""

    title: str
    hint: str
    code: str


@dataclass
class Question:
    """One graded exercise: what is given, the solution, what a student gets, the tests."""

    name: str
    config: QuestionConfig
    given: str = ""
    solution: str = ""
    stub: str = ""
    mistakes: list[Mistake] = field(default_factory=list)
    test_source: str = ""  # otter's test file, public and hidden
    test_cells: list[str] = field(default_factory=list)

    def grade(self, namespace: dict[str, Any]) -> ExceptionTestFile:
        """Run all tests on the names that a student's code has defined, as otter does."""
        tests = ExceptionTestFile.from_string(self.test_source, path=f"{self.name}.py")
        tests.run(namespace)
        return tests


@dataclass
class Master:
    """A chapter's assignment."""

    path: Path
    notebook: NotebookNode
    questions: dict[str, Question]
    preamble: str  # code before the first question
    epilogue: str  # code after the last one


def parts(notebook: NotebookNode) -> Iterator[Part]:
    """The cells of a master that mean something, in order, without the marks between them."""
    blocks: list[BlockType] = []
    question = None
    for cell in notebook.cells:
        if is_ignore_cell(cell):
            yield Part("mistake", question, cell)
        elif is_assignment_config_cell(cell):
            yield Part("config", None, cell)
        elif any(is_block_boundary_cell(cell, block, end=True) for block in BlockType):
            if blocks.pop() is BlockType.QUESTION:
                question = None
        elif begun := [block for block in BlockType if is_block_boundary_cell(cell, block)]:
            blocks += begun
            if begun == [BlockType.QUESTION]:
                question = get_cell_config(cell)["name"]
        else:
            inner = blocks and blocks[-1] is not BlockType.QUESTION
            yield Part(blocks[-1].value if inner else cell.cell_type, question, cell)


def read(path: Path) -> Master:
    """Take a master apart; ValueError for a known wrong answer that isn't written as one."""
    notebook = nbformat.read(path, 4)
    assignment = Assignment({"tests": {"files": True, "ok_format": False}})
    assignment.lang = "python"
    manager = AssignmentTestsManager(assignment)
    questions: dict[str, Question] = {}
    outside = {"preamble": "", "epilogue": ""}
    for cell in notebook.cells:
        if is_block_boundary_cell(cell, BlockType.QUESTION):
            config = QuestionConfig(get_cell_config(cell))
            if config.name in questions:
                raise ValueError(f"{path.name}: there are two questions named {config.name!r}")
            questions[config.name] = Question(config.name, config)
    for role, name, cell in parts(notebook):
        if name is None:
            if role == "code":
                started = any(q.solution for q in questions.values())
                outside["epilogue" if started else "preamble"] += cell.source + "\n"
            continue
        question = questions[name]
        if role == "code":
            question.given += cell.source + "\n"
        elif role == "solution":
            question.solution += cell.source + "\n"
            question.stub += "\n".join(replace_solutions(cell.source.split("\n"), "python")) + "\n"
        elif role == "tests":
            manager.read_test(cell, question.config)
            question.test_cells.append(cell.source)
        elif role == "mistake":
            match = MISTAKE.fullmatch(cell.source)
            if not match:
                raise ValueError(f"{path.name}: not a known wrong answer:\n{cell.source}")
            question.mistakes.append(Mistake(*match.groups()))
    with tempfile.TemporaryDirectory() as folder:
        manager.write_tests(NBMetadataConfig(), folder, include_hidden=True, force_files=True)
        for name, question in questions.items():
            question.test_source = Path(folder, f"{name}.py").read_text()
    return Master(path, notebook, questions, **outside)


def without_marks(source: str) -> str:
    """A solution without otter's marks, as one would write it."""
    kept = [line for line in source.split("\n") if not re.match(r"\s*# (BEGIN|END) SOLUTION", line)]
    return re.sub(r"\s*# SOLUTION( NO PROMPT)?$", "", "\n".join(kept), flags=re.MULTILINE)
