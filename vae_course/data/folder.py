"""Images of a folder: one size, one range, grey or coloured, and nothing guessed in silence."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from vae_course.arguments import check_number, check_whole

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif",
)  # fmt: skip
PATIENCE = 3.0  # seconds until a bar is shown


def images_from_folder(
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: Literal["grey", "colour"] | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    limit: int | None = None,
    seed: int = 0,
    skip_broken: bool = False,
) -> Float[Tensor, "n channels height width"]:
    """The images of a folder and of those in it, float32, (N, C, H, W), sorted by path.

    Files are known by their endings; hidden ones, other files and links to folders are passed
    over. An image is turned as its EXIF says. Its first frame counts. 8 and 16 bits are read in
    full (16 bits in colour: the upper 8), floating-point numbers where they lie in [0, 1]. Palettes
    and other colour spaces become red, green, blue; profiles are not applied. What is transparent
    lies on white.

    Args:
        path: of the folder.
        size: side, or (height, width), in pixels: of each image the largest centred part of that
            shape is taken, and made smaller by Pillow's bicubic filter, which averages; nothing is
            enlarged. None: all images are of one size.
        channels: ``"grey"``, luma of ITU-R BT.601, C = 1; ``"colour"``, C = 3, where grey images
            are three times the same; None: as all images are.
        value_range: (low, high), what black and white become.
        limit: that many at the most, drawn without repetition; None for all.
        seed: of that draw.
        skip_broken: pass over files that can't be read.

    Raises:
        FileNotFoundError: where there is no such folder, or no image in it.
        ValueError: naming the file, for one that can't be read, that is smaller than ``size``, or
            of another size or colour than the first; for arguments out of range.
    """
    low, high = (check_number("value_range", value) for value in (value_range[0], value_range[-1]))
    if len(value_range) != 2 or not low < high:
        raise ValueError(f"value_range={value_range}: give (low, high), low < high")
    if channels not in (None, "grey", "colour"):
        raise ValueError(f"channels={channels!r}: give 'grey', 'colour', or None for as they are")
    shape = None
    if size is not None:
        sides = size if isinstance(size, Sequence) else (size, size)
        shape = tuple(check_whole("size", side) for side in sides)
        if len(shape) != 2:
            raise ValueError(f"size={size}: give one side, or (height, width)")
    files = list(_files(Path(path).expanduser()))
    if limit is not None and check_whole("limit", limit) < len(files):
        drawn = torch.randperm(len(files), generator=torch.Generator("cpu").manual_seed(seed))
        files = [files[i] for i in sorted(drawn[:limit].tolist())]
    images = np.empty((0,), dtype=np.float32)
    kept: list[Path] = []
    for file in tqdm(files, "images", unit="image", leave=False, delay=PATIENCE):
        try:
            pixels = _pixels(file, shape, channels)
        except _Broken:
            if skip_broken:
                continue
            raise
        if not kept:
            images = np.empty((len(files), *pixels.shape), dtype=np.float32)
        elif pixels.shape != images.shape[1:]:
            raise ValueError(_differ(kept[0], images.shape[1:], file, pixels.shape))
        images[len(kept)] = pixels
        kept.append(file)
    if not kept:
        raise FileNotFoundError(f"'{path}': none of its {len(files)} images can be read")
    images = images[: len(kept)]
    images *= high - low
    images += low
    return torch.from_numpy(images)


class _Broken(ValueError):
    """A file that is no image, or not a whole one."""


def _files(folder: Path) -> Iterator[Path]:
    """Image files, sorted by their path."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder '{folder}'")
    found = []
    for here, folders, names in os.walk(folder):  # links to folders are not followed
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(here, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in ENDINGS
        ]
    if not found:
        raise FileNotFoundError(
            f"'{folder}' and the folders in it hold no image: no file ends in {', '.join(ENDINGS)}"
        )
    yield from sorted(found, key=lambda file: file.relative_to(folder).as_posix())


def _pixels(
    file: Path, shape: tuple[int, ...] | None, channels: str | None
) -> Float[np.ndarray, "c h w"]:
    """One image in [0, 1]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
    except Exception as error:  # of many types, by format and damage
        raise _Broken(
            f"'{file}' can't be read as an image ({error}): remove it, or give skip_broken=True"
        ) from error
    image = _plain(file, image)
    if channels == "grey" and image.mode == "RGB":
        image = image.convert("L")
    if shape is not None:
        image = _cut(file, image, *shape)
    pixels: np.ndarray = np.asarray(image, dtype=np.float32)
    pixels = pixels.clip(0, 1) if image.mode == "F" else pixels / 255
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return planes.repeat(3, 0) if channels == "colour" and len(planes) == 1 else planes


def _plain(file: Path, image: "Image") -> "Image":
    """Of 8 bits, grey or RGB, without alpha; or, in mode F, of more bits, in [0, 1]."""
    from PIL import Image

    mode = image.mode
    if mode == "F" or mode.startswith("I"):
        deep = np.asarray(image).astype(np.float64)
        deep = deep if mode == "F" else deep / 65535
        if not ((deep >= 0) & (deep <= 1)).all():
            kind = "floating-point" if mode == "F" else "32-bit"
            raise ValueError(
                f"'{file}' holds {kind} numbers beyond black and white: save it with 8 or 16 bits"
            )
        return Image.fromarray(deep.astype(np.float32))
    if mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        whole = Image.alpha_composite(white, image.convert("RGBA"))
        return whole.convert("L" if mode in ("L", "LA", "La", "1") else "RGB")
    return image.convert("L" if mode in ("L", "1") else "RGB")


def _cut(file: Path, image: "Image", height: int, width: int) -> "Image":
    """The largest centred part with sides as height : width, in that size."""
    from PIL import Image

    if image.height < height or image.width < width:
        raise ValueError(
            f"'{file}' is {image.height} x {image.width}, smaller than size={height, width}: "
            "nothing is enlarged; give a smaller size, or take it out"
        )
    h = min(image.height, image.width * height / width)
    w = min(image.width, image.height * width / height)
    # Whole pixels: half of one would blur what is only cut.
    top, left = int((image.height - h) // 2), int((image.width - w) // 2)
    box = (left, top, left + w, top + h)
    return image.resize((width, height), Image.Resampling.BICUBIC, box)


def _differ(first: Path, shape: tuple[int, ...], file: Path, another: tuple[int, ...]) -> str:
    """Two images of a folder that don't go together, and what to do."""
    (c, *sides), (d, *others) = shape, another
    if sides != others:
        return (
            f"'{first}' is {sides[0]} x {sides[1]} and '{file}' {others[0]} x {others[1]}: give "
            f"size, {min(*sides, *others)} or less, to cut them alike"
        )
    names = {1: "grey", 3: "coloured"}
    return (
        f"'{first}' is {names[c]} and '{file}' {names[d]}: give channels='grey' or "
        "channels='colour'"
    )
