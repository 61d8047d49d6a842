"""A model's file: whole or not at all, never a pickle, and its distortion asked for if unknown."""

import json
import math
import os
import pickle
import resource

import pytest
import safetensors.torch
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models.contract import same_state
from vae_course import models
from vae_course.models import VAE, VQVAE, SphericalVAE

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
    with pytest.raises(ValueError, match=r"model\.safetensors' is not .* or was damaged.*save"):
        models.load(path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="is not a model saved by vae_course"):
        models.load(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        models.load(tmp_path / "absent")


def rewrite(path, change=lambda config: config, **tensors):
    """The file with another config, and tensors in place of or beside its own; None takes one."""
    with safetensors.safe_open(path, framework="pt") as file:
        config = json.loads(file.metadata()["vae_course"])
        weights = {name: file.get_tensor(name) for name in file.keys()} | tensors
    weights = {name: tensor for name, tensor in weights.items() if tensor is not None}
    text = json.dumps(change(config))
    safetensors.torch.save_file(weights, path, {"vae_course": text})


CONFIGS = {
    "a list": lambda config: [config],
    "no model": lambda config: {k: v for k, v in config.items() if k != "model"},
    "another model": lambda config: config | {"model": "Path"},
    "a model that is a list": lambda config: config | {"model": ["VAE"]},
    "another method": lambda config: config | {"network": "load_state_dict"},
    "an unknown key": lambda config: config | {"colour": 3},
    "a wrong type": lambda config: config | {"d": "3"},
    "none": lambda config: config | {"hidden": None},
    "nested": lambda config: config | {"hidden": [[16]]},
    "a half": lambda config: config | {"d": 2.5},
    "negative": lambda config: config | {"d": -3},
    "zero": lambda config: config | {"hidden": [0]},
    "large": lambda config: config | {"d": 10**9},
    "too large for 64 bits": lambda config: config | {"d": 10**30},
    "large images": lambda config: config | {"image_shape": [1, 10**9, 10**9]},
    "wider": lambda config: config | {"hidden": [17]},
    "deep": lambda config: config | {"hidden": [1] * 20_000},
    "deeper": lambda config: config | {"hidden": [16] * 3},
    "another activation": lambda config: config | {"activation": "sin"},
    "another distortion": lambda config: config | {"distortion": 3},
    "a seed": lambda config: config | {"seed": "x"},
    "a beta": lambda config: config | {"beta": -1.0},
    "an infinite beta": lambda config: config | {"beta": math.inf},
}


REFUSED = r"model\.safetensors' is not .*save\(path\)"


class Allocated(TorchDispatchMode):
    """Notes the most elements of any tensor made on the CPU, and how many steps were taken."""

    most, steps = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.steps += 1
        if isinstance(out, torch.Tensor) and out.device.type == "cpu":
            self.most = max(self.most, out.numel())
        return out


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_that_is_not_the_weights_is_refused_before_anything_is_built(
    unchecked, kind, tmp_path
):
    path = tmp_path / "model.safetensors"
    VAE.mlp(DIGIT, d=3, hidden=(16,)).save(path)
    rewrite(path, CONFIGS[kind])
    with (
        Allocated() as seen,
        pytest.raises(ValueError, match=REFUSED),
    ):
        models.load(path)
    assert seen.most <= 64 * 16 and seen.steps < 1000  # its largest matrix, and few layers


@pytest.mark.parametrize("kind", [VQVAE, SphericalVAE], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", ["d", "num_codes", "slots", "family", "revive", "decay"])
def test_no_other_model_takes_such_sizes_or_words_either(unchecked, kind, name, tmp_path):
    path = tmp_path / "model.safetensors"
    kind.mlp(DIGIT, d=3, hidden=(16,)).save(path)
    rewrite(path, lambda config: config | {name: 10**9 if name != "revive" else -1})
    with (
        Allocated() as seen,
        pytest.raises(ValueError, match=REFUSED),
    ):
        models.load(path)
    assert seen.most <= 64 * 16


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda w: w.long(), "holds I64, and should hold torch.float32"),
        (lambda w: w > 0, "holds BOOL"),
        (lambda w: w.to(torch.complex64), "holds C64"),
        (lambda w: w * math.nan, "NaN or infinite"),
        (lambda w: w / 0, "NaN or infinite"),
        (lambda w: w[:-1].clone(), r"is \[15, 64\], by its config \[16, 64\]"),
        (lambda w: None, r"missing \(encoder.1.weight\) or foreign to its config \(none\)"),
    ],
)
def test_weights_of_another_kind_or_shape_are_refused(change, message, tmp_path):
    path, model = tmp_path / "model.safetensors", VAE.mlp(DIGIT, d=3, hidden=(16,))
    model.save(path)
    name = "encoder.1.weight"
    rewrite(path, **{name: change(model.state_dict()[name])})
    with pytest.raises(ValueError, match=rf"model\.safetensors' .*{message}.*save\(path\)"):
        models.load(path)


def test_a_foreign_tensor_a_negative_beta_and_counts_that_are_no_counts_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for model, tensors, message in (
        (VAE, {"more": torch.zeros(2)}, r"foreign to its config \(more\)"),
        (VAE, {"beta": torch.tensor(-1.0)}, "its beta is -1"),
        (VQVAE, {"quantizer.idle": torch.zeros(64)}, "idle holds F32, and should hold torch.int64"),
    ):
        model.mlp(DIGIT, d=3).save(path)
        rewrite(path, **tensors)
        with pytest.raises(ValueError, match=message):
            models.load(path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_another_precision_are_taken_as_before(dtype, tmp_path):
    path = tmp_path / "model.safetensors"
    model = VAE.mlp(DIGIT, d=3)
    model.to(dtype).save(path)
    assert same_state(models.load(path), model.float())


def test_a_model_of_few_weights_and_many_levels_comes_back(tmp_path):
    path = tmp_path / "model.safetensors"
    model = VQVAE.mlp((1, 1, 1), d=1, hidden=(), levels=(5000,))
    model.save(path)
    assert same_state(models.load(path), model)


def test_a_disk_that_refuses_is_said_with_the_file_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "model.safetensors"
    old = VAE.mlp(DIGIT, d=3, hidden=())
    old.save(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"model\.safetensors' can't be written .*ulimit"):
            VAE.mlp(DIGIT, d=3).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same_state(models.load(path), old) and os.listdir(tmp_path) == [path.name]


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
