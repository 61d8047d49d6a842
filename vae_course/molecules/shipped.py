"""The weights that ship with the library: read, and (by ``tools/train_molecules.py``) written."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from vae_course.data.tokens import Vocabulary
from vae_course.molecules.model import FAMILIES, SmilesVAE

FOLDER = Path(__file__).parent / "weights"


def ship(model: SmilesVAE, **provenance: Any) -> None:
    """Store a model in half precision, and how it came about, where ``pretrained`` finds it."""
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {"config": json.dumps(model.config), "provenance": json.dumps(provenance)}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{model.family}.safetensors"
    save_file(weights, path, metadata)
    path.chmod(0o644)  # safetensors makes it its owner's alone


def pretrained(family: str) -> SmilesVAE:
    """A ``SmilesVAE`` with the weights shipped for its family, in eval mode.

    All were trained alike, on the whole of MOSES. The model's attribute ``provenance`` says how:
    recipe, number of examples, log of distortion and rate, machine, versions.

    Args:
        family: ``"gaussian"``, ``"vmf"`` or ``"cauchy"``; ValueError otherwise.

    Raises:
        RuntimeError: when the weights are missing or damaged.
    """
    if family not in FAMILIES:
        raise ValueError(f"family={family!r}: weights are shipped for {FAMILIES}")
    path = FOLDER / f"{family}.safetensors"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weights = {name: file.get_tensor(name).float() for name in file.keys()}
    except Exception as error:  # its own class, and OSError: all mean the same remedy
        raise RuntimeError(f"{path} can't be read ({error}): install vae_course again") from error
    config = json.loads(metadata["config"])
    model = SmilesVAE(
        Vocabulary(config.pop("tokens")),
        **{k: v for k, v in config.items() if k not in ("model", "distortion")},
    )
    model.load_state_dict(weights)
    model.provenance = json.loads(metadata["provenance"])
    return model.eval()
