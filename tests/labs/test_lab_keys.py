"""A lab is run again when something that it uses has changed, and only then."""

import json
import subprocess
import sys
from pathlib import Path

import lab_keys
import nbformat
import pytest
import run_labs

from vae_course.lab import read_claims

ROOT = Path(__file__).resolve().parents[2]
LABS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIBRARY = {
    "__init__.py": "",
    "files.py": "",
    "shapes/__init__.py": "from house import lazy\n__all__ = lazy(__name__)",
    "shapes/__init__.pyi": "from house.shapes.ring import Ring as Ring, area as area\n"
    "from house.shapes.ball import Ball as Ball",
    "shapes/ring.py": "from house import files\nclass Ring: pass\ndef area(): pass",
    "shapes/ball.py": "def late():\n    from house.data import load\nPICTURE = 'ball.js'",
    "shapes/ball.js": "",
    "shapes/other.js": "",
    "data/__init__.py": "",
    "data/__init__.pyi": "from house.data.load import load as load",
    "data/load.py": "FOLDER = 'sets'",
    "data/sets/one.npz": "",
    "data/remote.py": "",
}
SHAPES = {"shapes", "shapes.ring", "shapes.ball", "files", "data", "data.load"}


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    library = tmp_path_factory.mktemp("keys") / "house"
    for name, text in LIBRARY.items():
        path = library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return library


def notebook(folder: Path, *cells: str) -> Path:
    path = folder / "lab.ipynb"
    made = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


@pytest.mark.parametrize(
    "code, reached",
    [
        ("import math", set()),
        ("from house import files", {"", "files"}),
        ("from house.shapes import Ring", {"", "shapes", "shapes.ring", "files"}),
        ("from house import shapes\nshapes.area()", {"", "shapes", "shapes.ring", "files"}),
        ("import house.shapes as s\ns.Ring", {"", "shapes", "shapes.ring", "files"}),
        ("import house.shapes\nhouse.shapes.Ring", {"", "shapes", "shapes.ring", "files"}),
        ("def f():\n    from house.data import load", {"", "data", "data.load"}),
        ("from house.shapes import Ball", {"", "shapes", "shapes.ball", "data", "data.load"}),
        ("from house.data import remote", {"", "data", "data.remote"}),
        ("from house.shapes import *", {"", *SHAPES}),
        ("from house import shapes\nf(shapes)", {"", *SHAPES}),
        ("from house import shapes\ngetattr(shapes, name)", {"", *SHAPES}),
        ("from house import shapes\nshapes.unheard_of", {"", *SHAPES}),
        ("from importlib import import_module\nimport_module('house.data.remote')",
         {"", "data", "data.remote"}),
        ("from importlib import import_module\nimport_module(name)",
         {"", *SHAPES, "data.remote"}),
        ("%pip install -q x\nfrom house import files", {"", "files"}),
    ],
)  # fmt: skip
def test_names_are_followed_to_the_modules_that_define_them(house, tmp_path, code, reached):
    found = lab_keys.reached(notebook(tmp_path, "1 + 1", code), house)
    assert {lab_keys.module_name(p, house) for p in found} == {
        f"house.{name}".rstrip(".") for name in reached
    }


def test_files_that_a_module_names_count_with_it(house, tmp_path):
    modules = lab_keys.reached(notebook(tmp_path, "from house.shapes import Ball"), house)
    assert {p.name for p in lab_keys.with_files(modules) - modules} == {"ball.js", "one.npz"}


OPENED = """
import json, pathlib, sys
opened = set()
sys.addaudithook(lambda event, args: opened.add(str(args[0])) if event == "open" else None)
from vae_course import figures, molecules
from vae_course.data import load
from vae_course.data.catalogue import LOADERS
[load(name) for name in LOADERS]
[molecules.pretrained(family) for family in molecules.FAMILIES]
[getattr(figures, name) for name in figures.__all__]
folder = pathlib.Path(figures.__file__).parents[1]
ours = [p for p in map(pathlib.Path, opened) if p.is_relative_to(folder)]
print(json.dumps([str(p) for p in ours if p.suffix not in (".py", ".pyi", ".pyc")]))
"""


def test_every_file_that_the_library_opens_is_known(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", OPENED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    opened = {Path(name) for name in json.loads(done.stdout)}
    names = "from vae_course.figures import *\nfrom vae_course.data import load\n"
    modules = lab_keys.reached(notebook(tmp_path, names + "from vae_course.molecules import ship"))
    weights = set((ROOT / "vae_course" / "molecules" / "weights").iterdir())  # opened unheard
    assert opened | weights <= lab_keys.with_files(modules)
    assert {p.suffix for p in opened} == {".js", ".npz", ".toml"}


@pytest.mark.parametrize("path", LABS, ids=lambda p: p.stem)
def test_no_lab_reaches_the_whole_library(path):
    names = {lab_keys.module_name(p) for p in lab_keys.reached(path)}
    figures = {n for n in names if n.startswith("vae_course.figures.")}
    limit = 5 + (path.stem[:2] == "01")  # it draws the figure of the prerequisites as well
    assert len(figures) <= limit, "its own figures, their base and what two of them share"
    assert not any(n.startswith("vae_course.grading") for n in names)
    assert {"vae_course.lab.start", "vae_course.lab.ledger", "vae_course.lab.claims"} <= names


def runnable(folder: Path, source: str) -> Path:
    path = notebook(folder, source)
    made = nbformat.read(path, 4)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, path)
    return path


def run(folder: Path, source: str, tier: str) -> subprocess.CompletedProcess[str]:
    path = runnable(folder, source)
    command = [sys.executable, "tools/run_labs.py", "--tier", tier, "--build", folder / "b", path]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


START = "from vae_course import lab\nhere = lab.start('lab')\n"


def test_a_lab_green_at_class_is_not_run_at_smoke(tmp_path):
    assert "1 of 1 labs to run" in run(tmp_path, START + "here.finish()", "class").stdout
    assert "0 of 1 labs to run" in run(tmp_path, START + "here.finish()", "smoke").stdout


def test_an_edit_of_the_lab_its_tier_or_a_module_that_it_uses_is_another_key(tmp_path, monkeypatch):
    path = notebook(tmp_path, START)
    keys = [lab_keys.key(path, "class"), lab_keys.key(path, "smoke")]
    keys.append(lab_keys.key(notebook(tmp_path, START + "1 + 1"), "class"))
    start, read = ROOT / "vae_course" / "lab" / "start.py", Path.read_bytes
    for edited in (start, ROOT / "requirements.txt", ROOT / "tools" / "run_labs.py"):
        with monkeypatch.context() as edit:
            edit.setattr(Path, "read_bytes", lambda p, e=edited: read(p) + b"#" * (p == e))
            keys.append(lab_keys.key(notebook(tmp_path, START), "class"))
    assert len(set(keys)) == len(keys)
    with monkeypatch.context() as edit:
        unused = ROOT / "vae_course" / "spd" / "distance.py"
        edit.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * (p == unused))
        assert lab_keys.key(notebook(tmp_path, START), "class") == keys[0]


def test_a_module_loaded_behind_the_keys_back_turns_the_lab_red(tmp_path):
    hidden = "import importlib\ncall = getattr(importlib, 'import_' + 'module')\n"
    hidden += "call('vae_course.spd.distance')\n"
    done = run(tmp_path, START + hidden + "here.finish()", "smoke")
    assert done.returncode != 0
    assert "vae_course.spd.distance" in done.stdout


TRAIN = (
    START
    + """
from vae_course.data import load
from vae_course.models import Autoencoder
from vae_course.training import fit
data = load("digits")
model = Autoencoder.mlp(data.image_shape, d=2, hidden=(8,), seed=0)
steps = here.steps(smoke=2, class_=2, full=40)
history = fit(model, data, steps=steps, checkpoint=here.keep("ae"), checkpoint_every=10)
lab.claim("test.steps", steps, statement="Steps.", source="a test")
lab.claim("test.loss", history.loss[-1], statement="The last loss.", source="a test")
here.finish()
"""
)


def test_a_lab_at_full_runs_half_way_and_whole_and_goes_on_from_what_is_kept(tmp_path):
    path = runnable(tmp_path, TRAIN)
    committed, build = tmp_path / "results", tmp_path / "b"
    assert run_labs.record([path], "full", build, committed)
    claims = read_claims(committed)
    assert claims["test.steps"].value == 40
    assert claims["test.steps"].halfway == (20.0,)
    assert claims["test.loss"].halfway != claims["test.loss"].values
    cost = json.loads((committed / "lab" / "labs" / "lab.json").read_text())
    assert cost["measures"] == lab_keys.measures(path)
    assert cost["cpu_seconds"] > 0 and cost["halfway_cpu_seconds"] > 0
    kept = sorted(build.rglob("*.run"))
    assert [file.parent.name for file in kept] == ["half", "whole"]
    written = [file.stat().st_mtime_ns for file in kept]
    assert run_labs.record([path], "full", build, committed)  # trains nothing again
    assert [file.stat().st_mtime_ns for file in kept] == written
    assert read_claims(committed)["test.loss"] == claims["test.loss"]


def test_a_lab_that_fails_at_full_leaves_the_committed_record_alone(tmp_path, capsys):
    code = "lab.claim('a.b', 1.0, statement='', source='', at_most=0.5)"
    path = runnable(tmp_path, START + code + "\nhere.finish()")
    committed = tmp_path / "results"
    (committed / "lab" / "labs").mkdir(parents=True)
    record = committed / "lab" / "labs" / "lab.json"
    record.write_text('{"cpu_seconds": 1, "halfway_cpu_seconds": 1}')
    assert not run_labs.record([path], "full", tmp_path / "b", committed)
    assert record.exists() and "a.b = 1, expected ≤ 0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    "edited, text, same",
    [
        ("data/catalogue.py", b"\n# a comment\n", True),
        ("data/catalogue.py", b"\nx = 1\n", True),  # no code asks for x
        ("data/catalogue.py", b"\nprint(1)\n", False),
        ("data/catalogue.py", b"\nLOADERS = {}\n", False),
        ("lab/ledger.py", b"\nx = 1\n", True),
    ],
)
def test_a_lab_measures_what_its_library_computes(edited, text, same, tmp_path, monkeypatch):
    code = "from vae_course import lab\nfrom vae_course.data import load\nlab.claim\n"
    before = lab_keys.measures(notebook(tmp_path, code))
    assert lab_keys.measures(notebook(tmp_path, "# why\n\n" + code)) == before
    assert lab_keys.measures(notebook(tmp_path, code + "load")) != before
    file, read = ROOT / "vae_course" / edited, Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + text * (p == file))
    assert (lab_keys.measures(notebook(tmp_path, code)) == before) is same
