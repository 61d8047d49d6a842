"""Runs over workers: each is its run alone, and whoever is killed, what was finished stays."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from safetensors import safe_open
from sklearn.datasets import load_digits
from torch import nn

from vae_course.models import VAE, Autoencoder
from vae_course.training import (
    NonFiniteLossError,
    Plan,
    Sweep,
    WorkerKilledError,
    fit,
    run_files,
    sweep,
    worker_runs as runs,
)

X = torch.tensor(load_digits().images[:400] / 16, dtype=torch.float32)[:, None]
CONFIG = dict(image_shape=(1, 8, 8), d=2, hidden=(32,))
OPTIONS = dict(steps=60, batch_size=32, progress=False)
BETAS, SEEDS = (0.03, 0.3), (0, 5, 6)


def swept(folder, build=VAE.mlp, data=X, **changes):
    arguments = dict(betas=BETAS, seeds=SEEDS, workers=2, folder=folder) | OPTIONS | changes
    return sweep(build, CONFIG, data, **arguments)


def alone(folder, **changes):
    """A sweep of one run, in this very process."""
    return swept(folder, **dict(betas=(0.3,), seeds=(5,), workers=1) | changes)


def weights(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def files(folder):
    """Each result file with what changes when it is written again."""
    return {path.name: path.stat().st_ino for path in folder.glob("*.safetensors")}


def assert_equal(one, other):
    assert np.array_equal(one.history.loss, other.history.loss)
    assert np.array_equal(one.history.rate, other.history.rate)
    for ours, theirs in zip(sum(one.members, []), sum(other.members, []), strict=True):
        assert torch.equal(weights(ours), weights(theirs))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return swept(folder), folder


# --- the same numbers ---------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_each_run_is_its_fit_alone_bit_for_bit(undisturbed):
    result, folder = undisturbed
    assert isinstance(result, Sweep) and len(files(folder)) == 6
    assert result.history.loss.shape == (60, 2, 3)
    for i, beta in enumerate(BETAS):
        for j, seed in enumerate(SEEDS):
            model = VAE.mlp(**CONFIG, beta=beta, seed=seed)
            history = fit(model, X, seed=seed, **OPTIONS)
            member = result.member(beta, seed)
            assert torch.equal(weights(member), weights(model)) and not member.training
            for curve in ("loss", "distortion", "rate"):
                ours = getattr(result.history, curve)[:, i, j]
                assert np.array_equal(ours, getattr(history, curve))


def test_workers_and_the_ensemble_give_one_sweep(undisturbed):
    ours, ensemble = undisturbed[0], swept(None, workers=None)
    assert (ours.betas, ours.seeds) == (ensemble.betas, ensemble.seeds)
    for code, other in zip(ours.encode(X[:9]), ensemble.encode(X[:9]), strict=True):
        # the ensemble sums in another order: 1e-5 is its own bound, see test_sweep.py
        torch.testing.assert_close(code, other, rtol=0.0, atol=1e-5)


def test_a_second_call_reads_and_runs_nothing(undisturbed, monkeypatch):
    result, folder = undisturbed
    before = files(folder)
    monkeypatch.setattr(runs, "_train", lambda *_, **__: pytest.fail("a run"))
    assert_equal(swept(folder), result)
    assert files(folder) == before


def test_large_data_reach_the_workers_unchanged(tmp_path):
    """Beyond a megabyte joblib hands out a memory map in place of a copy."""
    data = X.repeat(12, 1, 1, 1)
    assert data.nbytes > 2**20
    result = swept(tmp_path, data=data, betas=(0.3,), seeds=(0, 5))
    model = VAE.mlp(**CONFIG, beta=0.3, seed=5)
    fit(model, data, seed=5, **OPTIONS)
    assert torch.equal(weights(result.member(0.3, 5)), weights(model))


def test_autoencoders_run_over_seeds_alone(tmp_path):
    result = alone(tmp_path, build=Autoencoder.mlp, betas=None)
    assert result.encode(X[:7]).shape == (1, 1, 7, 2)


def test_threads_and_global_randomness_stay_as_they_are(tmp_path):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        alone(tmp_path)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_bar_counts_runs_and_starts_at_those_that_are_there(tmp_path, capsys):
    alone(tmp_path, progress=True, seeds=(0,))
    assert "1/1" in capsys.readouterr().err
    alone(tmp_path, progress=True, seeds=(0, 5))
    shown = capsys.readouterr().err
    assert "2/2" in shown and "run" in shown and "1/2" in shown
    alone(tmp_path, seeds=(0, 5))
    assert capsys.readouterr().err == ""


# --- killed -------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_a_killed_worker_costs_only_the_runs_in_flight(undisturbed, tmp_path, monkeypatch):
    """One run kills its own process at step 30, in each of its first two tries."""

    def build(beta, seed, **config):
        model, calls = VAE.mlp(**config, beta=beta, seed=seed), []

        def die(*_):
            calls.append(0)
            deaths = len(list(tmp_path.glob("death*")))
            if len(calls) == 30 and deaths < 2:
                (tmp_path / f"death{deaths}").touch()
                os.kill(os.getpid(), signal.SIGKILL)

        if (beta, seed) == (0.3, 5):
            model.encoder.register_forward_hook(die)
        return model

    monkeypatch.setattr(runs, "RESTARTS", 0)
    with pytest.raises(WorkerKilledError, match=r"[345] of 6 runs are in .*call again"):
        swept(tmp_path, build)
    kept = files(tmp_path)
    assert len(kept) >= 3  # of the four begun before it, at most one other was in flight
    monkeypatch.setattr(runs, "RESTARTS", 3)
    result = swept(tmp_path, build)  # the second death is within this call, which goes on
    assert len(list(tmp_path.glob("death*"))) == 2
    assert kept.items() <= files(tmp_path).items() and len(files(tmp_path)) == 6
    assert_equal(result, undisturbed[0])


DRIVER = """
import sys, time, torch
from vae_course.models import VAE
from vae_course.training import sweep

def slow(**config):
    model = VAE.mlp(**config)
    model.encoder.register_forward_hook(lambda *_: time.sleep(0.02))
    return model

config = dict(image_shape=(1, 8, 8), d=2, hidden=(32,))
options = dict(steps=60, batch_size=32, progress=False, workers=2, folder=sys.argv[2])
sweep(slow, config, torch.load(sys.argv[1]), betas=(0.03, 0.3), seeds=(0, 5, 6), **options)
"""


@pytest.mark.timeout(120)
def test_a_killed_driver_costs_only_the_runs_in_flight_and_leaves_no_worker(undisturbed, tmp_path):
    torch.save(X, tmp_path / "data")
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "data"), str(tmp_path)]
    driver = subprocess.Popen(command)
    while driver.poll() is None and len(files(tmp_path)) < 2:
        time.sleep(0.02)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    assert len(children) >= 2  # two workers (and loky's own helpers)
    deadline = time.monotonic() + 20
    while alive := [p for p in children if p.is_running() and p.status() != "zombie"]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.1)
    kept = files(tmp_path)
    assert 2 <= len(kept) < 6
    result = swept(tmp_path)
    assert kept.items() <= files(tmp_path).items() and len(files(tmp_path)) == 6
    assert_equal(result, undisturbed[0])


# --- damaged, and other runs --------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "header", "empty", "pickle", "foreign"])
def test_a_damaged_file_is_reported_and_its_run_done_again(damage, undisturbed, tmp_path, capsys):
    whole, folder = undisturbed
    first = alone(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    good = path.read_bytes()
    other = next(p for p in folder.glob("*.safetensors") if p.name != path.name)
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
        runs._train(0, theirs, X.numpy(), plan=Plan(1), device=None, driver=0)


def test_a_file_tells_what_it_holds(undisturbed):
    path = next(undisturbed[1].glob("*.safetensors"))
    with safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["run"])
        assert {"history.loss", "model.beta"} <= set(file.keys())
    assert record["fit"]["steps"] == 60 and record["model"]["network"] == "mlp"
    assert record["model"]["beta"] in BETAS and record["seed"] in SEEDS
    assert record["source"] == run_files.SOURCE


# --- where it stops -----------------------------------------------------------------------------


def test_diverging_runs_are_named_and_the_others_kept(tmp_path):
    def build(beta, seed, **config):
        model = VAE.mlp(**config, beta=beta, seed=seed)
        if seed == 5:
            model.decoder[-2].bias.data += 1e30
        return model

    message = r"2 of 6 runs failed.*beta=0\.03, seed=5: loss inf at step 0.*beta=0\.3, seed=5"
    with pytest.raises(NonFiniteLossError, match=message):
        swept(tmp_path, build)
    assert len(files(tmp_path)) == 4


def test_ctrl_c_says_how_far_it_came(tmp_path):
    def build(beta, seed, **config):
        model = VAE.mlp(**config, beta=beta, seed=seed)
        if seed == 5:
            model.encoder.register_forward_hook(lambda *_: signal.raise_signal(signal.SIGINT))
        return model

    with pytest.raises(KeyboardInterrupt, match=r"1 of 2 runs are in .*call again"):
        alone(tmp_path, build=build, seeds=(0, 5))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(workers=0), "workers=0"),
        (dict(workers=-2), "workers=-2"),
        (dict(folder=None), "workers=2, folder=None: give both"),
        (dict(workers=None), "workers=None, folder=.*: give both"),
        (dict(checkpoint="run"), "checkpoint='run'"),
        (dict(batch_size=401), "batch_size=401"),
        (dict(steps=0), "steps=0"),
        (dict(seeds=(1, 1)), r"seeds=\[1, 1\]"),
    ],
)
def test_bad_arguments_are_named(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        swept(**dict(folder=tmp_path) | change)
