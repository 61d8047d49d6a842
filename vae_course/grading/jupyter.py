"""What a notebook finds in Jupyter and Python alone does not have, without IPython's own weight.

``display``, ``get_ipython()``, ``In``, ``Out`` and ``_``; ``await`` outside a function; magics and
shell commands, of which those that run Python run it, and all others do nothing.
"""

import __future__

import ast
import asyncio
import importlib
import importlib.util
import inspect
import linecache
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

# A line that is IPython's alone, and an assignment of what a magic or a shell command returns.
COMMAND = re.compile(r"([ \t]*)(?:[%!?].*|[\w.]+\?{1,2}[ \t]*)")
ASSIGNED = re.compile(r"([ \t]*[^=%!]+=[ \t]*)([%!])(.*)")
RUNS = re.compile(r"%(?:time|prun|memit|lprun)\b[ \t]*(?:-\w+[ \t]+)*")  # then a statement
FUTURE = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})
UNDERSCORES = ("_", "__", "___")


class Inert:
    """Whatever one asks of it, nothing happens."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Inert()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return Inert()

    def __getitem__(self, key: Any) -> Any:
        return Inert()

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __contains__(self, key: Any) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __float__(self) -> float:
        return 0.0

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...


class ZMQInteractiveShell(Inert):
    """What ``get_ipython()`` returns; notebooks ask for the name of its class."""

    def __init__(self, notebook: "Notebook") -> None:
        self.user_ns, self._notebook = notebook.names, notebook

    def __bool__(self) -> bool:
        return True

    def run_line_magic(self, name: str, line: str = "", *_: Any) -> Any:
        return None if name in ("time", "prun", "load_ext", "matplotlib") else Inert()

    def run_cell(self, source: str, *_: Any, **__: Any) -> Any:
        self._notebook.run(source)
        return Inert()

    def run_cell_magic(self, name: str, line: str, body: str) -> None:
        self._notebook.run(f"%%{name} {line}\n{body}")

    def getoutput(self, *_: Any, **__: Any) -> list[str]:
        return []

    def system(self, *_: Any, **__: Any) -> None: ...

    magic = run_line_magic


def display(*_: Any, display_id: Any = None, **__: Any) -> Any:
    return Inert() if display_id is not None else None


def python_lines(source: str) -> str:
    """A cell without IPython's own syntax: a magic or a shell command does nothing."""
    # Python knows best which lines are not its own: a line of a string may begin with % as well.
    lines = source.split("\n")
    for _ in lines:
        try:
            compile(source, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            at = (error.lineno or 0) - 1
            if not 0 <= at < len(lines) or (instead := python_line(lines[at])) == lines[at]:
                break
            lines[at] = instead
            source = "\n".join(lines)
        except ValueError:
            break
        else:
            break
    return source


def python_line(line: str) -> str:
    """A line that is no Python, as Python."""
    if match := ASSIGNED.fullmatch(line):
        target, mark, rest = match.groups()
        if mark == "%" and (runs := RUNS.match("%" + rest)):
            return target + ("%" + rest)[runs.end() :]
        magic, _, words = rest.partition(" ")
        asked = f"run_line_magic({magic!r}, {words!r})" if mark == "%" else f"getoutput({rest!r})"
        return f"{target}get_ipython().{asked}"
    if match := COMMAND.fullmatch(line):
        indent = match[1]
        body = line[len(indent) :].rstrip("\r")
        runs = RUNS.match(body)
        return indent + ((body[runs.end() :] if runs else "") or "pass")
    return line


def python(source: str) -> tuple[str, tuple[str, str] | None]:
    """A cell as Python; and name and text of a file that it writes, if it is to write one."""
    if not source.lstrip().startswith("%%"):
        return python_lines(source), None
    magic, _, body = source.lstrip().partition("\n")
    name, *words = magic.split()
    match name:
        case "%%time" | "%%capture" | "%%prun" | "%%memit":
            caught = [f"{word} = get_ipython().captured" for word in words if word.isidentifier()]
            inside, written = python(body)
            return "\n".join([*(caught if name == "%%capture" else []), inside]), written
        case "%%writefile" | "%%file":
            return "", (words[-1], body) if words else None
    return "", None  # another language, or a timing that leaves no names


class Notebook:
    """A namespace, and cells that run in it one after the other."""

    def __init__(self, main: types.ModuleType) -> None:
        self.names = main.__dict__
        self.shell = ZMQInteractiveShell(self)
        self.count, self.flags = 0, 0
        self.inputs, self.outputs = [""], dict[int, Any]()
        self.said = dict.fromkeys(UNDERSCORES, "")
        self.loop: asyncio.AbstractEventLoop | None = None
        self.introduced = False
        self.names |= {"display": display, "get_ipython": self.get_ipython}
        self.names |= {"In": self.inputs, "Out": self.outputs, "_ih": self.inputs}
        self.names |= {"_oh": self.outputs, "_dh": ["/tmp"]} | self.said

    def get_ipython(self) -> ZMQInteractiveShell:
        return self.shell

    def introduce(self) -> None:
        """IPython, where a cell asks for it, takes this shell for its own."""
        self.introduced = True
        if importlib.util.find_spec("IPython") is not None:
            package = importlib.import_module("IPython")
            inner = importlib.import_module("IPython.core.getipython")
        else:
            package = inner = types.ModuleType("IPython")
            for name in ("IPython", "IPython.display", "IPython.core", "IPython.core.display"):
                module = package if name == "IPython" else types.ModuleType(name)
                module.__getattr__ = lambda _: Inert()  # type: ignore[method-assign]
                module.display = display  # type: ignore[attr-defined]
                sys.modules[name] = module
            package.display = sys.modules["IPython.display"]  # type: ignore[attr-defined]
        for module in (package, inner):
            module.get_ipython = self.get_ipython  # type: ignore[attr-defined]

    def run(self, cell: str) -> None:
        """Run a cell; whatever its code raises, this raises."""
        self.count += 1
        self.inputs.append(cell)
        if "IPython" in cell and not self.introduced:
            self.introduce()
        source, written = python(cell)
        if written is not None:
            with open(written[0], "w", encoding="utf-8") as file:
                file.write(written[1])
        name = f"<cell {self.count}>"
        # Tools that read a function's source look here for it.
        lines = f"{source}\n".splitlines(keepends=True)
        linecache.cache[name] = len(source), None, lines, name
        flags = self.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree = compile(source, name, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        parts: list[ast.Module | ast.Expression] = [tree]
        if last is not None:
            parts.append(ast.Expression(last.value))
        value = None
        for part in parts:
            kind = "exec" if isinstance(part, ast.Module) else "eval"
            code = compile(part, name, kind, flags, dont_inherit=True)
            self.flags |= code.co_flags & FUTURE
            value = self.execute(code, "asyncio" in source)
        if last is not None and value is not None and not source.rstrip().endswith(";"):
            self.remember(value)

    def execute(self, code: types.CodeType, looping: bool) -> Any:
        """Run code, inside the loop of events where it awaits or speaks of it."""
        waits = bool(code.co_flags & inspect.CO_COROUTINE)
        if not waits and not looping:
            return eval(code, self.names)

        async def inside() -> Any:
            made = eval(code, self.names)
            return await made if waits else made

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
        return self.loop.run_until_complete(inside())

    def remember(self, value: Any) -> None:
        """What the last line of a cell is, for the next; a name that is the student's stays so."""
        self.outputs[self.count] = value
        names = self.names
        if all(names.get(name, said) is said for name, said in self.said.items()):
            for after, before in (("___", "__"), ("__", "_")):
                self.said[after] = self.said[before]
            self.said["_"] = value
            names |= self.said
