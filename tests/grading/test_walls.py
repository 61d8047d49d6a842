"""What bubblewrap is told, for root and for everybody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.grading.toy import needs_sandbox
from vae_course.grading import seccomp, walls


@pytest.fixture(params=[0, 1000], ids=["root", "a user"])
def call(request, monkeypatch):
    monkeypatch.setattr(walls.os, "geteuid", lambda: request.param)
    monkeypatch.setattr(walls, "knows", lambda option: True)
    return request.param, walls.command(3, 9, Path("/a/group"))


def test_nothing_but_devices_is_bound_to_be_written(call):
    _, words = call
    assert not {"--bind", "--bind-try", "--bind-fd"} & {*words}
    devices = [words[i + 1] for i, word in enumerate(words) if word == "--dev-bind"]
    assert devices == ["/dev/null", "/dev/random", "/dev/urandom"]
    assert "--dev" not in words, "its tmpfs has no size and belongs to the sandbox's user"
    read_only = [words[i + 1] for i, word in enumerate(words) if word == "--remount-ro"]
    assert read_only == ["/", "/dev"]
    sized = [words[i - 2 : i] for i, word in enumerate(words) if word == "--tmpfs"]
    assert all(option == "--size" for option, _ in sized) and len(sized) == 2


def test_a_fresh_keyring_a_group_and_the_filter_come_before_the_code(call):
    _, words = call
    assert words[1:4] == ["-I", "-S", "-c"] and words[4] == walls.LAUNCH
    assert words[6:8] == ["/a/group", "bwrap"]
    assert words[words.index("--seccomp") + 1] == "9"


def launched(group=""):
    which, _ = seccomp.MACHINES[walls.platform.machine()]
    keyctl = str(seccomp.CALLS["keyctl"][which])
    look = "import ctypes, sys; print(ctypes.CDLL(None).syscall(int(sys.argv[1]), 0, -3, 0))"
    launch = [sys.executable, "-I", "-S", "-c", walls.LAUNCH, keyctl, group]
    done = subprocess.run(
        [*launch, sys.executable, "-c", look, keyctl], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_each_launch_has_a_keyring_of_its_own_and_joins_its_group(tmp_path):
    first, second = launched(str(tmp_path)), launched("/no/group")
    if first < 0:
        pytest.skip("no keyrings here")
    assert first != second
    assert (tmp_path / "cgroup.procs").read_text() == "0"


def test_no_namespace_of_users_can_be_made_inside(call):
    user, words = call
    assert ("--disable-userns" in words) == ("--unshare-user" in words) == (user != 0)
    if user == 0:
        assert "--bounding-set=-all" in words and "--no-new-privs" in words


def test_the_graders_variables_stay_outside(monkeypatch):
    monkeypatch.setenv("CANVAS_TOKEN", "secret")
    monkeypatch.setenv("LD_PRELOAD", "/x.so")
    for safe in (True, False):
        assert not {"CANVAS_TOKEN", "LD_PRELOAD"} & walls.environment(safe).keys()
        assert "secret" not in str(walls.environment(safe))


def test_folders_that_students_code_sees_are_known(tmp_path, monkeypatch):
    assert walls.sees(tmp_path) is None
    monkeypatch.setattr(walls.sys, "prefix", str(tmp_path))
    assert walls.sees(tmp_path / "class" / "in") == os.path.realpath(tmp_path)
    (tmp_path / "link").symlink_to("/usr/share")
    assert walls.sees(Path("/usr/share/x")) == "/usr"


def test_a_machine_whose_calls_are_not_known_has_no_sandbox(monkeypatch):
    monkeypatch.setattr(walls.platform, "machine", lambda: "riscv64")
    assert not walls.available()
    assert "processor" in walls.MISSING


@needs_sandbox
def test_without_a_filter_in_force_there_is_no_sandbox(monkeypatch):
    made = walls.command

    def unfiltered(*given):
        words = made(*given)
        at = words.index("--seccomp")
        return words[:at] + words[at + 2 :]

    monkeypatch.setattr(walls, "command", unfiltered)
    assert not walls.available()
