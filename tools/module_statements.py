"""A module's statements: what they bind, what they name, and what they change when they are run."""

import ast
import functools
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

# Calls that, made at an import, change nothing else: what they give counts where it is used.
PURE = set(
    """
    abc.abstractmethod classmethod collections.namedtuple contextlib.contextmanager
    dataclasses.dataclass dataclasses.field dict float frozenset functools.cache
    functools.cached_property functools.lru_cache functools.partial functools.wraps int len list
    numpy.array pathlib.Path property range re.compile set staticmethod str str.maketrans
    torch.compiler.assume_constant_result torch.distributions.utils.lazy_property
    torch.enable_grad torch.inference_mode torch.no_grad torch.tensor tuple
    types.MappingProxyType typing.NewType typing.ParamSpec typing.TypeVar typing.cast
    typing.final typing.overload typing.runtime_checkable
    vae_course.spd.precision.full_precision zip
    """.split()
)
OF_A_PROPERTY = {"setter", "getter", "deleter"}
CHANGING = ast.AugAssign | ast.Delete | ast.With | ast.Import | ast.ImportFrom | ast.Global
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Import = ast.Import | ast.ImportFrom
Use = tuple[str, tuple[str, ...]]  # a name, and the attributes that are asked of it in turn


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement at the top level of a module; of an import, one name."""

    node: ast.stmt
    code: str
    names: frozenset[str]  # that it binds

    @functools.cached_property
    def parts(self) -> list[ast.AST]:
        return list(ast.walk(self.node))

    @functools.cached_property
    def imports(self) -> list[Import]:
        return [part for part in self.parts if isinstance(part, Import)]

    @functools.cached_property
    def uses(self) -> list[Use]:
        return list(dict.fromkeys(uses(self.node)))


class Module:
    """A module's statements, and which of them bind a name."""

    def __init__(self, name: str, code: str) -> None:
        self.name = name
        self.statements = list(_statements(code))
        self.bound: dict[str, list[Statement]] = {}
        for statement in self.statements:
            for bound in statement.names:
                self.bound.setdefault(bound, []).append(statement)
        self._used = {name for statement in self.statements for name, _ in statement.uses}

    def acts(self, statement: Statement) -> bool:
        """Whether a statement may change, when it is run, more than the names that it binds.

        Of classes, what their bases do when they hear of them is left out here.
        """
        node = statement.node
        if isinstance(node, Import):  # one that nothing asks for is there for its effect
            future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
            return future or not statement.names & self._used
        if isinstance(node, ast.Expr):
            return not isinstance(node.value, ast.Constant)
        if not isinstance(node, Definition | ast.Assign | ast.AnnAssign):
            return True
        return any(self._changes(part) for part in at_import(node))

    def _changes(self, node: ast.AST) -> bool:
        called = [node.func] if isinstance(node, ast.Call) else []
        if isinstance(node, Definition):
            called = [d for d in node.decorator_list if not isinstance(d, ast.Call)]
        if isinstance(node, ast.Attribute | ast.Subscript):
            return not isinstance(node.ctx, ast.Load)
        return isinstance(node, CHANGING) or not all(self._is_pure(c) for c in called)

    def _is_pure(self, called: ast.expr) -> bool:
        if isinstance(called, ast.Attribute):
            if isinstance(called.value, ast.Constant) or called.attr in OF_A_PROPERTY:
                return True
        origin = self.origin(called)
        return origin in PURE or origin.startswith("math.")

    def origin(self, node: ast.expr) -> str:
        """``functools.cache`` of ``cache`` or ``functools.cache``; "" of what isn't one thing."""
        name, attributes = chain(node)
        statements = self.bound.get(name, [])
        if not name or len(statements) > 1:
            return ""
        for made in (statement.node for statement in statements):
            alias = made.names[0] if isinstance(made, Import) else None
            if alias is None:
                name = f"{self.name}.{name}"
            elif isinstance(made, ast.ImportFrom):
                name = f"{made.module}.{alias.name}"
            elif alias.asname:
                name = alias.name
        return ".".join([name, *attributes])


def chain(node: ast.expr) -> Use:
    """``a`` and ``("b", "c")`` of ``a.b.c``; of any other expression, no name."""
    if isinstance(node, ast.Name):
        return node.id, ()
    if isinstance(node, ast.Attribute):
        name, attributes = chain(node.value)
        return name, (*attributes, node.attr)
    return "", ()


def uses(node: ast.AST, asked: tuple[str, ...] = ()) -> Iterator[Use]:
    """Each name that code asks for, with the attributes that are asked of it in turn."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
        yield node.id, asked
    elif isinstance(node, ast.Global):
        yield from ((name, ()) for name in node.names)
    for child in ast.iter_child_nodes(node):
        inner = isinstance(node, ast.Attribute) and child is node.value
        yield from uses(child, (node.attr, *asked) if inner else ())


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that are run when its module is: not the bodies of functions."""
    yield node
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        children = iter([*node.decorator_list, node.args, *filter(None, [node.returns])])
    elif isinstance(node, ast.Lambda):
        children = iter([node.args])
    for child in children:
        yield from at_import(child)


def plain(code: str) -> str:
    """Code without comments, docstrings and empty lines."""
    return "\n".join(_plain_lines(code).values())


def _plain_lines(code: str) -> dict[int, str]:
    lines = dict(enumerate(code.split("\n"), 1))
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row] = lines[row][:column]
    inside = set()  # a text of several lines, where an empty line or a space at the end counts
    gone = set()
    for node in ast.walk(ast.parse(code)):
        span = range(getattr(node, "lineno", 0), getattr(node, "end_lineno", 0) + 1)
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            before = lines[span[0]].encode()[: node.col_offset]  # in bytes, as Python counts
            after = lines[span[-1]].encode()[node.end_col_offset :]
            if not before.strip() and not after.strip():
                gone |= set(span)
        elif isinstance(node, ast.JoinedStr | ast.Constant):
            inside |= set(span[:-1])
    stripped = {i: line if i in inside else line.rstrip() for i, line in lines.items()}
    return {i: line for i, line in stripped.items() if i not in gone and (line or i in inside)}


def _statements(code: str) -> Iterator[Statement]:
    code = code.replace("\r\n", "\n")
    lines = _plain_lines(code)
    for node in ast.parse(code).body:
        if isinstance(node, Import):
            for alias in node.names:
                one = ast.copy_location(type(node)(**(vars(node) | {"names": [alias]})), node)
                first = alias.name.split(".")[0]
                names = frozenset({alias.asname or first})
                yield Statement(one, ast.unparse(one), names)
        else:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            span = range(first, (node.end_lineno or first) + 1)
            text = "\n".join(lines[i] for i in span if i in lines)
            yield Statement(node, text, frozenset(_bound(node)))


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, Definition):
        yield node.name
        return
    targets: list[ast.AST] = [node]
    if isinstance(node, ast.Assign | ast.AnnAssign):  # not what its comprehensions bind
        targets = [*node.targets] if isinstance(node, ast.Assign) else [node.target]
        targets += [part.target for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
    for part in (part for target in targets for part in ast.walk(target)):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
        elif isinstance(part, Definition):
            yield part.name
        elif isinstance(part, ast.alias):
            yield part.asname or part.name.split(".")[0]


module = functools.lru_cache(maxsize=1024)(Module)
