"""Images by name, as a model wants them: a folder, an .npz, or one of the course's sets."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vae_course.data import images_from_folder, load

Shape = tuple[int | None, ...]
CHANNELS: dict[int | None, Literal["grey", "colour"]] = {1: "grey", 3: "colour"}
GIVE = "give a folder of images, file.npz[:array], or a set of vae_course.data.load"


def images(
    name: str,
    *,
    shape: Shape = (),
    value_range: tuple[float, float] = (0.0, 1.0),
    size: int | None = None,
    channels: Literal["grey", "colour"] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[Tensor, str]:
    """Images (N, \\*shape) in ``value_range``, and a sentence that says what they are.

    Args:
        name: a folder; ``file.npz``, ``file.npz:array`` or ``file.npy``; or a set by name, of
            which the test images are taken. Nothing in a file is executed.
        shape: of one image, as the model takes it; None where any size will do, () where unknown.
        value_range: that the model takes. Numbers in [0, 1], and bytes, are brought to it; others
            are taken as they are where they lie in it.
        size, channels: of images of a folder; by default those of ``shape``.
        limit: that many at the most, drawn by ``seed``.

    ValueError or OSError names what does not fit, and the remedy.
    """
    path, _, array = name.partition(":") if ".npz:" in name else (name, "", "")
    low, high = value_range
    if Path(name).is_dir():
        image = shape if len(shape) == 3 else (None, None, None)
        sides = None if None in image[1:] else (image[1], image[2])
        found = images_from_folder(
            name,
            size=size or sides,  # type: ignore[arg-type]
            channels=channels or CHANNELS.get(image[0]),
            value_range=value_range,
            limit=limit,
            seed=seed,
        )
        return found, _said(found, f"the folder '{name}'", f"brought to [{low:g}, {high:g}]")
    if path.endswith((".npz", ".npy")):
        numbers, title = _array(Path(path), array), f"'{name}'"
    else:
        try:
            numbers, title = load(name).test, f"the test images of {name}"
        except ValueError as error:
            raise ValueError(f"--data {name!r}: {GIVE} ({error})") from error
    if limit is not None and limit < len(numbers):
        drawn = torch.randperm(
            len(numbers), generator=torch.Generator("cpu").manual_seed(seed), device="cpu"
        )
        numbers = numbers[drawn[:limit].sort().values]
    found, how = _ranged(_shaped(numbers, shape, title), value_range, title)
    return found, _said(found, title, how)


def _array(path: Path, name: str) -> Tensor:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'")
    try:
        with open(path, "rb") as file:
            read = np.load(file, allow_pickle=False)
            if isinstance(read, np.ndarray):
                return _tensor(read)
            names = list(read)
            if not name and len(names) > 1:
                raise ValueError(f"it holds {', '.join(names)}: name one, '{path}:{names[0]}'")
            if name and name not in names:
                raise ValueError(f"it has no {name!r}: it holds {', '.join(names)}")
            return _tensor(read[name or names[0]])
    except Exception as error:  # of many types, by the damage; pickles too
        raise ValueError(f"'{path}' can't be read: {error}") from error


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype == bool or array.dtype.kind == "f" or array.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(array))
    raise ValueError(
        f"it holds {array.dtype}: images are bytes (uint8), or floating-point numbers in [0, 1] or "
        "in the model's range"
    )


def _shaped(numbers: Tensor, shape: Shape, title: str) -> Tensor:
    """(N, *image) with channels first, where it is plain what is meant."""
    if len(shape) in (0, 3):
        if numbers.ndim == 3:  # grey, without an axis for it
            numbers = numbers[:, None]
        elif numbers.ndim == 4 and numbers.shape[-1] in (1, 3) and numbers.shape[1] not in (1, 3):
            numbers = numbers.movedim(-1, 1)
    if len(shape) == 3 and shape[0] == 3 and numbers.ndim == 4 and numbers.shape[1] == 1:
        numbers = numbers.expand(-1, 3, -1, -1)
    known = [n for n in shape if n is not None]
    if known == list(shape) != [] and numbers[0].numel() == torch.Size(known).numel():
        numbers = numbers.reshape(-1, *known)
    pairs = zip(shape, numbers.shape[1:], strict=False)
    if shape and (len(shape) != numbers.ndim - 1 or any(a not in (None, b) for a, b in pairs)):
        wanted = " x ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(
            f"{title}: images of {' x '.join(map(str, numbers.shape[1:]))}, where the model takes "
            f"{wanted}"
        )
    return numbers


def _ranged(numbers: Tensor, value_range: tuple[float, float], title: str) -> tuple[Tensor, str]:
    low, high = value_range
    numbers = numbers.float() / 255 if numbers.dtype == torch.uint8 else numbers.float()
    least, most = (numbers.min().item(), numbers.max().item()) if numbers.numel() else (0.0, 1.0)
    if 0 <= least and most <= 1:
        if (low, high) == (0, 1):
            return numbers.contiguous(), "in [0, 1]"
        return numbers * (high - low) + low, f"brought from [0, 1] to [{low:g}, {high:g}]"
    slack = 1e-3 * (high - low)
    if low - slack <= least and most <= high + slack:
        return numbers.contiguous(), f"in [{low:g}, {high:g}] as they are"
    raise ValueError(
        f"{title}: numbers in [{least:.4g}, {most:.4g}], neither in [0, 1] nor in the model's "
        f"range [{low:g}, {high:g}]: rescale them, or give --range LOW HIGH"
    )


def _said(found: Tensor, title: str, how: str) -> str:
    return f"{len(found):,} images of {' x '.join(map(str, found.shape[1:]))}: {title}, {how}"
