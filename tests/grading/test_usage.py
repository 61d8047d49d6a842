"""What a sandbox's processes hold is counted, by the kernel where it can be asked to."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from vae_course.grading import usage


def test_memory_of_a_process_and_of_those_below_it_is_counted():
    code = (
        "import os, sys, time\nx = b'x' * (50 << 20)\nif not os.fork():\n"
        "    y = b'y' * (40 << 20)\n    print(flush=True)\n    time.sleep(60)\nos.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            assert 90 << 20 < usage.memory(process.pid) < 140 << 20
            assert usage.scratch(process.pid) == (0, 0), "this computer's /tmp is not a sandbox's"
        finally:
            for one in [*psutil.Process(process.pid).children(), process]:
                one.kill()
    assert usage.memory(process.pid) == 0


@pytest.fixture
def kernel(monkeypatch):
    """Makes the files of a cgroup with its folder, as a kernel does."""
    make = Path.mkdir

    def mkdir(path, *given, **more):
        make(path, *given, **more)
        if path.name.startswith("grading-"):
            for file in ("memory.max", "memory.oom.group", "memory.swap.max", "pids.max"):
                (path / file).touch()

    monkeypatch.setattr(Path, "mkdir", mkdir)


def test_a_folder_that_is_no_cgroup_is_none(tmp_path):
    (tmp_path / "own").write_text("0::/\n")
    (tmp_path / "fs").mkdir()
    assert usage.group(1, 1, tmp_path / "fs", tmp_path / "own") is None
    assert list((tmp_path / "fs").iterdir()) == []


def test_a_group_has_its_limits_and_goes_with_its_last_process(tmp_path, kernel):
    (tmp_path / "own").write_text("3:cpu:/x\n0::/user.slice/shell.scope\n")
    here = tmp_path / "fs" / "user.slice" / "shell.scope"
    here.mkdir(parents=True)
    made = usage.group(1 << 30, 32, tmp_path / "fs", tmp_path / "own")
    assert made is not None and made.parent == here and f"-{os.getpid()}-" in made.name
    told = {p.name: p.read_text() for p in made.iterdir()}
    assert told == {
        "memory.max": "1073741824",
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "32",
    }
    (made / "memory.events").write_text("low 0\noom 1\noom_kill 0\n")
    assert not usage.full(made)
    (made / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert usage.full(made)
    for file in made.iterdir():  # the kernel's go with the folder
        file.unlink()
    usage.remove(made)
    assert not made.exists() and not usage.full(made)
    usage.remove(made)


def test_where_no_group_may_be_made_there_is_none(tmp_path):
    assert usage.group(1, 1, tmp_path, tmp_path / "none") is None
    (tmp_path / "own").write_text("1:memory:/x\n")
    assert usage.group(1, 1, tmp_path, tmp_path / "own") is None
    (tmp_path / "own").write_text("0::/gone/scope\n")
    assert usage.group(1, 1, tmp_path / "fs", tmp_path / "own") is None


def test_a_group_that_stays_busy_is_left_in_the_end(tmp_path):
    (tmp_path / "busy" / "process").mkdir(parents=True)
    usage.remove(tmp_path / "busy", patience=0.05)
    assert (tmp_path / "busy").exists()
