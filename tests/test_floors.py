"""The house: four floors, arrows only downwards, one idea a module."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "vae_course"
# tools/, benchmarks/ and tests/ are the fourth floor: they drive the library.
FLOORS = {
    "training": 3,
    "figures": 3,
    "molecules": 3,
    "report": 3,
    "models": 2,
    "isometry": 2,
    "evaluation": 2,
    "grading": 2,
    "gaussian": 1,
    "quantization": 1,
    "sphere": 1,
    "distortion": 1,
    "spd": 1,
    "data": 1,
    "lab": 1,
    "files": 1,
    "arguments": 1,
}
MOST_ENTRIES, MOST_LINES = 17, 320


def imports(path: Path) -> Iterator[str]:
    """All that a file imports, also in functions: ``vae_course.sphere.cauchy``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} imports relatively: a reader can't see from where"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(library: Path) -> dict[str, set[str]]:
    """Package -> the other packages that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted({*library.rglob("*.py"), *library.rglob("*.pyi")}):
        here = path.relative_to(library).parts[0].removesuffix(".py")
        if here == "__init__":
            continue
        targets = (name.split(".") for name in imports(path))
        own = {parts[1] for parts in targets if parts[0] == library.name and len(parts) > 1}
        found.setdefault(here, set()).update((own & FLOORS.keys()) - {here})
    return found


def upwards(found: dict[str, set[str]]) -> list[str]:
    return [f"{a} -> {b}" for a in found for b in found[a] if FLOORS[b] > FLOORS[a]]


def test_every_entry_stands_on_a_floor():
    entries = {p.name for p in LIBRARY.iterdir() if p.name not in ("__pycache__", "py.typed")}
    assert entries - {"__init__.py"} == {
        f"{name}.py" if name in ("files", "arguments") else name for name in FLOORS
    }
    assert len(FLOORS) <= MOST_ENTRIES
    assert len({*FLOORS.values(), 4}) <= 4


def test_arrows_point_downwards_and_on_one_floor_in_no_circle():
    found = arrows(LIBRARY)
    assert upwards(found) == []
    level = {a: {b for b in found[a] if FLOORS[b] == FLOORS[a]} for a in found}
    assert sorted(TopologicalSorter(level).static_order()) == sorted(FLOORS)


def test_nobody_in_the_library_imports_what_drives_it():
    roots = {name.split(".")[0] for path in LIBRARY.rglob("*.py") for name in imports(path)}
    assert roots.isdisjoint({"tests", "tools", "benchmarks"})


def test_no_module_is_longer_than_one_idea():
    lines = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in LIBRARY.rglob("*.py")}
    assert {p.name: n for p, n in lines.items() if n > MOST_LINES} == {}


UPWARDS = ["from vae_course.training import fit", "import vae_course.models"]


@pytest.mark.parametrize("statement", UPWARDS)
@pytest.mark.parametrize("where", ["{}", "def late():\n    {}"])
def test_an_arrow_upwards_is_seen_wherever_it_stands(tmp_path, statement, where):
    module = tmp_path / "vae_course" / "sphere" / "law.py"
    module.parent.mkdir(parents=True)
    module.write_text(where.format(statement))
    assert len(upwards(arrows(tmp_path / "vae_course"))) == 1


def test_a_circle_is_seen():
    with pytest.raises(CycleError):
        list(TopologicalSorter({"spd": {"sphere"}, "sphere": {"spd"}}).static_order())


@pytest.mark.parametrize("package", sorted(p.parent.name for p in LIBRARY.glob("*/__init__.pyi")))
def test_a_package_gives_the_names_of_its_stub_and_no_module_hides_one(package):
    module = import_module(f"vae_course.{package}")
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        import_module(module._homes[name])  # sets the module as an attribute of its package
        home = sys.modules[module._homes[name]]
        assert getattr(module, name) is getattr(home, name)
        assert not isinstance(getattr(module, name), ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_a_name_is_imported_when_it_is_asked_for_and_not_before():
    code = (
        "import sys, vae_course.isometry as i; from vae_course.isometry import jacobian;"
        "print(*sorted(m for m in sys.modules if m.startswith('vae_course.isometry')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == [
        "vae_course.isometry",
        "vae_course.isometry.decoder",
        "vae_course.isometry.forward_mode",
        "vae_course.isometry.jacobian",
        "vae_course.isometry.metrics",
    ]
