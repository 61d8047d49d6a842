"""The definitions of a library that a lab's code can reach: name by name.

A definition is a statement at the top level of a module: a function, a whole class, a constant. It
brings what its code names, in its own module and in others, and so on. Besides, whatever a loaded
module does when it is imported counts, asked for or not: calls that are not known to change
nothing, values put into what exists, blocks, subclasses that their base hears of. What can't be
followed (a star, a module passed around as a value, a name that is computed) counts as a whole.
"""

import ast
from collections.abc import Iterator

import module_statements
from library_modules import Library
from module_statements import Definition, Import, Module, Statement, at_import, chain

DYNAMIC = {"import_module", "__import__"}
OWN_NAMES = {"globals", "locals", "eval", "exec"}  # they can mean any name of the module
ANY_NAME = {"__globals__", "__subclasses__"}  # these, any name of the library
OF_EVERY_MODULE = {"__name__", "__file__", "__doc__", "__package__"}
NO_NUMBER = {"__version__"}  # else every release would make every record another code's
Target = tuple[str, str | None]  # a module and a name in it; None: the module itself


class Reached:
    """The statements of one library that a piece of code can reach, by module.

    Packages that are ``unmeasured`` are followed, but names that they compute count for nothing.
    """

    def __init__(self, library: Library, unmeasured: tuple[str, ...] = ()) -> None:
        self.library = library
        self.found: dict[Module, set[Statement]] = {}
        self._may_compute = {library.name, *(f"{library.name}.{name}" for name in unmeasured)}
        self._loaded: set[str] = set()
        self._to_run: list[Module] = []
        self._to_follow: list[tuple[Module, Statement]] = []
        self._targets: dict[Statement, dict[str, list[Target]]] = {}

    def of(self, code: str) -> dict[Module, set[Statement]]:
        lab = Module("", code)
        for statement in lab.statements:
            self._include(lab, statement)
            for target in (t for targets in self._imported(statement).values() for t in targets):
                if target[1] is not None:  # a lab imports no name that it doesn't use
                    self._use(target, ())
        while self._to_run or self._to_follow:
            if self._to_run:
                self._run(self._to_run.pop())
            else:
                self._follow(*self._to_follow.pop())
        self.found.pop(lab, None)
        return self.found

    def _include(self, module: Module, statement: Statement) -> None:
        found = self.found.setdefault(module, set())
        if statement not in found and statement.names != NO_NUMBER:
            found.add(statement)
            self._to_follow.append((module, statement))

    def _follow(self, module: Module, statement: Statement) -> None:
        inner = self._imported(statement)
        for name, attributes in statement.uses:
            for target in inner.get(name, ()):
                self._use(target, attributes)
            self._name(module, name, attributes)
        if ".".join(module.name.split(".")[:2]) not in self._may_compute:
            for part in statement.parts:
                self._computed(module, part)

    def _computed(self, module: Module, node: ast.AST) -> None:
        """What a name that is no name in the code may stand for."""
        called = chain(node.func) if isinstance(node, ast.Call) else ("", ())
        last = [called[0], *called[1]][-1]
        if last in DYNAMIC:
            name = getattr(node.args[0], "value", None) if node.args else None
            if not isinstance(name, str):
                self._whole(self.library.name)
            elif self.library.ours(name):
                self._whole(name)
        elif isinstance(node, ast.Name) and node.id in OWN_NAMES:
            self._whole(module.name or self.library.name)
        elif last in ("vars", "dir") and not node.args:
            self._whole(module.name or self.library.name)
        elif isinstance(node, ast.Attribute) and node.attr in ANY_NAME:
            self._whole(self.library.name)
        elif isinstance(node, ast.Name | ast.Attribute) and module.origin(node) == "sys.modules":
            self._whole(self.library.name)

    def _name(self, module: Module, name: str, attributes: tuple[str, ...]) -> None:
        """Include what binds a name; where that is an import, follow it."""
        for statement in module.bound.get(name, ()):
            self._include(module, statement)
        for target in self._bound_to(module, name):
            self._use(target, attributes)

    def _use(self, target: Target, attributes: tuple[str, ...]) -> None:
        (name, member), attributes = self._down(target, attributes)
        if member is None:
            self._whole(name)
        elif member in self._at(name).bound:
            self._name(self._at(name), member, attributes)
        elif member not in OF_EVERY_MODULE:
            self._whole(name)

    def _down(self, target: Target, asked: tuple[str, ...]) -> tuple[Target, tuple[str, ...]]:
        """Follow attributes as far as they are modules, loading what each of them loads."""
        while target[1] is None and asked:
            target, asked = self._member(target[0], asked[0]), asked[1:]
        return target, asked

    def _member(self, name: str, member: str) -> Target:
        self._load(name)
        if member in self._at(name).bound:
            return name, member
        home = self.library.home(name, member)
        if home is not None and home != name:
            return self._member(home, member)
        inner = f"{name}.{member}"
        if self.library.is_module(inner):
            self._load(inner)
            return inner, None
        return name, member

    def _imported(self, statement: Statement) -> dict[str, list[Target]]:
        """What the library's names that a statement imports stand for; it loads their modules."""
        if statement in self._targets:
            return self._targets[statement]
        found = self._targets[statement] = {}
        for node in statement.imports:
            if isinstance(node, ast.ImportFrom) and node.level:
                self._whole(self.library.name)
            elif isinstance(node, ast.ImportFrom) and self.library.ours(str(node.module)):
                for alias in node.names:
                    if alias.name == "*":
                        self._whole(str(node.module))
                        continue
                    member = self._member(str(node.module), alias.name)
                    found.setdefault(alias.asname or alias.name, []).append(member)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if self.library.ours(alias.name):
                        self._load(alias.name)
                        name = alias.name if alias.asname else self.library.name
                        found.setdefault(alias.asname or name, []).append((name, None))
        return found

    def _load(self, name: str) -> None:
        """What the import of a module does: it runs the packages around it, then itself."""
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            outer = ".".join(parts[:depth])
            if outer not in self._loaded and self.library.is_module(outer):
                self._loaded.add(outer)
                self._to_run.append(self._at(outer))

    def _run(self, module: Module) -> None:
        for statement in module.statements:
            if module.acts(statement) or self._is_heard_of(module, statement):
                self._include(module, statement)
            if isinstance(statement.node, Import):
                self._imported(statement)
            for node in at_import(statement.node):  # a package's attribute may load its module
                if isinstance(node, ast.Attribute):
                    name, attributes = chain(node)
                    for target in self._bound_to(module, name):
                        self._down(target, attributes)

    def _bound_to(self, module: Module, name: str) -> Iterator[Target]:
        """What a name of a module stands for where that is another module's."""
        for statement in module.bound.get(name, ()):
            if not isinstance(statement.node, Definition):
                yield from self._imported(statement).get(name, ())

    def _is_heard_of(self, module: Module, statement: Statement, *below: Statement) -> bool:
        """Whether a class has a base, or a metaclass, that may note down its subclasses."""
        for node in at_import(statement.node):
            if isinstance(node, ast.ClassDef):
                if any(keyword.arg == "metaclass" for keyword in node.keywords):
                    return True
                if any(self._hears(module, base, statement, *below) for base in node.bases):
                    return True
        return False

    def _hears(self, module: Module, base: ast.expr, *below: Statement) -> bool:
        name, attributes = chain(base.value if isinstance(base, ast.Subscript) else base)
        for home, statement in self._made(module, name, attributes):
            if not isinstance(statement.node, ast.ClassDef):
                return True  # made by a call, or in a block
            names = {getattr(part, "name", getattr(part, "id", "")) for part in statement.parts}
            if "__init_subclass__" in names:
                return True
            if statement not in below and self._is_heard_of(home, statement, *below):
                return True
        return not name

    def _made(
        self, module: Module, name: str, attributes: tuple[str, ...]
    ) -> Iterator[tuple[Module, Statement]]:
        """The statements that make what a name stands for, wherever it is imported from."""
        for statement in module.bound.get(name, ()):
            if not isinstance(statement.node, Import):
                yield module, statement
        for target in self._bound_to(module, name):
            (home, member), left = self._down(target, attributes)
            if member is not None:
                yield from self._made(self._at(home), member, left)

    def _whole(self, name: str) -> None:
        for inside in self.library.inside(name):
            self._load(inside)
            module = self._at(inside)
            for statement in module.statements:
                self._include(module, statement)

    def _at(self, name: str) -> Module:
        path = self.library.path(name)
        return module_statements.module(name, path.read_bytes().decode() if path.exists() else "")
