"""The modules of a library: their names, their files, and where a package has its names from."""

from dataclasses import dataclass
from pathlib import Path

from vae_course import homes


@dataclass(frozen=True)
class Library:
    """A package and all below it, by the folder that it lies in."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def ours(self, name: str) -> bool:
        return name.split(".")[0] == self.name

    def path(self, name: str) -> Path:
        """The file of a module or package, which need not exist."""
        base = self.folder.parent.joinpath(*name.split("."))
        package = base / "__init__.py"
        return package if package.exists() else base.with_suffix(".py")

    def is_module(self, name: str) -> bool:
        return self.path(name).exists()

    def is_package(self, name: str) -> bool:
        return self.path(name).name == "__init__.py"

    def home(self, package: str, name: str) -> str | None:
        """The module that a package's stub has this name from."""
        stub = self.path(package).with_suffix(".pyi")
        return homes(stub).get(name) if self.is_package(package) and stub.exists() else None

    def inside(self, name: str) -> list[str]:
        """A module, or a package and all below it."""
        path = self.path(name)
        files = path.parent.rglob("*.py") if self.is_package(name) else [path]
        return sorted(self.module_name(file) for file in files)

    def module_name(self, path: Path) -> str:
        """``vae_course.sphere.cauchy`` of its file; of a package, its own name."""
        parts = path.relative_to(self.folder.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
