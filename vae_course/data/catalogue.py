"""Data by name: ``load("digits")`` gives images in [0, 1], labels, origin and licence."""

import difflib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vae_course.arguments import check_whole
from vae_course.data import (
    earthquakes,
    images,
    moses,
    open_photographs,
    photographs,
    toy_isometric,
)
from vae_course.data.dataset import Dataset

LOADERS: dict[str, Callable[..., Dataset]] = {
    "digits": images.digits,
    "mnist_small": images.mnist_small,
    "fashion_small": images.fashion_small,
    "natural_patches": photographs.natural_patches,
    "photographs": open_photographs.photographs,
    "earthquakes": earthquakes.earthquakes,
    "moses_small": moses.moses_small,
    "toy_isometric": toy_isometric.toy_isometric,
}
DOWNLOADED: dict[str, Callable[..., Dataset]] = {
    "mnist": images.mnist,
    "fashion_mnist": images.fashion_mnist,
    "moses": moses.moses,
}


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
    * ``"photographs"``: patches of fifty openly licensed photographs, labelled by photograph, grey
      or in colour; 1x16x16, 10,000 + 4,000. Options ``size=16``, ``pool=1`` (as above),
      ``colour=False`` (True: 3 channels, red, green, blue), ``stride=None`` (pixels between the
      corners of neighbours on a grid from the upper left; None is ``size``, so that no two patches
      share a pixel), ``n_train=10_000``, ``n_test=4_000``, ``seed=0``. Of 32 pixels there are
      2,740 + 1,081 patches, or 9,744 + 3,849 at ``stride=16``. Split by photograph: number i is a
      test one if i mod 7 is 2 or 5 (14 of 50). Each photograph gives as many patches as the
      others, or all it has. ``meta``: ``names``, ``authors``, ``licences`` and ``sources`` of the
      photographs by label, and ``train_corners``, ``test_corners``. Photographs are JPEG, fitted
      to 352 x 264; colour was stored at half the resolution of grey.
    * ``"toy_isometric"``: x = A s with three independent factors s and a random isometry A; 16
      numbers, 50,000 + 10,000, no labels. Options ``kind="B"`` (the factors' shapes, see
      ``log_density`` in ``vae_course.data.toy_isometric``), ``n_train=50_000``,
      ``n_test=10_000``, ``seed=0``. ``meta`` holds the truth: ``train_factors``,
      ``test_factors`` (N, 3), ``map`` = A (16, 3), and ``train_log_density``,
      ``test_log_density`` (N,), in nats per 3-dimensional volume.
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
      cache, then downloaded into the cache (12 and 31 MB): see
      ``vae_course.data.remote``.
    * ``"moses"``: the whole of MOSES, training and test split, in the tokens of ``"moses_small"``;
      1,584,663 + 176,074. Option ``path`` alike (12 MB).

    Raises:
        ValueError: For an unknown name, listing the known ones, or an option out of range.
        TypeError: For a name that is no string, or an option that this data set does not take.
        RuntimeError: When an embedded file is missing, or any file outside the cache damaged.
        FileNotFoundError: When a file can't be found or downloaded, and how to do it by hand.
        OSError: When a file can't be stored in the cache.
        ImportError: When a file is to be downloaded and pooch is not installed.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, such as 'digits', got {type(name).__name__}")
    loaders = DOWNLOADED | LOADERS
    if name not in loaders:
        close = difflib.get_close_matches(name, loaders, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown data set {name!r}: there is {', '.join(loaders)}.{hint}")
    loader = loaders[name]
    defaults = {p.name: p.default for p in inspect.signature(loader).parameters.values()}
    for option in options:
        if option not in defaults:
            takes = f"it takes {', '.join(defaults)}" if defaults else "it takes none"
            raise TypeError(f"load({name!r}) has no option {option!r}: {takes}")
        if options[option] is not defaults[option]:  # None is right only where it stands for one
            _check(option, options[option])
    return loader(**options)


def _check(option: str, value: Any) -> None:
    """TypeError or ValueError, by the option's name, for what no data set takes."""
    if option == "seed":
        if check_whole(option, value, 0) >= 2**32:  # NumPy's frozen stream has no more
            raise ValueError(f"seed must be below 2**32, got {value}")
    elif option == "kind":
        if not isinstance(value, str):
            raise TypeError(f"kind must be a str, got {value!r}")
    elif option == "colour":
        if not isinstance(value, bool):
            raise TypeError(f"colour must be True or False, got {value!r}")
    elif option == "path":
        if not isinstance(value, str | Path | None):
            raise TypeError(f"path must be a str or a Path, got {value!r}")
    else:  # a size, or a number of examples
        check_whole(option, value)
