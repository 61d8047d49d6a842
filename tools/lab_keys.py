"""What decides a lab's outputs: all that its code reaches in the library, name by name.

``from vae_course.isometry import ruler`` reaches the module that defines ``ruler`` and whatever
that one imports, not the rest of the package: packages import their names when asked (see
``vae_course.lazy``), so an edit of one module makes stale only the labs that use it. What can't be
followed (a star, a package passed around as a value, an import by a computed name) counts as the
whole package. ``run_labs.py`` compares with what each run has really loaded.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from vae_course import homes

ROOT = Path(__file__).resolve().parent.parent
DECIDERS = ("requirements.txt", "tools/awake.py", "tools/lab_keys.py", "tools/run_labs.py")
DYNAMIC = {"import_module", "__import__"}


def key(notebook: Path, tier: str) -> str:
    """A hash of all that decides what a lab's outputs are."""
    digest = hashlib.sha256(f"{tier} {sys.version}".encode())
    library = sorted(with_files(reached(notebook)))
    for path in [notebook, *(ROOT / name for name in DECIDERS), *library]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def measures(notebook: Path) -> str:
    """A hash of what decides a lab's numbers: its code and the library's, but not their comments,
    nor what only records and draws; and so the same on every machine."""
    digest = hashlib.sha256(_bare(_code(notebook)).encode())
    for path in sorted(with_files(reached(notebook))):
        if path.relative_to(ROOT / "vae_course").parts[0] not in ("lab", "figures"):
            content = path.read_bytes()
            if path.suffix == ".py":
                content = _bare(content.decode()).encode()
            digest.update(path.name.encode() + content)
    return digest.hexdigest()


def _bare(code: str) -> str:
    """Code without comments of their own lines, docstrings and empty lines."""
    left_out = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            left_out |= set(range(node.lineno, node.end_lineno + 1))
    lines = (line.rstrip() for i, line in enumerate(code.splitlines(), 1) if i not in left_out)
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def reached(notebook: Path, library: Path = ROOT / "vae_course") -> set[Path]:
    """The library's modules that a notebook's code can load."""
    return Reach(library).of(_code(notebook))


def _code(notebook: Path) -> str:
    plain = TransformerManager().transform_cell  # magics become calls
    cells = nbformat.read(notebook, 4).cells
    return "\n".join(plain(cell.source) for cell in cells if cell.cell_type == "code")


def with_files(modules: set[Path]) -> set[Path]:
    """Modules, and the data, weights and JavaScript beside them that their code names."""
    files = set(modules)
    for module in modules:
        tree = _tree(module)
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        for entry in module.parent.iterdir():
            if entry.suffix in (".py", ".pyi") or (entry / "__init__.py").exists():
                continue
            if entry.name in words or entry.stem in words:
                files |= {p for p in [entry, *entry.rglob("*")] if p.is_file()}
    return files


def module_name(path: Path, library: Path = ROOT / "vae_course") -> str:
    """``vae_course.sphere.cauchy`` of its file; of a package, its own name."""
    parts = path.relative_to(library.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class Reach:
    """The modules of one library that a piece of code can load."""

    def __init__(self, library: Path) -> None:
        self.library = library
        self.found: set[Path] = set()

    def of(self, code: str) -> set[Path]:
        self._follow(ast.parse(code))
        return self.found

    def _follow(self, tree: ast.AST) -> None:
        bound: dict[str, str] = {}  # a name in this code -> the package that it stands for
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if self._ours(alias.name):
                        self._package_or_module(alias.name)
                        if alias.asname and self._is_package(alias.name):
                            bound[alias.asname] = alias.name
                        elif not alias.asname:
                            bound[self.library.name] = self.library.name
            elif isinstance(node, ast.ImportFrom) and self._ours(node.module or ""):
                for alias in node.names:
                    package = self._name(str(node.module), alias.name)
                    if package is not None:
                        bound[alias.asname or alias.name] = package
            elif isinstance(node, ast.Call) and _called(node) in DYNAMIC:
                name = getattr(node.args[0], "value", None) if node.args else None
                if not isinstance(name, str):
                    self._whole(self.library.name)
                elif self._ours(name):
                    self._whole(name)
        for node, attribute in _uses(tree, bound):
            package = bound[node.id]
            while package is not None and attribute is not None:
                package = self._name(package, attribute.attr)
                attribute = attribute.outer
            if package is not None and package != self.library.name:
                self._whole(package)

    def _name(self, module: str, name: str) -> str | None:
        """Follow one name of a module; returns the package that it is, if it is one."""
        self._package_or_module(module)
        if not self._is_package(module):
            return None
        if home := self._homes(module).get(name):
            return self._name(home, name)
        inner = f"{module}.{name}"
        if self._is_package(inner):
            self._package_or_module(inner)
            return inner
        if self._path(inner).exists():
            self._package_or_module(inner)
        elif name == "*" or (module != self.library.name and not name.startswith("__")):
            self._whole(module)
        return None

    def _package_or_module(self, name: str) -> None:
        """Note the file of a module, and those of the packages around it, and follow them."""
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            path = self._path(".".join(parts[:depth]))
            if path.exists() and path not in self.found:
                self.found.add(path)
                if depth > 1:  # the library's own __init__ imports what others ask it for
                    self._follow(_tree(path))

    def _whole(self, name: str) -> None:
        path = self._path(name)
        inside = path.parent.rglob("*.py") if path.name == "__init__.py" else [path]
        for module in inside:
            self._package_or_module(module_name(module, self.library))

    def _homes(self, package: str) -> dict[str, str]:
        stub = self._path(package).with_suffix(".pyi")
        return homes(stub) if stub.exists() else {}

    def _ours(self, name: str) -> bool:
        return name.split(".")[0] == self.library.name

    def _is_package(self, name: str) -> bool:
        return self._path(name).name == "__init__.py"

    def _path(self, name: str) -> Path:
        base = self.library.parent.joinpath(*name.split("."))
        package = base / "__init__.py"
        return package if package.exists() else base.with_suffix(".py")


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


class _Attribute:
    """``.attr`` of a chain such as ``vae_course.sphere.angle``, and what is asked of it in turn."""

    def __init__(self, attr: str, outer: "_Attribute | None") -> None:
        self.attr, self.outer = attr, outer


def _uses(tree: ast.AST, names: dict[str, str]) -> Iterator[tuple[ast.Name, _Attribute | None]]:
    """Each use of one of these names, with the attributes that are asked of it."""

    def walk(node: ast.AST, chain: _Attribute | None) -> Iterator:
        if isinstance(node, ast.Name) and node.id in names:
            yield node, chain
        for child in ast.iter_child_nodes(node):
            inner = isinstance(node, ast.Attribute) and child is node.value
            yield from walk(child, _Attribute(node.attr, chain) if inner else None)

    return walk(tree, None)
