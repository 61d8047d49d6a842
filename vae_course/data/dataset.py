"""What every data set is: images, labels, origin and licence."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Int64, Shaped
from torch import Tensor


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
        Photographs and patches of them need equal JPEG decoders too: Pillow's wheels share
        libjpeg-turbo.
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
