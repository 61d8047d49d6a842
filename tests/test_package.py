"""What ``pip install`` brings: a wheel built from the archive works far from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WHEEL_MB = 11
SOURCES = ("vae_course", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "tests", "tools")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]

EVERYTHING = """
import importlib, json, pathlib, sys
import vae_course
from vae_course import figures, molecules
from vae_course.data import catalogue
sizes = {name: len(catalogue.load(name).train) for name in catalogue.LOADERS}
models = [type(molecules.pretrained(family)).__name__ for family in molecules.FAMILIES]
classes = {name: getattr(figures, name) for name in figures.__all__}
types = [c for c in classes.values() if isinstance(c, type) and issubclass(c, figures.Figure)]
kinds = [c for c in types if c is not figures.Figure]
scripts = [len(kind._esm) for kind in kinds]
print(json.dumps({"home": vae_course.__file__, "sizes": sizes, "models": models,
                  "scripts": scripts}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the archive, the wheel made of it alone, and that wheel installed."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    archive = "from setuptools import build_meta; build_meta.build_sdist('..')"
    subprocess.run([sys.executable, "-c", archive], cwd=source, check=True, capture_output=True)
    wheel = [*PIP, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder]
    subprocess.run([*wheel, *folder.glob("*.tar.gz")], check=True)
    install = [*PIP, "install", "-q", "--no-deps", "--target", folder / "installed"]
    subprocess.run([*install, *folder.glob("*.whl")], check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> list[str]:
    [path] = built.glob("*.whl")
    return zipfile.ZipFile(path).namelist()


def test_installed_elsewhere_every_set_weight_and_figure_is_there(built):
    environment = os.environ | {"PYTHONPATH": str(built / "installed")}
    command = [sys.executable, "-W", "error", "-c", EVERYTHING]
    done = subprocess.run(
        command, cwd=built, env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert Path(found["home"]).is_relative_to(built / "installed")
    assert min(found["sizes"].values()) > 1000 and len(found["sizes"]) >= 7
    assert len(found["models"]) >= 3
    assert len(found["scripts"]) >= 19 and min(found["scripts"]) > 1000


def test_every_file_of_the_library_is_in_the_wheel(wheel):
    folder = ROOT / "vae_course"
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours == {name for name in wheel if ".dist-info/" not in name}


def test_every_licence_notice_travels_with_the_data_and_beside_the_code(wheel):
    notices = {p.name for p in (ROOT / "vae_course" / "data" / "embedded").glob("*.md")}
    sets = {p.stem for p in (ROOT / "vae_course" / "data" / "embedded").glob("*.npz")}
    assert {Path(n).stem for n in notices} == sets
    licences = {Path(n).name for n in wheel if ".dist-info/licenses/" in n}
    weights = {"NOTICE.md", "LICENSE-APACHE-2.0.txt"}  # of the network in vae_course/distortion
    assert licences == notices | weights | {"LICENSE"}


def test_the_wheel_is_small_enough_for_a_lab_on_a_slow_line(built):
    [path] = built.glob("*.whl")
    assert path.stat().st_size <= WHEEL_MB * 1e6


def test_tests_that_could_not_run_there_are_not_in_the_archive(built):
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        tops = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    assert "vae_course" in tops and tops.isdisjoint({"tests", "tools", "benchmarks", "book"})
