"""The names that a lab's record counts, held against what a run of the lab calls and opens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import lab_keys
import pytest
from library_modules import Library
from module_statements import Module, Statement

ROOT = Path(__file__).resolve().parents[2]
LABS = sorted((ROOT / "notebooks").glob("*.ipynb"))

TRACED = """
import json, os, sys, threading
folder, notebook, out = sys.argv[1:]
sys.argv = sys.argv[:1]
called, opened = set(), set()
def note(frame, event, _):
    if event == "call":
        called.add(frame.f_code)
sys.addaudithook(lambda event, args: opened.add(str(args[0])) if event == "open" else None)
import nbformat
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
sys.setprofile(note)
threading.setprofile(note)
for cell in nbformat.read(notebook, 4).cells:
    if cell.cell_type == "code":
        shell.run_cell(cell.source).raise_error()
sys.setprofile(None)
functions = 1  # inspect.CO_OPTIMIZED: bodies of modules and of classes are no functions
ours = [c for c in called if c.co_filename.startswith(folder) and c.co_flags & functions]
calls = [(code.co_filename, code.co_firstlineno, code.co_qualname) for code in ours]
files = [f for f in opened if f.startswith(folder) and not f.endswith((".py", ".pyi", ".pyc"))]
with open(out, "w") as file:
    json.dump([calls, files], file)
"""


def lines(module: Module, counted: set[Statement]) -> set[int]:
    """The lines of a module's statements that count."""
    spans = set()
    for node in (statement.node for statement in module.statements if statement in counted):
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        spans |= set(range(first, node.end_lineno + 1))
    return spans


@pytest.mark.slow(reason="runs every lab at tier smoke under a profiler, some 15 s each")
@pytest.mark.parametrize("path", LABS, ids=lambda p: p.stem)
def test_every_function_that_a_lab_calls_and_every_file_that_it_opens_is_known(path, tmp_path):
    setting = {"VAE_COURSE_TIER": "smoke", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    folder, out = str(ROOT / "vae_course") + os.sep, tmp_path / "called.json"
    subprocess.run(
        [sys.executable, "-c", TRACED, folder, path, out],
        cwd=ROOT, env=os.environ | setting, check=True, capture_output=True,
    )  # fmt: skip
    calls, opened = json.loads(out.read_text())
    library = Library(ROOT / "vae_course")
    found = lab_keys.reached_names(path)
    known = {library.path(module.name): lines(module, found[module]) for module in found}
    unknown = {name for file, line, name in calls if line not in known.get(Path(file), set())}
    assert len(calls) > 100 and not unknown
    files = {Path(name).relative_to(library.folder) for name in opened}
    measured = {file.as_posix() for file in files if file.parts[0] not in lab_keys.UNMEASURED}
    assert files and measured <= lab_keys.parts(path).keys()
