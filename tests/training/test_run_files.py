"""A run's file: named by whatever changes its numbers, and done again where it is damaged."""

import json
import pickle

import pytest
import torch
from safetensors import safe_open
from torch import nn

from tests.training.grid import CONFIG, X, alone, assert_equal, files
from vae_course.models import VAE
from vae_course.training import Plan, run_files, worker_runs


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One run, and its file."""
    folder = tmp_path_factory.mktemp("single")
    result = alone(folder)
    (path,) = folder.glob("*.safetensors")
    return result, path


class Bomb:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "header", "empty", "pickle", "foreign"])
def test_a_damaged_file_is_reported_and_its_run_done_again(damage, single, tmp_path, capsys):
    first, whole = single
    path, good = tmp_path / whole.name, whole.read_bytes()
    alone(tmp_path / "other", seeds=(6,), steps=2)
    (other,) = (tmp_path / "other").glob("*.safetensors")
    flipped, header = bytearray(good), bytearray(good)
    flipped[-100] ^= 1  # one bit of one number: the format itself would not notice
    header[good.index(b'"history.loss"') + 10] ^= 1  # another name for that curve
    bad = {
        "truncated": good[: len(good) // 2],
        "flipped": flipped,
        "header": header,
        "empty": b"",
        "pickle": pickle.dumps(Bomb()),
        "foreign": other.read_bytes(),
    }
    path.write_bytes(bad[damage])
    with pytest.warns(UserWarning, match=r"\(beta=0\.3, seed=5\) is damaged .* done again"):
        again = alone(tmp_path)
    assert_equal(again, first)
    assert path.read_bytes()[-1000:] == good[-1000:] and "ran" not in capsys.readouterr().out


def city_block(x, output):
    return (x - output).abs().flatten(1).sum(1)


def with_loss(distortion):
    return lambda **config: VAE.mlp(**config, distortion=distortion)


def own_network(activation):
    def build(image_shape, d, hidden, beta, seed):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(1), nn.Linear(64, 8), activation(), nn.Linear(8, 4))
        decoder = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))
        return VAE(encoder, decoder, image_shape=image_shape, d=d, beta=beta)

    return build


def shifted(**config):
    model = VAE.mlp(**config)
    model.decoder[0].bias.data += 0.5
    return model


OTHER = X.clone()
OTHER[7, 0, 3, 3] += 2**-20


@pytest.mark.parametrize(
    "one, other",
    [
        ({}, dict(lr=1e-3)),
        ({}, dict(steps=61)),
        ({}, dict(seeds=(6,))),
        ({}, dict(betas=(0.1,))),
        ({}, dict(schedule="cosine", clip=1.0)),
        ({}, dict(data=OTHER)),
        ({}, dict(data=X.double())),
        ({}, dict(build=shifted)),
        ({}, dict(build=lambda **config: VAE.mlp(**config).double())),
        ({}, dict(build=lambda **config: VAE.mlp(**config, pull=False))),
        (dict(build=own_network(nn.Tanh)), dict(build=own_network(nn.ReLU))),
        (
            dict(build=with_loss(city_block)),
            dict(build=with_loss(lambda x, output: 2 * city_block(x, output))),
        ),
    ],
)
def test_whatever_changes_the_numbers_is_another_run(one, other, tmp_path):
    alone(tmp_path, **dict(steps=2) | one)
    alone(tmp_path, **dict(steps=2) | other)
    assert len(files(tmp_path)) == 2


def test_what_changes_no_number_is_the_same_run(tmp_path):
    alone(tmp_path)
    before = files(tmp_path)
    alone(tmp_path, progress=True, checkpoint_every=7, workers=2)
    alone(tmp_path, data=type("Data", (), {"train": X})())
    assert files(tmp_path) == before


def test_another_library_is_another_run_and_a_worker_that_has_it_refuses(tmp_path, monkeypatch):
    alone(tmp_path)
    monkeypatch.setattr(run_files, "SOURCE", "0" * 64)
    alone(tmp_path)
    assert len(files(tmp_path)) == 2
    theirs = run_files.Run(VAE.mlp(**CONFIG), 0, "theirs", {"source": "1" * 64}, tmp_path)
    with pytest.raises(RuntimeError, match="another version of vae_course"):
        worker_runs._train(0, theirs, X.numpy(), plan=Plan(1), device=None, driver=0)


def test_a_file_tells_what_it_holds(single):
    with safe_open(single[1], framework="pt") as file:
        record = json.loads(file.metadata()["run"])
        assert {"history.loss", "model.beta"} <= set(file.keys())
    assert record["fit"]["steps"] == 24 and record["model"]["network"] == "mlp"
    assert (record["model"]["beta"], record["seed"]) == (0.3, 5)
    assert record["source"] == run_files.SOURCE
