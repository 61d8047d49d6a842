"""The loop: the same numbers every time, whatever interrupts it; and it stops where it must."""

import math
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.testing import assert_close

from vae_course import files, training
from vae_course.files import CheckpointError
from vae_course.models import VAE, Autoencoder, SphericalVAE
from vae_course.training import NonFiniteLossError, fit
from vae_course.training.plan import SCHEDULES, one_cycle
from vae_course.training.state import Stream

X = torch.tensor(load_digits().images[:300] / 16, dtype=torch.float32)[:, None]
QUICK = dict(steps=60, batch_size=32, progress=False)


def small(**arguments):
    return VAE.mlp((1, 8, 8), d=2, hidden=(16,), **arguments)


def weights(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def trained(data=X, **arguments):
    model = small()
    history = fit(model, data, **QUICK | arguments)
    return weights(model), history


# --- one run is one sequence of numbers ---------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    assert torch.equal(trained(seed=1)[0], trained(seed=1)[0])
    assert not torch.equal(trained(seed=1)[0], trained(seed=2)[0])


def test_global_randomness_is_neither_read_nor_changed():
    torch.manual_seed(0)
    first, state = trained()[0], torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(trained()[0], first)
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_loop_is_plain_adam_on_shuffled_batches():
    """The oracle: a loop as in a textbook, with PyTorch's own schedule, over the same stream."""
    model, steps = small().double(), 40
    adam = torch.optim.Adam(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        adam, max_lr=3e-3, total_steps=steps, cycle_momentum=False
    )
    generator, losses = torch.Generator().manual_seed(4), []
    while len(losses) < steps:
        order = torch.randperm(300, generator=generator)
        for i in range(0, 300 - 31, 32):
            x = X[order[i : i + 32]].double()
            eps = torch.randn(32, 2, generator=generator, dtype=torch.float64)
            loss = model.loss_terms(x, eps).loss.mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            losses.append(loss.item())
            if len(losses) == steps:
                break
    ours = small().double()
    history = fit(ours, X, steps=steps, batch_size=32, lr=3e-3, seed=4, progress=False)
    assert_close(history.loss, np.array(losses), rtol=1e-10, atol=0.0)
    assert_close(weights(ours), weights(model), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("n", [9, 10, 11])  # a whole number of batches, one more, one short of it
def test_an_epoch_visits_each_image_at_most_once_and_leaves_out_less_than_a_batch(n):
    stream = Stream(seed=0, n=n, batch_size=3, device=torch.device("cpu"))
    epochs = [torch.cat([stream.batch() for _ in range(3)]) for _ in range(200)]
    assert all(len(epoch) == len(epoch.unique()) == 9 for epoch in epochs)
    visits = torch.cat(epochs).bincount(minlength=n)  # binomial(200, 9 / n)
    deviation = math.sqrt(200 * 9 / n * (1 - 9 / n))
    assert ((visits - 200 * 9 / n).abs() <= 4 * deviation).all()


@pytest.mark.parametrize("name, first, last", [("cosine", 1, 0), ("constant", 1, 1)])
def test_schedules_start_and_end_where_they_say(name, first, last):
    schedule = SCHEDULES[name]
    assert schedule(0, 1000) == first
    assert schedule(999, 1000) == pytest.approx(last, abs=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 1000])
def test_one_cycle_reaches_the_highest_rate_and_never_exceeds_it(steps):
    factors = [one_cycle(t, steps) for t in range(steps)]
    assert all(0 < f <= 1 for f in factors)
    assert max(factors) > 0.85


def test_uint8_images_train_like_the_same_floats():
    pixels = (X * 255).to(torch.uint8)
    assert torch.equal(trained(pixels)[0], trained(pixels.float() / 255)[0])


def test_a_data_set_trains_on_its_training_images():
    assert torch.equal(trained(SimpleNamespace(train=X, test=None))[0], trained(X)[0])


def test_history_is_every_steps_batch_mean_and_the_loss_its_sum():
    _, history = trained()
    assert history.step.tolist() == list(range(60))
    assert_close(
        history.loss, history.distortion + np.float32(0.1) * history.rate, rtol=1e-5, atol=0
    )
    assert history.loss[-10:].mean() < 0.8 * history.loss[:10].mean()


def test_fit_leaves_the_model_in_eval_mode_without_gradients():
    model = small().train()
    fit(model, X, **QUICK)
    assert not model.training and all(p.grad is None for p in model.parameters())


def test_bf16_computes_coarsely_but_keeps_float32_weights():
    exact, coarse = trained(), trained(precision="bf16")
    assert coarse[0].dtype == torch.float32 and not torch.equal(coarse[0], exact[0])
    # bfloat16 has 8 bits: 0.4 % a product, and the noise of the batches is the same
    assert_close(coarse[1].loss, exact[1].loss, rtol=0.02, atol=0.0)


def test_an_autoencoder_trains_in_the_same_loop():
    history = fit(Autoencoder.mlp((1, 8, 8), d=2), X, **QUICK)
    assert history.loss[-1] < history.loss[0] and (history.rate == 0).all()


@pytest.mark.parametrize("largest", [0.1, 1.0, 100.0])
def test_clipping_is_pytorchs(largest):
    ours, theirs = small(), small()
    for model in (ours, theirs):
        model.loss_terms(X, torch.zeros(300, 2)).loss.mean().backward()
    training.clip_gradients(list(ours.parameters()), largest)
    nn.utils.clip_grad_norm_(theirs.parameters(), largest)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad)


def test_frozen_weights_stay():
    model = small()
    model.encoder.requires_grad_(False)
    before = weights(model.encoder), weights(model.decoder)
    fit(model, X, **QUICK)
    assert torch.equal(weights(model.encoder), before[0])
    assert not torch.equal(weights(model.decoder), before[1])


def test_the_bar_shows_loss_rate_and_distortion(capsys):
    fit(small(), X, steps=100, batch_size=32)
    shown = capsys.readouterr().err
    assert "100/100" in shown and all(
        f"{name}=" in shown for name in ("loss", "distortion", "rate")
    )
    fit(small(), X, **QUICK)
    assert capsys.readouterr().err == ""


# --- a rate as the target -----------------------------------------------------------------------

DIGITS = torch.tensor(load_digits().images / 16, dtype=torch.float32)[:, None]


@torch.no_grad()
def rate_of(model):
    noise = model.draw_noise(len(DIGITS), torch.Generator().manual_seed(0))
    return model.loss_terms(DIGITS, noise).rate.mean().item()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "target, beta, seed", [(3.0, 0.1, 0), (3.0, 1.0, 1), (8.0, 0.3, 0), (8.0, 0.03, 1)]
)
def test_a_target_rate_is_reached_from_above_and_below_the_right_price(target, beta, seed):
    """Within 5 %, over all images, and the shown price is the one in the loss."""
    model = VAE.mlp((1, 8, 8), d=6, hidden=(48,), beta=beta, seed=seed)
    history = fit(model, DIGITS, steps=500, target_rate=target, seed=seed, progress=False)
    assert rate_of(model) == pytest.approx(target, rel=0.05)
    price = (history.loss - history.distortion) / history.rate
    assert price[0] == pytest.approx(beta, rel=1e-3)  # a small difference, in float32
    assert price[-1] == pytest.approx(model.beta.item(), rel=0.02)
    assert 0.05 < model.beta < 0.5  # where both targets lie, seen from wherever it started


@pytest.mark.timeout(300)
def test_a_spherical_vae_reaches_its_target_too():
    model = SphericalVAE.mlp((1, 8, 8), d=5, hidden=(48,), family="power", beta=1.0)
    fit(model, DIGITS, steps=400, target_rate=3.0, progress=False)
    assert rate_of(model) == pytest.approx(3.0, rel=0.05)


def controlled(**arguments):
    model = small(beta=0.5)
    history = fit(model, X, **QUICK | dict(target_rate=2.0) | arguments)
    return model.state_dict(), history


def test_the_controller_is_the_formula_of_its_docstring():
    """In plain numbers: the logarithm of beta, from the history of the rates alone."""
    _, history = controlled()
    price = (history.loss - history.distortion) / history.rate
    log_beta, mean, last = math.log(0.5), history.rate[0].item(), None
    for t, rate in enumerate(history.rate.tolist()):
        assert price[t] == pytest.approx(math.exp(log_beta), rel=2e-3)
        mean = 0.9 * mean + 0.1 * rate
        error = min(max((mean - 2.0) / 2.0, -1), 1)
        last = error if last is None else last
        log_beta += 0.1 * one_cycle(t, 60) * error + 1.5 * (error - last)
        last = error


def test_a_controlled_run_is_one_sequence_of_numbers_and_resumes_to_the_bit(tmp_path):
    whole, history = controlled()
    again, _ = controlled()
    other, _ = controlled(target_rate=1.0)
    stopped, calls = small(beta=0.5), 0

    def stop(*_):
        nonlocal calls
        calls += 1
        if calls == 37:
            signal.raise_signal(signal.SIGINT)

    stopped.encoder.register_forward_hook(stop)
    path, file = tmp_path / "run", dict(checkpoint=tmp_path / "run", checkpoint_every=25)
    with pytest.raises(KeyboardInterrupt, match="after step 37 of 60"):
        fit(stopped, X, target_rate=2.0, **QUICK, **file)
    assert files.load(path)["step"] == 37 and files.load(path)["model"]["beta"] != 0.5
    resumed, resumed_history = controlled(**file)
    assert np.array_equal(resumed_history.loss, history.loss)
    for name, value in whole.items():
        assert torch.equal(value, again[name]) and torch.equal(value, resumed[name])
    assert whole["beta"] != 0.5 and not torch.equal(whole["beta"], other["beta"])
    with pytest.raises(CheckpointError, match=r"target_rate: 2\.0 in the file, 1\.0 now"):
        controlled(target_rate=1.0, **file)
    with pytest.raises(CheckpointError, match=r"target_rate: 2\.0 in the file, None now"):
        controlled(target_rate=None, **file)


def test_without_a_target_beta_stays():
    model = small(beta=0.5)
    fit(model, X, **QUICK)
    assert model.beta == 0.5


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
        (small(), -1.0, r"target_rate=-1\.0"),
        (small(), math.nan, "target_rate=nan"),
        (small(), math.inf, "target_rate=inf"),
        (small(beta=0.0), 1.0, "beta starts at 0 .* 0.1 is a good start"),
        (Autoencoder.mlp((1, 8, 8), d=2), 1.0, "a Autoencoder has no buffer 'beta'.*SphericalVAE"),
    ],
)
def test_a_target_that_can_not_be_met_is_refused(model, target, message):
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        fit(model, X, target_rate=target, **QUICK)
    assert torch.equal(weights(model), before)


# --- interrupted and resumed --------------------------------------------------------------------

CHILD = """
import os, signal, sys, torch
from vae_course.models import VAE
from vae_course.training import fit

torch.set_num_threads(1)
data, path, how, where, when = sys.argv[1:]
model = VAE.mlp((1, 8, 8), d=2, hidden=(16,))
calls = 0

def die(*_):
    global calls
    calls += 1
    if calls == int(when):
        os.kill(os.getpid(), getattr(signal, how))

def half_written(state, file, save=torch.save):
    save(state, file)
    if calls + 1 == int(when):
        os.truncate(file, os.path.getsize(file) // 2)
    die()

if where == "write":
    torch.save = half_written
else:
    model.encoder.register_forward_hook(die)  # in the middle of a step
X = torch.load(data)
fit(model, X, steps=60, batch_size=32, checkpoint=path, checkpoint_every=25, progress=False)
"""


@pytest.mark.timeout(120)
def test_a_killed_run_resumes_to_the_very_weights_of_an_uninterrupted_one(tmp_path):
    torch.save(X, tmp_path / "data")
    cases = [  # signal, where and at which call it comes, the step that the file then holds
        ("SIGKILL", "step", 37, 25),
        ("SIGKILL", "write", 2, 25),  # the checkpoint of step 50 is cut off half-way
        ("SIGTERM", "step", 37, 37),
        ("SIGINT", "step", 44, 44),
    ]
    children = []
    for i, (how, where, when, _) in enumerate(cases):
        arguments = [str(tmp_path / "data"), str(tmp_path / str(i)), how, where, str(when)]
        command = [sys.executable, "-c", CHILD, *arguments]
        children.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    whole, history = trained()
    for i, (how, _, _, held) in enumerate(cases):
        errors = children[i].communicate(timeout=100)[1]
        assert files.load(tmp_path / str(i))["step"] == held, errors
        if how == "SIGKILL":
            assert children[i].returncode == -signal.SIGKILL
        else:
            assert f"KeyboardInterrupt: stopped by {how} after step {held} of 60" in errors
            assert "call again with the same arguments" in errors
        resumed, resumed_history = trained(checkpoint=tmp_path / str(i), checkpoint_every=25)
        assert torch.equal(resumed, whole)
        assert np.array_equal(resumed_history.loss, history.loss)
        assert np.array_equal(resumed_history.rate, history.rate)


def test_a_finished_checkpoint_returns_at_once(tmp_path, monkeypatch):
    path = tmp_path / "new" / "folder" / "run"
    first = trained(checkpoint=path)
    monkeypatch.setattr(VAE, "loss_terms", lambda *_: pytest.fail("one more step"))
    again = trained(checkpoint=path)
    assert torch.equal(again[0], first[0])
    assert np.array_equal(again[1].loss, first[1].loss)


@pytest.mark.parametrize(
    "change, named",
    [
        (dict(lr=1e-3), "lr: 0.002 in the file, 0.001 now"),
        (dict(steps=80), "steps: 60 in the file, 80 now"),
        (dict(seed=1), r"seeds: \[0\] in the file, \[1\] now"),
        (dict(data=X[:200]), "data: '[0-9a-f]{64}' in the file"),
        (dict(schedule="cosine", clip=1.0), "clip: None in .*; schedule: 'one_cycle' in"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_with_the_differences(change, named, tmp_path):
    trained(checkpoint=tmp_path / "run")
    with pytest.raises(CheckpointError, match=rf"run' belongs to another run \({named}.*delete"):
        trained(checkpoint=tmp_path / "run", **change)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    fit(small(beta=0.1), X, checkpoint=tmp_path / "run", **QUICK)
    with pytest.raises(CheckpointError, match=r"model: .*'beta': 0\.1.*'beta': 0\.2"):
        fit(small(beta=0.2), X, checkpoint=tmp_path / "run", **QUICK)


class Bomb:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign", "bomb"])
def test_an_unreadable_checkpoint_is_named_with_the_remedy(damage, tmp_path, capsys):
    path = tmp_path / "run"
    trained(checkpoint=path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if damage == "bomb":
        torch.save(Bomb(), path)
    elif damage == "foreign":
        torch.save({"weights": torch.zeros(2)}, path)
    else:
        content[: len(content) // 4] = bytes(b ^ 255 for b in content[: len(content) // 4])
        path.write_bytes({"truncated": content[:middle], "flipped": content, "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"checkpoint '.*run' can't be read .*delete it"):
        trained(checkpoint=path)
    assert "ran" not in capsys.readouterr().out


def test_signal_handlers_come_back():
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    trained()
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_second_ctrl_c_stops_at_once():
    with pytest.raises(KeyboardInterrupt, match="second"), files.Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGINT
        signal.raise_signal(signal.SIGINT)


def test_fit_runs_outside_the_main_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(trained()[0]))
    thread.start()
    thread.join()
    assert torch.equal(results[0], trained()[0])


# --- where it stops -----------------------------------------------------------------------------


def poisoned(when):
    """A model whose loss is NaN from that step on."""
    model, calls = small(), 0

    def squared_error_then_nan(x, output):
        nonlocal calls
        calls += 1
        return (x - output).square().flatten(1).sum(1) * (1.0 if calls <= when else math.nan)

    model.distortion = squared_error_then_nan
    return model


def test_a_nan_loss_stops_the_run_and_restores_the_last_good_weights(tmp_path):
    path, plan = tmp_path / "run", dict(steps=200, batch_size=32, progress=False)
    model = poisoned(when=130)
    with pytest.raises(
        NonFiniteLossError,
        match=r"loss nan at step 130, lr 0\.00\d+\. Try lr=.*step 120 .*run' holds step 120",
    ):
        fit(model, X, checkpoint=path, checkpoint_every=60, **plan)
    saved = files.load(path)["model"]
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    assert weights(model).isfinite().all() and not model.training


def test_without_a_checkpoint_the_weights_go_back_to_the_last_look():
    model, reference = poisoned(when=130), poisoned(when=1000)
    with pytest.raises(NonFiniteLossError, match="weights of step 100 again; no checkpoint"):
        fit(model, X, steps=200, batch_size=32, schedule="constant", progress=False)
    fit(reference, X, steps=100, batch_size=32, schedule="constant", progress=False)
    assert torch.equal(weights(model), weights(reference))


def test_a_nan_gradient_is_found_even_where_no_loss_shows_it():
    model, calls = small(), 0

    def nan_gradient(grad):
        nonlocal calls
        calls += 1
        return grad * math.nan if calls == 60 else grad  # the last step: no loss comes after

    model.decoder[-2].weight.register_hook(nan_gradient)
    with pytest.raises(
        NonFiniteLossError, match="a weight or Adam average is not finite at step 59"
    ):
        fit(model, X, **QUICK)
    assert weights(model).isfinite().all()


def test_a_floating_point_error_of_a_model_is_a_loss_that_is_not_finite(tmp_path):
    model, calls = small(), 0

    def squared_error_then_error(x, output):
        nonlocal calls
        calls += 1
        if calls == 41:
            raise FloatingPointError("the critic's loss is nan")
        return (x - output).square().flatten(1).sum(1)

    model.distortion = squared_error_then_error
    path = tmp_path / "run"
    with pytest.raises(NonFiniteLossError, match=r"critic's loss is nan \(step 40\), lr .*step 30"):
        fit(model, X, checkpoint=path, checkpoint_every=30, **QUICK)
    saved = files.load(path)
    assert saved["step"] == 30 and not model.training
    assert all(torch.equal(value, saved["model"][k]) for k, value in model.state_dict().items())


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(steps=0), "steps=0"),
        (dict(batch_size=301), "batch_size=301 .* 300 images; choose at most 300"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(lr=-1.0), r"lr=-1\.0"),
        (dict(lr=math.nan), "lr=nan"),
        (dict(schedule="step"), "schedule='step': choose one of .*one_cycle"),
        (dict(precision="fp8"), "precision='fp8': choose 'float32' or 'bf16'"),
        (dict(clip=0.0), r"clip=0\.0"),
        (dict(checkpoint_every=0), "checkpoint_every=0"),
        (dict(data=X[:, 0]), r"\(300, 8, 8\): this model takes \(batch, 1, 8, 8\).*reshape"),
        (dict(data=X.long()), "dtype torch.int64"),
        (dict(data=X * math.nan), "19200 infinite or NaN"),
    ],
)
def test_bad_arguments_are_named(change, message, unchecked):
    with pytest.raises(ValueError, match=message):
        trained(**change)


def test_bernoulli_refuses_pixels_outside_the_unit_interval():
    with pytest.raises(ValueError, match=r"\[0, 16\].*bernoulli.*rescale"):
        fit(small(distortion="bernoulli"), X * 16, **QUICK)


def test_bf16_refuses_double_weights_and_a_frozen_model_is_refused():
    with pytest.raises(ValueError, match="precision='bf16' needs float32 weights"):
        fit(small().double(), X, precision="bf16", **QUICK)
    with pytest.raises(ValueError, match="nothing to train"):
        fit(small().requires_grad_(False), X, **QUICK)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(devices=0), "devices=0"),
        (dict(devices=3), "batch_size=32 can't be shared equally by devices=3: choose 30"),
        (dict(devices=2, device="meta"), "device='meta' with devices=2: give 'cpu' or 'cuda'"),
        (dict(devices=2, device="cuda:1"), "device='cuda:1' with devices=2"),
        (dict(devices=32, device="cuda"), r"devices=32: this machine has \d+ GPUs"),
    ],
)
def test_several_devices_share_a_batch_equally_or_say_why_not(change, message):
    with pytest.raises(ValueError, match=message):
        fit(small(), X, **QUICK | change)


def test_several_devices_without_fabric_name_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    model = small()
    before = weights(model)
    with pytest.raises(ImportError, match=r"pip install 'vae_course\[scale\]'"):
        fit(model, X, devices=2, **QUICK)
    assert torch.equal(weights(model), before)
