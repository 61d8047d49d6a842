"""MOSES: drug-like molecules as rows of tokens, in part and whole."""

from pathlib import Path

from torch import Tensor

from vae_course.data import embedded, remote
from vae_course.data.dataset import Dataset
from vae_course.data.tokens import Vocabulary

LENGTH = 32  # tokens in a row: the longest string of the whole set takes 31, and an end


def moses_small() -> Dataset:
    arrays = embedded.read("moses_small")
    vocabulary = Vocabulary(str(arrays["vocabulary"]).split("\n"))
    parts = {k: vocabulary.rows(arrays[k], LENGTH) for k in ("train", "test")}
    return _molecules("moses_small", vocabulary, **parts)


def moses(path: str | Path | None = None) -> Dataset:
    # The embedded set's vocabulary, so that a model of one reads the other.
    vocabulary = Vocabulary(str(embedded.read("moses_small")["vocabulary"]).split("\n"))
    texts = {part: c.decode().split()[1:] for part, c in remote.fetch("moses", path).items()}
    parts = {part: vocabulary.encode(text, LENGTH) for part, text in texts.items()}
    return _molecules("moses", vocabulary, **parts)


def _molecules(name: str, vocabulary: Vocabulary, **parts: Tensor) -> Dataset:
    return Dataset(
        name=name,
        train=parts["train"],
        test=parts["test"],
        train_labels=None,
        test_labels=None,
        image_shape=(LENGTH,),
        source="D. Polykovskiy et al., Molecular Sets (MOSES), Frontiers in Pharmacology 2020"
        + (", a subset" if name == "moses_small" else ""),
        licence="MIT, © 2018 Insilico Medicine, Inc",
        meta={"vocabulary": vocabulary.tokens},
    )
