"""What a name on the command line stands for, and who opens it."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from vae_course.report.adapters import Adapted

TAKEN = (
    "give a .safetensors file of model.save, a folder of diffusers or pythae, or module:function"
)


FILES = ".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".json", ".py"


def opened(name: str, trust: bool, device: Any) -> Adapted:
    """The model of that name; ``vae_course.report.adapters.opened`` says which there are."""
    path = Path(name).expanduser()
    if path.is_dir():
        return _folder(path, trust, device)
    if path.exists():
        return _adapter("course").opened(name, device)
    if (hub := _on_the_hub(name)) is not None:
        raise ValueError(
            f"there is no folder {name!r}, and nothing is downloaded here: hf download {hub} "
            f"--local-dir {hub.split('/')[1]} (of a pipeline: --include 'vae/*'), then give that "
            "folder"
        )
    if ":" in name:
        return _adapter("callables").opened(name)
    raise FileNotFoundError(f"there is no file or folder {name!r}: {TAKEN}")


def _folder(path: Path, trust: bool, device: Any) -> Adapted:
    last = path / "final_model"  # of a training of pythae
    for folder in (path, last):
        if (folder / "model_config.json").is_file():
            return _adapter("pythae").opened(folder, trust, device)
    for folder in (path, path / "vae", path / "vqvae"):
        if _has_class(folder / "config.json"):
            return _adapter("diffusers").opened(folder, device)
    held = ", ".join(sorted(p.name for p in path.iterdir())[:6]) or "nothing"
    raise ValueError(
        f"'{path}' is no model that is known: it holds {held}, and no config.json of diffusers or "
        f"model_config.json of pythae; {TAKEN}"
    )


def _has_class(config: Path) -> bool:
    try:
        return "_class_name" in json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _on_the_hub(name: str) -> str | None:
    """owner/model, where the name looks like one of the hub's."""
    short = re.sub(r"^(https?://)?(www\.)?(huggingface\.co|hf\.co)/|^hf://", "", name)
    match = re.match(r"([\w-][\w.-]*/[\w-][\w.-]*)(/(tree|blob)/.*)?/?$", short)
    if match is None or Path(match[1]).suffix in FILES or Path(match[1]).parent.is_dir():
        return None
    return match[1]


def _adapter(name: str) -> Any:
    return import_module(f"vae_course.report.adapters.{name}")
