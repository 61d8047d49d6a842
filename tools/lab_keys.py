"""What decides a lab's outputs: all that its code reaches in the library.

``from vae_course.isometry import ruler`` reaches the module that defines ``ruler`` and whatever
that one imports, not the rest of the package: packages import their names when asked (see
``vae_course.lazy``), so an edit of one module makes stale only the labs that use it. What can't be
followed (a star, a package passed around as a value, an import by a computed name) counts as the
whole package. ``run_labs.py`` compares with what each run has really loaded.

That is a lab's ``key``: whether it must run again. Its committed record, hours of work, asks for
less: ``measures`` follows names further, to the definitions in those modules (``reached_names``).
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from library_modules import Library
from module_statements import Module, Statement, plain
from reached_names import DYNAMIC, Reached

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "vae_course"
DECIDERS = (
    "requirements.txt",
    "tools/awake.py",
    "tools/lab_keys.py",
    "tools/library_modules.py",
    "tools/run_labs.py",
)
UNMEASURED = ("lab", "figures")  # what only records and draws


def key(notebook: Path, tier: str) -> str:
    """A hash of all that decides what a lab's outputs are."""
    digest = hashlib.sha256(f"{tier} {sys.version}".encode())
    library = sorted(with_files(reached(notebook)))
    for path in [notebook, *(ROOT / name for name in DECIDERS), *library]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def measures(notebook: Path, library: Path = LIBRARY) -> str:
    """A hash of what decides a lab's numbers: its code, the library's definitions that it reaches
    and the files that these name, but neither comments nor what only records and draws; and so the
    same on every machine."""
    digest = hashlib.sha256()
    for name, content in parts(notebook, library).items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def parts(notebook: Path, library: Path = LIBRARY) -> dict[str, bytes]:
    """What ``measures`` hashes: the lab's code, that of each module as far as it counts, files."""
    code, content = _code(notebook), {}
    for module, found in reached_names(notebook, library).items():
        path = Library(library).path(module.name)
        if path.relative_to(library).parts[0] in UNMEASURED:
            continue
        counted = [statement for statement in module.statements if statement in found]
        content[module.name] = "\n".join(s.code for s in counted).encode()
        for file in _named(path, (part for statement in counted for part in statement.parts)):
            content[file.relative_to(library).as_posix()] = file.read_bytes()
    return {"": plain(code).encode()} | dict(sorted(content.items()))


def reached_names(notebook: Path, library: Path = LIBRARY) -> dict[Module, set[Statement]]:
    """The library's definitions that a notebook's code can reach, by module."""
    return Reached(Library(library), UNMEASURED).of(_code(notebook))


def reached(notebook: Path, library: Path = LIBRARY) -> set[Path]:
    """The library's modules that a notebook's code can load."""
    return Reach(Library(library)).of(_code(notebook))


def _code(notebook: Path) -> str:
    called = TransformerManager().transform_cell  # magics become calls
    cells = nbformat.read(notebook, 4).cells
    return "\n".join(called(cell.source) for cell in cells if cell.cell_type == "code")


def module_name(path: Path, library: Path = LIBRARY) -> str:
    """``vae_course.sphere.cauchy`` of its file; of a package, its own name."""
    return Library(library).module_name(path)


def with_files(modules: set[Path]) -> set[Path]:
    """Modules, and the data, weights and JavaScript beside them that their code names."""
    return modules.union(*(_named(module, ast.walk(_tree(module))) for module in modules))


def _named(module: Path, code: Iterable[ast.AST]) -> set[Path]:
    """The files beside a module, and in folders beside it, that some of its code names."""
    words = {node.value for node in code if isinstance(node, ast.Constant)}
    files = set()
    for entry in module.parent.iterdir():
        if entry.suffix in (".py", ".pyi") or (entry / "__init__.py").exists():
            continue
        if entry.name in words or entry.stem in words:
            files |= {path for path in [entry, *entry.rglob("*")] if path.is_file()}
    return files


class Reach:
    """The modules of one library that a piece of code can load."""

    def __init__(self, library: Library) -> None:
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
                    if self.library.ours(alias.name):
                        self._package_or_module(alias.name)
                        if alias.asname and self.library.is_package(alias.name):
                            bound[alias.asname] = alias.name
                        elif not alias.asname:
                            bound[self.library.name] = self.library.name
            elif isinstance(node, ast.ImportFrom) and self.library.ours(node.module or ""):
                for alias in node.names:
                    package = self._name(str(node.module), alias.name)
                    if package is not None:
                        bound[alias.asname or alias.name] = package
            elif isinstance(node, ast.Call) and _called(node) in DYNAMIC:
                name = getattr(node.args[0], "value", None) if node.args else None
                if not isinstance(name, str):
                    self._whole(self.library.name)
                elif self.library.ours(name):
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
        if not self.library.is_package(module):
            return None
        if home := self.library.home(module, name):
            return self._name(home, name)
        inner = f"{module}.{name}"
        if self.library.is_package(inner):
            self._package_or_module(inner)
            return inner
        if self.library.path(inner).exists():
            self._package_or_module(inner)
        elif name == "*" or (module != self.library.name and not name.startswith("__")):
            self._whole(module)
        return None

    def _package_or_module(self, name: str) -> None:
        """Note the file of a module, and those of the packages around it, and follow them."""
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            path = self.library.path(".".join(parts[:depth]))
            if path.exists() and path not in self.found:
                self.found.add(path)
                if depth > 1:  # the library's own __init__ imports what others ask it for
                    self._follow(_tree(path))

    def _whole(self, name: str) -> None:
        for module in self.library.inside(name):
            self._package_or_module(module)


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
