"""Runs over workers: each is its run alone, and whoever is killed, what was finished stays."""

import os
import signal

import numpy as np
import pytest
import torch

from tests.training.grid import (
    BETAS,
    CONFIG,
    OPTIONS,
    SEEDS,
    X,
    alone,
    assert_equal,
    files,
    swept,
)
from tests.training.small import weights
from vae_course.models import VAE, Autoencoder
from vae_course.training import (
    NonFiniteLossError,
    Sweep,
    WorkerKilledError,
    fit,
    worker_runs as runs,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return swept(folder), folder


# --- the same numbers ---------------------------------------------------------------------------


def test_each_run_is_its_fit_alone_bit_for_bit(undisturbed):
    result, folder = undisturbed
    assert isinstance(result, Sweep) and len(files(folder)) == 6
    assert result.history.loss.shape == (24, 2, 3)
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


def test_the_bar_counts_runs_and_starts_at_those_that_are_there(tmp_path, capsys):
    alone(tmp_path, progress=True, steps=2, seeds=(0,))
    assert "1/1" in capsys.readouterr().err
    alone(tmp_path, progress=True, steps=2, seeds=(0, 5))
    shown = capsys.readouterr().err
    assert "2/2" in shown and "run" in shown and "1/2" in shown
    alone(tmp_path, steps=2, seeds=(0, 5))
    assert capsys.readouterr().err == ""


# --- where it stops ------------------------------------------------------------------------------


def test_diverging_runs_are_named_and_the_others_kept(tmp_path):
    def build(beta, seed, **config):
        model = VAE.mlp(**config, beta=beta, seed=seed)
        if seed == 5:
            model.decoder[-2].bias.data += 1e30
        return model

    message = r"2 of 6 runs failed.*beta=0\.03, seed=5: loss inf at step 0.*beta=0\.3, seed=5"
    with pytest.raises(NonFiniteLossError, match=message):
        swept(tmp_path, build, workers=1, steps=5)
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


@pytest.mark.timeout(600)
def test_a_killed_worker_costs_only_the_runs_in_flight(undisturbed, tmp_path, monkeypatch):
    """One run kills its own process at step 12, in each of its first two tries."""

    def build(beta, seed, **config):
        model, calls = VAE.mlp(**config, beta=beta, seed=seed), []

        def die(*_):
            calls.append(0)
            deaths = len(list(tmp_path.glob("death*")))
            if len(calls) == 12 and deaths < 2:
                (tmp_path / f"death{deaths}").touch()
                os.kill(os.getpid(), signal.SIGKILL)

        if (beta, seed) == (0.3, 5):
            model.encoder.register_forward_hook(die)
        return model

    # After the first death the call goes on, with new workers; the second is one too many.
    monkeypatch.setattr(runs, "RESTARTS", 1)
    with pytest.raises(WorkerKilledError, match=r"2 times in .*; [345] of 6 runs are .*call again"):
        swept(tmp_path, build)
    assert len(list(tmp_path.glob("death*"))) == 2
    kept = files(tmp_path)
    assert len(kept) >= 3  # of the four begun before it, at most one other was in flight
    result = swept(tmp_path, build, workers=1)  # and a call with other workers finishes the rest
    assert kept.items() <= files(tmp_path).items() and len(files(tmp_path)) == 6
    assert_equal(result, undisturbed[0])
