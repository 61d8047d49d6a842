"""Workers compute with one thread, change nothing of their driver's, and end when it does."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch

from tests.training.grid import X, alone, assert_equal, files, swept


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


DRIVER = """
import sys, time, torch
from vae_course.models import VAE
from vae_course.training import sweep

def slow(**config):
    model = VAE.mlp(**config)
    model.encoder.register_forward_hook(lambda *_: time.sleep(0.05))
    return model

config = dict(image_shape=(1, 8, 8), d=2, hidden=(32,))
options = dict(steps=24, batch_size=32, progress=False, workers=2, folder=sys.argv[2])
sweep(slow, config, torch.load(sys.argv[1]), betas=(0.03, 0.3), seeds=(0, 5, 6), **options)
"""


@pytest.mark.timeout(600)
def test_a_killed_driver_costs_only_the_runs_in_flight_and_leaves_no_worker(tmp_path):
    torch.save(X, tmp_path / "data")
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "data"), str(tmp_path)]
    driver = subprocess.Popen(command)
    while driver.poll() is None and len(files(tmp_path)) < 2:
        time.sleep(0.02)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    assert len(children) >= 2  # two workers (and loky's own helpers)
    deadline = time.monotonic() + 300
    while alive := [p for p in children if p.is_running() and p.status() != "zombie"]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.1)
    kept = files(tmp_path)
    assert 2 <= len(kept) < 6
    result = swept(tmp_path, workers=1)
    assert kept.items() <= files(tmp_path).items() and len(files(tmp_path)) == 6
    assert_equal(result, swept(tmp_path / "undisturbed", workers=1))
