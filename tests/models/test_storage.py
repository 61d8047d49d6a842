"""A model's file: whole or not at all, never a pickle, and its distortion asked for if unknown."""

import os
import pickle

import pytest
import safetensors.torch
import torch

from tests.models.contract import same_state
from vae_course import models
from vae_course.models import VAE

DIGIT = (1, 8, 8)
X = torch.rand(6, *DIGIT, generator=torch.Generator().manual_seed(1))
EPS = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))


def test_a_save_killed_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    old = VAE.mlp(DIGIT, d=3, seed=0)
    old.save(path)

    def no_space(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="no space"):
        VAE.mlp(DIGIT, d=3, seed=1).save(path)
    assert same_state(models.load(path), old)
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_a_file_that_begins_as_a_pickle_does_is_told_from_one(tmp_path, monkeypatch):
    """The first byte is that of the header's length: each image axis makes it 3 bytes longer."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    path = tmp_path / "model.safetensors"
    for axes in range(1, 100, 2):
        model = VAE.mlp((1,) * axes, d=1, hidden=())
        model.save(path)
        assert same_state(models.load(path), model)
        if path.read_bytes()[:1] == pickle.dumps(model.config)[:1]:
            return
    pytest.fail("no file began with a pickle's first byte")


@pytest.mark.parametrize(
    "write", [torch.save, lambda obj, path: path.write_bytes(pickle.dumps(obj))]
)
def test_a_pickle_is_refused_unread(write, tmp_path):
    path = tmp_path / "model.pt"
    write(VAE.mlp(DIGIT, d=3).state_dict(), path)
    with pytest.raises(ValueError, match=r"model\.pt' is a pickle.*weights_only=True.*save"):
        models.load(path)


def test_a_damaged_or_foreign_file_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "model.safetensors"
    VAE.mlp(DIGIT, d=3).save(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"model\.safetensors' is not .* or is damaged.*save"):
        models.load(path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="is not a model saved by vae_course"):
        models.load(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        models.load(tmp_path / "absent")


def absolute_error(x, output):
    return (x - output).abs().flatten(1).sum(1)


def test_a_distortion_of_your_own_is_asked_for_again_at_loading(tmp_path):
    path = tmp_path / "model.safetensors"
    model = VAE.mlp(DIGIT, d=3, distortion=absolute_error)
    model.save(path)
    with pytest.raises(ValueError, match=r"load\(path, distortion=\.\.\.\)"):
        models.load(path)
    again = models.load(path, distortion=absolute_error)
    assert torch.equal(again.loss_terms(X, EPS).loss, model.loss_terms(X, EPS).loss)
    VAE.mlp(DIGIT, d=3).save(path)
    with pytest.raises(ValueError, match="'squared_error': leave out"):
        models.load(path, distortion=absolute_error)
