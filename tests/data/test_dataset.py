"""What every data set promises: it can't be rebound, and its checksum sees what matters."""

import dataclasses

import pytest
import torch

from vae_course.data import Dataset, load


def test_a_dataset_cannot_be_rebound(loaded):
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded("digits").train = loaded("digits").test


def test_loading_twice_shares_no_memory(loaded):
    again = load("digits")
    again.train.zero_()
    assert loaded("digits").checksum == load("digits").checksum != again.checksum


def tiny(train, test, labels=(0, 1)) -> Dataset:
    tags = None if labels is None else torch.tensor(labels)
    return Dataset("tiny", train, test, tags, tags, train.shape[1:], "made here", "MIT")


def test_checksum_sees_one_grey_level_a_label_and_the_shape_but_not_the_last_bit():
    x = torch.arange(8, dtype=torch.float32).reshape(2, 4) / 255
    base = tiny(x, x).checksum
    one_level, last_bit = x.clone(), torch.nextafter(x, x + 1)
    one_level[1, 3] += 1 / 255
    assert tiny(last_bit, x).checksum == base
    others = [
        tiny(one_level, x).checksum,
        tiny(x, one_level).checksum,
        tiny(x, x, (0, 2)).checksum,
        tiny(x, x, None).checksum,
        tiny(x.reshape(2, 2, 2), x.reshape(2, 2, 2)).checksum,
    ]
    assert len({base, *others}) == 6
