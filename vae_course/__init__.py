"""The geometry of VAE latents: the library under the course's labs, chapters and exercises."""

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

__version__ = "0.1.0"


def homes(stub: Path) -> dict[str, str]:
    """The names of a package's stub, each with the module that defines it."""
    return {
        alias.name: str(line.module)
        for line in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }


def lazy(package: str) -> list[str]:
    """Let a package's names be imported from their modules when they are first asked for.

    The package's stub, ``__init__.pyi``, is the one list of its names: of imports such as
    ``from vae_course.training.sweep import sweep as sweep``. A lab then loads what it uses and
    nothing else, so that an edit of one module makes stale only the labs that use it.

    Returns the names, for the package's ``__all__``.
    """
    module = sys.modules[package]
    names = homes(Path(str(module.__file__)).with_suffix(".pyi"))
    module.__dict__["_homes"] = names
    module.__class__ = _Lazy
    return list(names)


class _Lazy(ModuleType):
    _homes: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        if name not in self._homes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(self._homes[name]), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # Whoever imports the module training.sweep must not hide the function training.sweep.
        if not (isinstance(value, ModuleType) and name in self._homes):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._homes})
