"""Data by name: ``load("digits")`` gives images in [0, 1], labels, origin and licence."""

import difflib
import hashlib
import inspect
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from vae_course import remote, toy
from vae_course.molecules.tokens import Vocabulary

EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
MNIST_SOURCE = "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits"
FASHION_SOURCE = "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv 1708.07747"
MOSES_LENGTH = 32  # tokens in a row: the longest string of the whole set takes 31, and an end
EARTHQUAKE_REGIONS = (
    "elsewhere", "California", "Alaska", "Nevada", "Puerto Rico", "Hawaii", "Taiwan",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A training and a test set in memory, with where they come from and who allows what.

    ``train`` and ``test`` are float32, ``(N, *image_shape)``; images lie in [0, 1], directions
    and toys do not. Labels are int64, or ``None`` where there are no classes. ``meta`` holds what
    only some sets have; each set's entry in ``load`` says what. ``eq`` is identity:
    compare contents by ``checksum``.
    """

    name: str
    train: Shaped[Tensor, "n_train *event"]
    test: Shaped[Tensor, "n_test *event"]
    train_labels: Int64[Tensor, " n_train"] | None
    test_labels: Int64[Tensor, " n_test"] | None
    image_shape: tuple[int, ...]
    source: str
    licence: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """Numbers in one image, the product of ``image_shape``."""
        return math.prod(self.image_shape)

    @property
    def checksum(self) -> str:
        """The sha256 of images and labels, in hexadecimal, the same on every machine.

        Values, below 2¹⁵ in size, are rounded to multiples of 2⁻¹⁶ and hashed as 32-bit integers:
        8-bit pixels stay distinct, and the last bit, in which two machines' generated floats may
        differ, is gone (but for a value within that bit of a rounding edge: one toy in about 10⁵).
        ``natural_patches`` needs equal JPEG decoders too: Pillow's wheels share libjpeg-turbo.
        """
        digest = hashlib.sha256()
        for images in (self.train, self.test):
            digest.update(f"images {tuple(images.shape)}".encode())
            scaled = (images.detach().cpu() * 2**16).round()
            digest.update(scaled.numpy().astype("<i4").tobytes())
        for labels in (self.train_labels, self.test_labels):
            digest.update(b"labels")
            if labels is not None:
                digest.update(labels.cpu().numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        sizes = f"{len(self.train):,} train + {len(self.test):,} test"
        return f"Dataset({self.name}: {sizes}, {shape}, {self.licence})"


def load(name: str, **options: Any) -> Dataset:
    """The data set of that name; only the last three may be downloaded, once.

    * ``"digits"``: scikit-learn's digits, split 70/30, stratified, seed 0; 1x8x8, 1,257 + 540.
    * ``"mnist_small"``: MNIST, 1,000 + 200 images a class; 1x28x28, 10,000 + 2,000. ``meta``:
      ``train_rows``, ``test_rows``, each image's row in the originals.
    * ``"fashion_small"``: Fashion-MNIST, 500 + 100 a class; 1x28x28, 5,000 + 1,000; ``meta`` alike.
    * ``"natural_patches"``: grey patches of scikit-learn's two photographs, labelled by photograph;
      1x8x8, 10,000 + 2,000. Options ``size=8`` (side in pixels), ``pool=2`` (the photographs are
      first averaged over squares of that side; 32-pixel patches want ``pool=1``),
      ``n_train=10_000``, ``n_test=2_000``, ``seed=0``. Each photograph is cut into ten vertical
      bands; test patches come from two of them, training patches from the others, so that no pixel
      is in both. ``meta``: ``train_corners``, ``test_corners``, (row, column) in the averaged
      photograph.
    * ``"toy_isometric"``: x = A s with three independent factors s and a random isometry A; 16
      numbers, 50,000 + 10,000, no labels. Options ``kind="B"`` (the factors' shapes, see
      ``vae_course.toy.log_density``), ``n_train=50_000``, ``n_test=10_000``, ``seed=0``. ``meta``
      holds the truth: ``train_factors``, ``test_factors`` (N, 3), ``map`` = A (16, 3), and
      ``train_log_density``, ``test_log_density`` (N,), in nats per 3-dimensional volume.
    * ``"earthquakes"``: epicentres of a week of earthquakes, unit vectors (x to longitude 0, z to
      the North Pole); 3 numbers, 1,342 + 336, shuffled. Labels are regions by the feed's words,
      named in ``meta["regions"]``, 0 is elsewhere; half of the quakes are Californian, since small
      ones are recorded where instruments are. ``meta`` also holds ``train_magnitude`` and
      ``test_magnitude`` (N,).
    * ``"moses_small"``: drug-like molecules from MOSES, as rows of int16 tokens closed and filled
      by 0; 32 numbers, 30,000 + 3,000. ``meta["vocabulary"]``: the tokens' strings, for
      ``molecules.Vocabulary``, which also reads and writes SMILES.
    * ``"mnist"``: MNIST whole; 1x28x28, 60,000 + 10,000, in the original order.
    * ``"fashion_mnist"``: Fashion-MNIST whole, alike. Both take the option ``path``, a folder that
      holds the files; without it they are looked for in ``$VAE_COURSE_DATA``, ``./data`` and the
      cache, then downloaded into the cache (12 and 31 MB): ``vae_course.remote`` has the details.
    * ``"moses"``: the whole of MOSES, training and test split, in the tokens of ``"moses_small"``;
      1,584,663 + 176,074. Option ``path`` alike (12 MB).

    Raises:
        ValueError: For an unknown name, listing the known ones, or an option out of range.
        TypeError: For an option that this data set does not take.
        RuntimeError: When an embedded file is missing, or any file outside the cache damaged.
        FileNotFoundError: When a file can't be found or downloaded, and how to do it by hand.
        OSError: When a file can't be stored in the cache.
        ImportError: When a file is to be downloaded and pooch is not installed.
    """
    loaders = DOWNLOADED | LOADERS
    if name not in loaders:
        close = difflib.get_close_matches(str(name), loaders, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown data set {name!r}: there is {', '.join(loaders)}.{hint}")
    loader = loaders[name]
    allowed = list(inspect.signature(loader).parameters)
    for option in options:
        if option not in allowed:
            takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise TypeError(f"load({name!r}) has no option {option!r}: {takes}")
    return loader(**options)


def _load_digits() -> Dataset:
    # Imported here: scikit-learn takes a second, and most sets do without it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        images.reshape(-1, 1, 8, 8) / 16, labels, test_size=0.3, random_state=0, stratify=labels
    )
    return Dataset(
        name="digits",
        train=torch.from_numpy(train).float(),
        test=torch.from_numpy(test).float(),
        train_labels=torch.from_numpy(train_labels).long(),
        test_labels=torch.from_numpy(test_labels).long(),
        image_shape=(1, 8, 8),
        source="E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (test part), "
        "UCI Machine Learning Repository, as in scikit-learn",
        licence="CC BY 4.0",
    )


# ---- embedded files: made by tools/make_embedded.py, checked byte for byte before they are parsed

EMBEDDED = {
    "mnist_small": "44dfbb49c43362eacf8686e6804ffacdabb42440cab86c39a074d1c5c45e465c",
    "fashion_small": "d9ea93d9901056356f6da156f94857e035cccddc8174dad96dff7cecd86425aa",
    "moses_small": "a7c76699ea04177c00ef21455ce86e469ed27d05e88686de2458bc3d30a12efd",
    "earthquakes": "5ad6d1a72b3315d91dc406dbf9408e2ac9f86f8eeedb81553971abfeaa72ee5a",
}


def _read_embedded(name: str) -> dict[str, np.ndarray]:
    path = EMBEDDED_FOLDER / f"{name}.npz"
    repair = "install vae_course again"
    if not path.is_file():
        raise RuntimeError(f"{path} is missing: {repair}")
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != EMBEDDED[name]:
        raise RuntimeError(f"{path} is damaged (sha256 {found}, not {EMBEDDED[name]}): {repair}")
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return dict(arrays)


def _embedded(name: str, source: str, licence: str) -> Dataset:
    arrays = _read_embedded(name)
    images = {k: torch.from_numpy(arrays[k]).unsqueeze(1).float() / 255 for k in ("train", "test")}
    return Dataset(
        name=name,
        train=images["train"],
        test=images["test"],
        train_labels=torch.from_numpy(arrays["train_labels"]).long(),
        test_labels=torch.from_numpy(arrays["test_labels"]).long(),
        image_shape=(1, 28, 28),
        source=source,
        licence=licence,
        meta={k: torch.from_numpy(arrays[k].astype(np.int64)) for k in ("train_rows", "test_rows")},
    )


def _load_mnist_small() -> Dataset:
    return _embedded("mnist_small", f"{MNIST_SOURCE}, a subset", "CC BY-SA 3.0")


def _load_fashion_small() -> Dataset:
    return _embedded("fashion_small", f"{FASHION_SOURCE}, a subset", "MIT, © 2017 Zalando SE")


def _load_moses_small() -> Dataset:
    arrays = _read_embedded("moses_small")
    vocabulary = Vocabulary(str(arrays["vocabulary"]).split("\n"))
    parts = {k: vocabulary.rows(arrays[k], MOSES_LENGTH) for k in ("train", "test")}
    return _molecules("moses_small", vocabulary, **parts)


def _load_moses(path: str | Path | None = None) -> Dataset:
    # The embedded set's vocabulary, so that a model of one reads the other.
    vocabulary = Vocabulary(str(_read_embedded("moses_small")["vocabulary"]).split("\n"))
    texts = {part: c.decode().split()[1:] for part, c in remote.fetch("moses", path).items()}
    parts = {part: vocabulary.encode(text, MOSES_LENGTH) for part, text in texts.items()}
    return _molecules("moses", vocabulary, **parts)


def _molecules(name: str, vocabulary: Vocabulary, **parts: Tensor) -> Dataset:
    return Dataset(
        name=name,
        train=parts["train"],
        test=parts["test"],
        train_labels=None,
        test_labels=None,
        image_shape=(MOSES_LENGTH,),
        source="D. Polykovskiy et al., Molecular Sets (MOSES), Frontiers in Pharmacology 2020"
        + (", a subset" if name == "moses_small" else ""),
        licence="MIT, © 2018 Insilico Medicine, Inc",
        meta={"vocabulary": vocabulary.tokens},
    )


def _load_earthquakes() -> Dataset:
    arrays = _read_embedded("earthquakes")
    longitude, latitude = np.radians(arrays["degrees"].T / 10_000)
    directions = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=1,
    )
    points = torch.from_numpy(directions).float()
    labels = torch.from_numpy(arrays["region"]).long()
    magnitude = torch.from_numpy(arrays["magnitude"] / 100).float()
    cut = len(points) * 4 // 5  # rows are shuffled
    return Dataset(
        name="earthquakes",
        train=points[:cut],
        test=points[cut:],
        train_labels=labels[:cut],
        test_labels=labels[cut:],
        image_shape=(3,),
        source="U.S. Geological Survey, all earthquakes from 31 January to 7 February 2018",
        licence="public domain",
        meta={
            "regions": EARTHQUAKE_REGIONS,
            "train_magnitude": magnitude[:cut],
            "test_magnitude": magnitude[cut:],
        },
    )


# ---- whole sets: found on this machine or downloaded, see vae_course.remote


def _load_idx(name: str, path: str | Path | None, source: str, licence: str) -> Dataset:
    arrays = {part: remote.read_idx(c) for part, c in remote.fetch(name, path).items()}
    images = {
        # In place, so that the 60,000 images are in memory once as floats, not twice.
        part: torch.from_numpy(arrays[part].astype(np.float32)).unsqueeze(1).div_(255)
        for part in ("train", "test")
    }
    return Dataset(
        name=name,
        train=images["train"],
        test=images["test"],
        train_labels=torch.from_numpy(arrays["train_labels"].astype(np.int64)),
        test_labels=torch.from_numpy(arrays["test_labels"].astype(np.int64)),
        image_shape=(1, *arrays["train"].shape[1:]),
        source=source,
        licence=licence,
    )


def _load_mnist(path: str | Path | None = None) -> Dataset:
    return _load_idx("mnist", path, MNIST_SOURCE, "CC BY-SA 3.0")


def _load_fashion_mnist(path: str | Path | None = None) -> Dataset:
    return _load_idx("fashion_mnist", path, FASHION_SOURCE, "MIT, © 2017 Zalando SE")


# ---- natural patches

BANDS, TEST_BANDS = 10, (2, 7)


def _load_natural_patches(
    size: int = 8, pool: int = 2, n_train: int = 10_000, n_test: int = 2_000, seed: int = 0
) -> Dataset:
    from sklearn.datasets import load_sample_images

    for name, value in dict(size=size, pool=pool, n_train=n_train, n_test=n_test).items():
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
    photographs = [_grey(photograph, pool) for photograph in load_sample_images().images]
    random = np.random.RandomState(seed)  # its stream is frozen by NumPy's compatibility policy
    train, train_labels, train_corners = _patches(photographs, size, n_train, False, random)
    test, test_labels, test_corners = _patches(photographs, size, n_test, True, random)
    return Dataset(
        name="natural_patches",
        train=train,
        test=test,
        train_labels=train_labels,
        test_labels=test_labels,
        image_shape=(1, size, size),
        source="china.jpg and flower.jpg of scikit-learn, from flickr.com: "
        "photostreams danielbuechele/6061409035 and vultilion/6056698931",
        licence="CC BY 2.0",
        meta={"train_corners": train_corners, "test_corners": test_corners},
    )


def _patches(
    photographs: list[np.ndarray], size: int, n: int, test: bool, random: np.random.RandomState
) -> tuple[Tensor, Tensor, Tensor]:
    """``n`` different patches, which photograph each is from, and its corner (row, column)."""
    pixels, labels, places = [], [], []
    for label, grey in enumerate(photographs):
        count = (n + label) // len(photographs)  # as even as it goes
        corners = _corners(grey.shape, size, test)
        if len(corners) < count:
            raise ValueError(
                f"a photograph of {grey.shape} pixels has {len(corners)} "
                f"{'test' if test else 'training'} patches of size {size}, not {count}: "
                "ask for fewer or smaller ones, or for a smaller pool"
            )
        chosen = corners[random.permutation(len(corners))[:count]]
        rows, columns = (chosen[:, i, None, None] for i in (0, 1))
        side = np.arange(size)
        pixels.append(grey[rows + side[:, None], columns + side])
        labels.append(np.full(count, label))
        places.append(chosen)
    order = random.permutation(n)
    images, tags, corners = (np.concatenate(part)[order] for part in (pixels, labels, places))
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(tags), torch.from_numpy(corners)


def _grey(photograph: np.ndarray, pool: int) -> np.ndarray:
    """Luma (ITU-R BT.601) averaged over squares; summed in integers, so exact on any machine."""
    luma = photograph.astype(np.int64) @ np.array([299, 587, 114])
    height, width = (side // pool * pool for side in luma.shape)
    squares = luma[:height, :width].reshape(height // pool, pool, width // pool, pool)
    return (squares.sum((1, 3)) / (255_000 * pool**2)).astype(np.float32)


def _corners(shape: tuple[int, ...], size: int, is_test: bool) -> np.ndarray:
    """Upper left corners (row, column) of the patches that lie whole in one band of their kind."""
    height, width = shape
    columns = np.arange(max(width - size + 1, 0))
    first, last = columns * BANDS // width, (columns + size - 1) * BANDS // width
    columns = columns[(first == last) & (np.isin(first, TEST_BANDS) == is_test)]
    rows = np.arange(max(height - size + 1, 0))
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)


# ---- the toy


def _load_toy_isometric(
    kind: str = "B", n_train: int = 50_000, n_test: int = 10_000, seed: int = 0
) -> Dataset:
    if min(n_train, n_test) < 1:
        raise ValueError(f"n_train, n_test are {n_train, n_test}: they must be at least 1")
    random = np.random.RandomState(seed)
    a = toy.orthonormal_map(16, random)
    meta: dict[str, Any] = {"kind": kind, "map": torch.from_numpy(a).float()}
    images = {}
    for part, n in (("train", n_train), ("test", n_test)):
        s = toy.draw(n, kind, random)
        images[part] = torch.from_numpy(s @ a.T).float()
        meta[f"{part}_factors"] = torch.from_numpy(s).float()
        meta[f"{part}_log_density"] = toy.log_density(torch.from_numpy(s), kind).float()
    return Dataset(
        name="toy_isometric",
        train=images["train"],
        test=images["test"],
        train_labels=None,
        test_labels=None,
        image_shape=(16,),
        source="generated by vae_course.toy; variances from Nakagawa, Kato, Suzuki 2021",
        licence="MIT",
        meta=meta,
    )


LOADERS: dict[str, Callable[..., Dataset]] = {
    "digits": _load_digits,
    "mnist_small": _load_mnist_small,
    "fashion_small": _load_fashion_small,
    "natural_patches": _load_natural_patches,
    "earthquakes": _load_earthquakes,
    "moses_small": _load_moses_small,
    "toy_isometric": _load_toy_isometric,
}
DOWNLOADED: dict[str, Callable[..., Dataset]] = {
    "mnist": _load_mnist,
    "fashion_mnist": _load_fashion_mnist,
    "moses": _load_moses,
}
