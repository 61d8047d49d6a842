"""The loop: the same numbers every time, whatever interrupts it; and it stops where it must."""

import math
import os
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.training.small import (
    QUICK,
    STEPS,
    X,
    assert_undisturbed,
    small,
    trained,
    undisturbed,
    weights,
)
from vae_course import files
from vae_course.models import VAE
from vae_course.training import NonFiniteLossError, fit, loop

# --- one run is one sequence of numbers ---------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    assert torch.equal(trained(seed=1)[0], trained(seed=1)[0])
    assert not torch.equal(trained(seed=1)[0], undisturbed()[0])


def test_global_randomness_is_neither_read_nor_changed():
    for seed in (0, 1):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        assert_undisturbed(trained())
        assert torch.equal(torch.get_rng_state(), state)


def test_the_loop_is_plain_adam_on_shuffled_batches():
    """The oracle: a loop as in a textbook, with PyTorch's own schedule, over the same stream."""
    model = small().double()
    adam = torch.optim.Adam(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        adam, max_lr=3e-3, total_steps=STEPS, cycle_momentum=False
    )
    generator, losses = torch.Generator().manual_seed(4), []
    while len(losses) < STEPS:
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
            if len(losses) == STEPS:
                break
    ours = small().double()
    history = fit(ours, X, lr=3e-3, seed=4, **QUICK)
    assert_close(history.loss, np.array(losses), rtol=1e-10, atol=0.0)
    assert_close(weights(ours), weights(model), rtol=1e-8, atol=1e-10)


def test_uint8_images_train_like_the_same_floats():
    pixels = (X * 255).to(torch.uint8)
    assert torch.equal(trained(pixels)[0], trained(pixels.float() / 255)[0])


def test_a_data_set_trains_on_its_training_images():
    assert_undisturbed(trained(SimpleNamespace(train=X, test=None)))


def test_history_is_every_steps_batch_mean_and_the_loss_its_sum():
    history = undisturbed()[1]
    assert history.step.tolist() == list(range(STEPS))
    assert_close(
        history.loss, history.distortion + np.float32(0.1) * history.rate, rtol=1e-5, atol=0
    )


def test_fit_leaves_the_model_in_eval_mode_without_gradients():
    model = small().train()
    fit(model, X, **QUICK)
    assert not model.training and all(p.grad is None for p in model.parameters())


def test_bf16_computes_coarsely_but_keeps_float32_weights():
    exact, coarse = undisturbed(), trained(precision="bf16")
    assert coarse[0].dtype == torch.float32 and not torch.equal(coarse[0], exact[0])
    # bfloat16 has 8 bits: 0.4 % a product, and the noise of the batches is the same
    assert_close(coarse[1].loss, exact[1].loss, rtol=0.02, atol=0.0)


@pytest.mark.parametrize("largest", [0.1, 1.0, 100.0])
def test_clipping_is_pytorchs(largest):
    ours, theirs = small(), small()
    for model in (ours, theirs):
        model.loss_terms(X, torch.zeros(300, 2)).loss.mean().backward()
    loop.clip_gradients(list(ours.parameters()), largest)
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
    trained(progress=True)
    shown = capsys.readouterr().err
    assert f"{STEPS}/{STEPS}" in shown
    assert all(f"{name}=" in shown for name in ("loss", "distortion", "rate"))
    trained()
    assert capsys.readouterr().err == ""


# --- interrupted and resumed --------------------------------------------------------------------


@pytest.mark.parametrize("run", ["in_a_step", "writing"])
def test_a_killed_run_resumes_to_the_very_weights_of_an_uninterrupted_one(run, killed):
    folder, ends = killed
    assert ends[run] == -signal.SIGKILL
    assert files.load(folder / run)["step"] == 10  # also where the next one was cut off half-way
    assert_undisturbed(trained(checkpoint=folder / run, checkpoint_every=10))


@pytest.mark.parametrize("how, step", [("SIGTERM", 15), ("SIGINT", 20)])
def test_a_run_told_to_stop_keeps_its_step_and_resumes_to_the_very_weights(how, step, tmp_path):
    model, calls = small(), iter(range(1, 1000))

    def tell(*_):
        if next(calls) == step:  # in the middle of a step
            os.kill(os.getpid(), getattr(signal, how))

    model.encoder.register_forward_hook(tell)
    file = dict(checkpoint=tmp_path / "run", checkpoint_every=10)
    message = rf"stopped by {how} after step {step} of {STEPS}.*call again with the same arguments"
    with pytest.raises(KeyboardInterrupt, match=message):
        fit(model, X, **QUICK, **file)
    assert files.load(tmp_path / "run")["step"] == step
    assert_undisturbed(trained(**file))


def test_a_finished_checkpoint_returns_at_once(tmp_path, monkeypatch):
    path = tmp_path / "new" / "folder" / "run"
    trained(checkpoint=path)
    monkeypatch.setattr(VAE, "loss_terms", lambda *_: pytest.fail("one more step"))
    assert_undisturbed(trained(checkpoint=path))


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
    thread = threading.Thread(target=lambda: results.append(trained()))
    thread.start()
    thread.join()
    assert_undisturbed(results[0])


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
    path, model = tmp_path / "run", poisoned(when=17)
    with pytest.raises(
        NonFiniteLossError,
        match=r"loss nan at step 17, lr 0\.00\d+\. Try lr=.*step 16 .*run' holds step 16",
    ):
        fit(model, X, checkpoint=path, checkpoint_every=8, **QUICK)
    saved = files.load(path)["model"]
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    assert weights(model).isfinite().all() and not model.training


def test_without_a_checkpoint_the_weights_go_back_to_the_last_look(monkeypatch):
    monkeypatch.setattr(loop, "CHECK_EVERY", 10)
    model, reference = poisoned(when=13), small()
    with pytest.raises(NonFiniteLossError, match="weights of step 10 again; no checkpoint"):
        fit(model, X, **QUICK | dict(schedule="constant"))
    fit(reference, X, **QUICK | dict(steps=10, schedule="constant"))
    assert torch.equal(weights(model), weights(reference))


def test_a_nan_gradient_is_found_even_where_no_loss_shows_it():
    model, calls = small(), 0

    def nan_gradient(grad):
        nonlocal calls
        calls += 1
        return grad * math.nan if calls == STEPS else grad  # the last step: no loss comes after

    model.decoder[-2].weight.register_hook(nan_gradient)
    message = f"a weight or Adam average is not finite at step {STEPS - 1}"
    with pytest.raises(NonFiniteLossError, match=message):
        fit(model, X, **QUICK)
    assert weights(model).isfinite().all()


def test_a_floating_point_error_of_a_model_is_a_loss_that_is_not_finite(tmp_path):
    model, calls = small(), 0

    def squared_error_then_error(x, output):
        nonlocal calls
        calls += 1
        if calls == 18:
            raise FloatingPointError("the critic's loss is nan")
        return (x - output).square().flatten(1).sum(1)

    model.distortion = squared_error_then_error
    path = tmp_path / "run"
    with pytest.raises(NonFiniteLossError, match=r"critic's loss is nan \(step 17\), lr .*step 12"):
        fit(model, X, checkpoint=path, checkpoint_every=12, **QUICK)
    saved = files.load(path)
    assert saved["step"] == 12 and not model.training
    assert all(torch.equal(value, saved["model"][k]) for k, value in model.state_dict().items())


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(steps=0), "steps=0"),
        (dict(batch_size=301), "batch_size=301 .* 300 images; choose at most 300"),
        (dict(data=X[:, 0]), r"\(300, 8, 8\): this model takes \(batch, 1, 8, 8\).*reshape"),
        (dict(data=X.long()), "dtype torch.int64"),
        (dict(data=X * math.nan), "19200 infinite or NaN"),
        (dict(devices=0), "devices=0"),
        (dict(devices=3), "batch_size=32 can't be shared equally by devices=3: choose 30"),
        (dict(devices=2, device="meta"), "device='meta' with devices=2: give 'cpu' or 'cuda'"),
        (dict(devices=2, device="cuda:1"), "device='cuda:1' with devices=2"),
        (dict(devices=32, device="cuda"), r"devices=32: this machine has \d+ GPUs"),
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


def test_several_devices_without_fabric_name_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    model = small()
    before = weights(model)
    with pytest.raises(ImportError, match=r"pip install 'vae_course\[scale\]'"):
        fit(model, X, devices=2, **QUICK)
    assert torch.equal(weights(model), before)
