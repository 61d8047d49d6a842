"""Files that come with the course, checked byte for byte before they are parsed."""

import hashlib
import io
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent

# Made by tools/make_embedded.py.
SHA256 = {
    "mnist_small": "44dfbb49c43362eacf8686e6804ffacdabb42440cab86c39a074d1c5c45e465c",
    "fashion_small": "d9ea93d9901056356f6da156f94857e035cccddc8174dad96dff7cecd86425aa",
    "moses_small": "a7c76699ea04177c00ef21455ce86e469ed27d05e88686de2458bc3d30a12efd",
    "earthquakes": "5ad6d1a72b3315d91dc406dbf9408e2ac9f86f8eeedb81553971abfeaa72ee5a",
    "photographs": "d1fb29c479759509c63a0878ddb4ba246726a02f3391c51253216a2938627868",
}


def read(name: str) -> dict[str, np.ndarray]:
    """The arrays of an embedded file; RuntimeError if it is missing or damaged."""
    path = FOLDER / f"{name}.npz"
    repair = "install vae_course again"
    if not path.is_file():
        raise RuntimeError(f"{path} is missing: {repair}")
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != SHA256[name]:
        raise RuntimeError(f"{path} is damaged (sha256 {found}, not {SHA256[name]}): {repair}")
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return dict(arrays)
