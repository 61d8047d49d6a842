"""MOSES: every string survives its tokens, and the embedded molecules are of the whole set."""

import os
from pathlib import Path

import pytest
import torch

from vae_course.data import load
from vae_course.data.tokens import Vocabulary

REAL = os.environ.get("VAE_COURSE_DATA")


def test_every_string_of_moses_small_survives_its_tokens(loaded):
    data = loaded("moses_small")
    vocabulary = Vocabulary(data.meta["vocabulary"])
    for tokens in (data.train, data.test):
        strings = vocabulary.decode(tokens)
        assert len(set(strings)) == len(strings)
        assert torch.equal(vocabulary.encode(strings, tokens.shape[1]), tokens)


@pytest.mark.slow(
    reason="it encodes 1.7 million strings; the embedded ones are in the default suite"
)
def test_the_real_moses_is_whole_and_holds_the_embedded_molecules(loaded):
    if not REAL or not Path(REAL, "moses").is_dir():
        pytest.skip("VAE_COURSE_DATA names no folder with the real moses")
    whole, small = load("moses"), loaded("moses_small")
    assert (len(whole.train), len(whole.test)) == (1_584_663, 176_074)  # as published
    assert whole.meta == small.meta
    for part in ("train", "test"):
        rows = {row.tobytes() for row in getattr(whole, part).numpy()}
        assert all(row.tobytes() in rows for row in getattr(small, part).numpy())
