"""Runs that are killed: each in a fork of one process, which imports the library once for all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.small import QUICK, X

KILLED = """
import json, os, signal, sys, torch
from pathlib import Path
import torch._dynamo  # Adam's first step imports it: here once, not in each fork
from vae_course.models import VAE
from vae_course.training import fit, sweep

torch.set_num_threads(1)
folder, quick = sys.argv[1], json.loads(sys.argv[2])
config = dict(image_shape=(1, 8, 8), d=2, hidden=(16,))
X = torch.load(folder + "/data")
calls = 0

def die_at(when):
    global calls
    calls += 1
    if calls == when:
        os.kill(os.getpid(), signal.SIGKILL)

def in_a_step(file):
    model = VAE.mlp(**config)
    model.encoder.register_forward_hook(lambda *_: die_at(15))
    fit(model, X, **quick, **file)

def writing(file, write=Path.write_bytes):
    def half_written(path, content):
        write(path, content[: len(content) // 2] if calls == 1 else content)
        die_at(2)
    Path.write_bytes = half_written
    fit(VAE.mlp(**config), X, **quick, **file)

def in_a_sweep(file):
    torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: die_at(15) if type(module).__name__ == "_Method" else None
    )
    sweep(VAE.mlp, config, X, betas=(0.03, 0.3), seeds=(0, 5), **quick, **file)

ends = {}
for run in (in_a_step, writing, in_a_sweep):
    child = os.fork()
    if not child:
        run(dict(checkpoint=f"{folder}/{run.__name__}", checkpoint_every=10))
        os._exit(0)
    ends[run.__name__] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ends))
"""


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """Checkpoints of runs killed in step 15 (the file holds step 10), in the writing of their
    second checkpoint, and of a sweep in step 15; and how each process ended."""
    folder = tmp_path_factory.mktemp("killed")
    torch.save(X, folder / "data")
    command = [sys.executable, "-c", KILLED, str(folder), json.dumps(QUICK)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return folder, json.loads(done.stdout)
