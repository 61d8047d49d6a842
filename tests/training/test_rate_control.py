"""A rate as the target: it is reached, by the formula, and to the bit by a resumed run."""

import math
import signal

import numpy as np
import pytest
import torch

from tests.training.small import DIGITS, QUICK, STEPS, X, small, weights
from vae_course import files
from vae_course.files import CheckpointError
from vae_course.models import VAE, Autoencoder, SphericalVAE
from vae_course.training import fit
from vae_course.training.plan import one_cycle


@torch.no_grad()
def rate_of(model):
    noise = model.draw_noise(len(DIGITS), torch.Generator().manual_seed(0))
    return model.loss_terms(DIGITS, noise).rate.mean().item()


@pytest.mark.parametrize(
    "target, beta, seed", [(3.0, 0.1, 0), (3.0, 1.0, 1), (8.0, 0.3, 0), (8.0, 0.03, 1)]
)
def test_a_target_rate_is_reached_from_above_and_below_the_right_price(target, beta, seed):
    """Within 5 %, over all images, and the shown price is the one in the loss."""
    model = VAE.mlp((1, 8, 8), d=6, hidden=(48,), beta=beta, seed=seed)
    options = dict(steps=400, lr=4e-3, target_rate=target, seed=seed, progress=False)
    history = fit(model, DIGITS, **options)
    assert rate_of(model) == pytest.approx(target, rel=0.05)
    price = (history.loss - history.distortion) / history.rate
    assert price[0] == pytest.approx(beta, rel=1e-3)  # a small difference, in float32
    assert price[-1] == pytest.approx(model.beta.item(), rel=0.02)
    assert 0.05 < model.beta < 0.5  # where both targets lie, seen from wherever it started


def test_a_spherical_vae_reaches_its_target_too():
    model = SphericalVAE.mlp((1, 8, 8), d=5, hidden=(48,), family="cauchy", beta=1.0)
    fit(model, DIGITS, steps=400, target_rate=3.0, progress=False)
    assert rate_of(model) == pytest.approx(3.0, rel=0.05)


def controlled(**arguments):
    model = small(beta=0.5)
    history = fit(model, X, **QUICK | dict(target_rate=2.0) | arguments)
    return model.state_dict(), history


@pytest.fixture(scope="module")
def whole():
    return controlled()


def test_the_controller_is_the_formula_of_its_docstring(whole):
    """In plain numbers: the logarithm of beta, from the history of the rates alone."""
    history = whole[1]
    price = (history.loss - history.distortion) / history.rate
    log_beta, mean, last = math.log(0.5), history.rate[0].item(), None
    for t, rate in enumerate(history.rate.tolist()):
        assert price[t] == pytest.approx(math.exp(log_beta), rel=2e-3)
        mean = 0.9 * mean + 0.1 * rate
        error = min(max((mean - 2.0) / 2.0, -1), 1)
        last = error if last is None else last
        log_beta += 0.1 * one_cycle(t, STEPS) * error + 1.5 * (error - last)
        last = error


def test_a_controlled_run_is_one_sequence_of_numbers_and_resumes_to_the_bit(whole, tmp_path):
    again, _ = controlled()
    other, _ = controlled(target_rate=1.0)
    stopped, calls = small(beta=0.5), iter(range(1, 1000))
    stopped.encoder.register_forward_hook(
        lambda *_: signal.raise_signal(signal.SIGINT) if next(calls) == 15 else None
    )
    path, file = tmp_path / "run", dict(checkpoint=tmp_path / "run", checkpoint_every=10)
    with pytest.raises(KeyboardInterrupt, match=f"after step 15 of {STEPS}"):
        fit(stopped, X, target_rate=2.0, **QUICK, **file)
    assert files.load(path)["step"] == 15 and files.load(path)["model"]["beta"] != 0.5
    resumed, history = controlled(**file)
    assert np.array_equal(history.loss, whole[1].loss)
    for name, value in whole[0].items():
        assert torch.equal(value, again[name]) and torch.equal(value, resumed[name])
    assert whole[0]["beta"] != 0.5 and not torch.equal(whole[0]["beta"], other["beta"])
    with pytest.raises(CheckpointError, match=r"target_rate: 2\.0 in the file, 1\.0 now"):
        controlled(target_rate=1.0, **file)
    with pytest.raises(CheckpointError, match=r"target_rate: 2\.0 in the file, None now"):
        controlled(target_rate=None, **file)


def test_without_a_target_beta_stays():
    state, _ = controlled(target_rate=None)
    assert state["beta"] == 0.5


def test_a_rate_far_above_its_target_moves_beta_in_small_steps():
    model = small(beta=0.1)
    model.encoder[-1].bias.data[:2] = 30.0  # a rate of about 900 nats, 10^5 times the target
    history = fit(model, X, target_rate=0.01, **QUICK)
    price = np.log((history.loss - history.distortion) / history.rate)
    assert np.diff(price).max() < 0.11  # SPEED, and rounding; no NaN


@pytest.mark.parametrize(
    "model, target, message",
    [
        (small(), 0.0, r"target_rate=0\.0: must be positive and finite"),
        (small(beta=0.0), 1.0, "beta starts at 0 .* 0.1 is a good start"),
        (Autoencoder.mlp((1, 8, 8), d=2), 1.0, "a Autoencoder has no buffer 'beta'.*SphericalVAE"),
    ],
)
def test_a_target_that_can_not_be_met_is_refused(model, target, message):
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        fit(model, X, target_rate=target, **QUICK)
    assert torch.equal(weights(model), before)
