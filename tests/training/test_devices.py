"""One model on several devices (gloo processes here): one device's numbers, and nobody hangs."""

import functools
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.testing import assert_close

from vae_course import files
from vae_course.files import CheckpointError
from vae_course.models import VAE, Autoencoder
from vae_course.training import NonFiniteLossError, WorkerKilledError, fit

pytest.importorskip(
    "lightning_fabric", reason="Lightning Fabric is missing: pip install 'vae_course[scale]'"
)
pytestmark = [pytest.mark.scale, pytest.mark.timeout(900)]

X = torch.tensor(load_digits().images[:300] / 16)[:, None]
PLAN = dict(steps=24, batch_size=36, progress=False)


def small(**arguments):
    return VAE.mlp((1, 8, 8), d=2, hidden=(16,), **arguments)


def weights(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def rank():
    """Of the process that asks; None in the one that called ``fit``."""
    return os.environ.get("LOCAL_RANK")


def hooked(act, **arguments):
    """A model that calls ``act(n)`` in its n-th step, n = 1, 2, ..., in each process."""
    model, calls = small(**arguments), []

    def count(*_):
        calls.append(0)
        act(len(calls))

    model.encoder.register_forward_hook(count)
    return model


# --- the same numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("devices", [2, 3])
def test_several_processes_give_the_losses_of_one_within_rounding(devices):
    """Float64: a batch of 36 is summed in another order, and 24 steps of Adam carry that on."""
    one, several = small().double(), small().double()
    ours = fit(several, X, seed=3, clip=5.0, devices=devices, **PLAN)
    theirs = fit(one, X, seed=3, clip=5.0, **PLAN)
    assert theirs.loss.max() < 100  # so that rounding is some 1e-14
    for curve in ("step", "loss", "distortion", "rate"):
        assert_close(getattr(ours, curve), getattr(theirs, curve), rtol=0.0, atol=1e-12)
    assert_close(weights(several), weights(one), rtol=0.0, atol=1e-12)
    assert not several.training and all(p.grad is None for p in several.parameters())


def test_autoencoders_pixels_and_losses_of_your_own_are_shared_too():
    def city_block(x, output):
        assert len(x) == (36 if rank() is None else 18)
        return (x - output).abs().flatten(1).sum(1)

    def build():
        return Autoencoder.mlp((1, 8, 8), d=2, hidden=(16,), distortion=city_block).double()

    pixels = (X * 255).to(torch.uint8)
    one, several = build(), build()
    ours = fit(several, pixels, devices=2, **PLAN)
    assert_close(ours.loss, fit(one, pixels, **PLAN).loss, rtol=0.0, atol=1e-12)
    assert_close(weights(several), weights(one), rtol=0.0, atol=1e-12)


def test_a_weight_may_miss_the_loss_as_it_may_on_one_device():
    several = small()
    several.unused = nn.Linear(3, 3)
    before = weights(several.unused)
    fit(several, X, devices=2, **PLAN | dict(steps=3))
    assert torch.equal(weights(several.unused), before)


def test_one_device_imports_nothing_of_it():
    code = (
        "import sys, torch; from vae_course.models import VAE; from vae_course.training import fit;"
        "fit(VAE.mlp(), torch.rand(20, 1, 8, 8), steps=1, batch_size=20);"
        "sys.exit('lightning_fabric' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@functools.cache
def undisturbed(devices):
    """A run in one go: its weights, its losses."""
    model = small()
    history = fit(model, X.float(), devices=devices, **PLAN)
    return weights(model), history.loss


def assert_equal(model, history, expected):
    assert np.array_equal(history.loss, expected[1])
    assert torch.equal(weights(model), expected[0])


# --- interrupted and resumed --------------------------------------------------------------------

SCRIPT = """
# no `if __name__ == "__main__"`: a script need not know how processes are started
import os, signal, sys, time, torch
from vae_course.models import VAE
from vae_course.training import fit

data, path, devices, how = sys.argv[1:]
model = VAE.mlp((1, 8, 8), d=2, hidden=(16,))
here, calls = os.getpid(), []

def act(*_):
    calls.append(0)
    if len(calls) == 15 and os.environ["LOCAL_RANK"] == "0":
        if how == "group":
            os.killpg(0, signal.SIGINT)
        else:
            os.kill(here, getattr(signal, how))
        if how == "SIGKILL":
            time.sleep(60)  # and the process is ended in its sleep

model.encoder.register_forward_hook(act)
fit(
    model, torch.load(data), steps=24, batch_size=36, devices=int(devices),
    checkpoint=path, checkpoint_every=10, progress=False,
)
"""


def lives(process):
    try:
        return process.status() != "zombie"
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    "devices, how, named",
    [(2, "SIGTERM", "SIGTERM"), (3, "group", "SIGINT"), (3, "SIGKILL", None)],
    ids=["told to stop", "ctrl-c", "driver killed"],
)
def test_an_interrupted_run_leaves_no_process_and_resumes_exactly(devices, how, named, tmp_path):
    """Float32, bit for bit; ``group`` is a terminal's Ctrl-C, which all processes receive."""
    torch.save(X.float(), tmp_path / "data")
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "script.py", tmp_path / "data", tmp_path / "run"]
    driver = subprocess.Popen(
        [*command, str(devices), how], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    seen = {}
    while driver.poll() is None:
        for process in psutil.Process(driver.pid).children(recursive=True):
            seen[process.pid] = process
        time.sleep(0.05)
    errors = driver.communicate()[1]
    assert len(seen) >= devices
    deadline = time.monotonic() + 300
    while alive := [p for p in seen.values() if lives(p)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.1)
    held = files.load(tmp_path / "run")["step"]
    if named is None:
        assert driver.returncode == -signal.SIGKILL and held == 10
    else:
        # the signal reaches the others within a step or two, or a poll of the driver later
        assert f"KeyboardInterrupt: stopped by {named} after step {held} of 24" in errors
        assert 15 <= held
    model = small()
    history = fit(model, X.float(), checkpoint=tmp_path / "run", devices=devices, **PLAN)
    assert_equal(model, history, undisturbed(devices))


def test_the_first_process_alone_writes_the_checkpoint_which_holds_the_number(tmp_path):
    def watch_saving(n):
        if n == 1:
            save = files.save
            files.save = lambda *args: ((tmp_path / f"by {rank()}").touch(), save(*args))

    path = tmp_path / "run"
    fit(hooked(watch_saving), X.float(), checkpoint=path, devices=2, **PLAN)
    assert [path.name for path in tmp_path.glob("by *")] == ["by 0"]
    finished = small()
    history = fit(finished, X.float(), checkpoint=path, devices=2, **PLAN)
    assert_equal(finished, history, undisturbed(2))
    with pytest.raises(CheckpointError, match="devices: 2 in the file, 1 now"):
        fit(small(), X.float(), checkpoint=path, **PLAN)


# --- where it stops -----------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["0", "1"])
def test_a_killed_process_ends_the_others_and_the_call(victim, tmp_path):
    def die(n):
        if n == 15 and rank() == victim and not (tmp_path / "death").exists():
            (tmp_path / "death").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    model, path = hooked(die), tmp_path / "run"
    before = weights(model)
    plan = PLAN | dict(devices=2, checkpoint_every=10)
    with pytest.raises(
        WorkerKilledError, match=r"one of 2 processes was killed .*run' holds the last checkpoint"
    ):
        fit(model, X.float(), checkpoint=path, **plan)
    assert torch.equal(weights(model), before) and files.load(path)["step"] == 10
    assert not workers()
    assert_equal(model, fit(model, X.float(), checkpoint=path, **plan), undisturbed(2))


def workers():
    """The processes that this one started, but for joblib's own helper."""
    children = psutil.Process().children(recursive=True)
    return [p for p in children if not any("resource_tracker" in part for part in p.cmdline())]


def test_an_error_in_one_process_ends_all_and_is_raised():
    def fail(n):
        if n == 10 and rank() == "1":
            raise LookupError("of the second process")

    with pytest.raises(LookupError, match="of the second process"):
        fit(hooked(fail), X.float(), devices=2, **PLAN)
    assert not workers()


def test_a_loss_that_is_nan_in_one_process_stops_all_with_the_last_good_weights(tmp_path):
    model, calls = small(), []

    def nan_in_the_second(x, output):
        calls.append(0)
        bad = len(calls) > 20 and rank() == "1"
        return (x - output).square().flatten(1).sum(1) * (math.nan if bad else 1.0)

    model.distortion = nan_in_the_second
    path = tmp_path / "run"
    with pytest.raises(NonFiniteLossError, match=r"loss nan at step 20, .*run' holds step 16"):
        fit(model, X.float(), checkpoint=path, checkpoint_every=8, devices=2, **PLAN)
    saved = files.load(path)["model"]
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    assert weights(model).isfinite().all() and not model.training
