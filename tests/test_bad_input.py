"""What is wrong with an argument is said by name, with the remedy, before anything is computed."""

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vae_course
from tests.surface import ENTRIES, OTHERS, PACKAGES, Entry


def spoilings(good: Tensor) -> Iterator[tuple[str, Any]]:
    """Everything but the argument that was meant, with a word for it."""
    yield "none", None
    yield "word", "mu"
    yield "number", 0.5
    yield "list", good.tolist()
    yield "numpy", good.numpy()
    yield "whole", good.long()
    yield "bool", good > 0
    yield "complex", good.to(torch.complex64)
    yield "elsewhere", good.to("meta")
    for word, number in (("nan", torch.nan), ("inf", torch.inf)):
        bad = good.clone()
        bad.view(-1)[0] = number
        yield word, bad
    if good.ndim:
        yield "scalar", good.flatten()[0]
        yield "narrower", good[..., :-1]
        yield "wider", torch.cat([good, good[..., :1]], -1)
        yield "empty", good[..., :0]
        yield "no rows", good[:0]
        yield "one row", good[:1]
    if good.ndim > 1:
        yield "fewer axes", good[0]
    yield "wider batch", good.expand(2, *good.shape)
    yield "another rank", good.expand(1, 1, *good.shape)


LIBRARY = Path(vae_course.__file__).parent
# More axes in front, or a batch of none: a batch like others to some, a mistake to others.
EITHER = "no rows", "wider batch", "another rank"
pytestmark = pytest.mark.usefixtures("unchecked")
CASES = [
    pytest.param(entry, argument, word, bad, id=f"{entry.name}-{number}-{argument}-{word}")
    for number, entry in enumerate(ENTRIES)
    for argument, good in entry.tensors.items()
    for word, bad in spoilings(good)
    # Alone, a tensor is where it is.
    if word != "elsewhere" or len(entry.tensors) > 1
]


def tensors(result: Any) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, float):
        yield torch.tensor(result)
    elif isinstance(result, tuple | list):
        for part in result:
            yield from tensors(part)


def test_every_public_name_is_in_the_list():
    for name, package in PACKAGES.items():
        called = {e.name.split(".")[1] for e in ENTRIES if e.name.startswith(f"{name}.")}
        others = set(OTHERS[name].split())
        assert called | others == set(package.__all__), name


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_good_arguments_are_taken(entry: Entry):
    for value in tensors(entry()):
        assert value.isfinite().all()


@pytest.mark.parametrize("entry, argument, word, bad", CASES)
def test_a_bad_argument_is_named(entry: Entry, argument: str, word: str, bad: Any):
    said = f"{argument}: {word}"
    try:
        result = entry(**{argument: bad})
    except (TypeError, ValueError) as error:
        assert said not in entry.passes | entry.takes or word in EITHER, f"refused: {error}"
        assert re.search(rf"\b{argument}\b", str(error)), f"doesn't name it: {error}"
        where = traceback.extract_tb(error.__traceback__)[-1].filename
        assert Path(where).is_relative_to(LIBRARY), f"not the library's own error: {error}"
        return
    finite = all(value.isfinite().all() for value in tensors(result))
    if said in entry.passes:
        assert not finite, "it went lost"
    else:
        assert said in entry.takes or word in EITHER, "it was taken"
        assert finite
