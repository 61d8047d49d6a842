"""A file is written whole or not at all, by one writer of many, and says why it can't be."""

import errno
import os
import re
import resource
import subprocess
import sys
import threading
import time

import pytest
import torch

from vae_course import files
from vae_course.files import CheckpointError, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_until_a_file_is_whole_its_readers_see_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    seen = []

    def write(temporary):
        temporary.write_text("ne")
        seen.append(path.read_text())
        temporary.write_text("new")
        seen.append(path.read_text())

    write_atomically(path, write)
    assert seen == ["old", "old"]
    assert path.read_text() == "new"


def test_a_writer_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("ne")
        raise OSError("no space left")

    with pytest.raises(OSError, match=r"file' can't be written \(no space left\)"):
        write_atomically(path, write)
    assert names(tmp_path) == ["file"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.ENOSPC, "make room on that disk"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit"),
        (errno.EROFS, "name another path"),
        (errno.EACCES, "name another path"),
    ],
)
def test_what_the_system_refuses_is_said_with_the_file_and_the_remedy(number, words, tmp_path):
    def write(temporary):
        raise OSError(number, os.strerror(number))

    message = rf"file' can't be written \({os.strerror(number)}\): .*{words}.*unchanged"
    with pytest.raises(OSError, match=message) as caught:
        write_atomically(tmp_path / "file", write)
    assert caught.value.errno == number


def test_a_size_limit_is_named_and_the_old_file_intact(tmp_path):
    path = tmp_path / "run"
    files.save(path, {"fingerprint": {}, "step": 1})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"run' can't be written \(File too large\).*ulimit"):
            files.save(path, {"fingerprint": {}, "step": 2, "weights": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and names(tmp_path) == ["run"]


def test_a_missing_folder_and_what_is_no_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent/file' can't be .*make the folder"):
        write_atomically(tmp_path / "absent" / "file", lambda temporary: temporary.touch())
    (tmp_path / "null").symlink_to("/dev/null")
    with pytest.raises(OSError, match="null' can't be written .*not a regular file"):
        write_atomically(tmp_path / "null", lambda temporary: temporary.touch())


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_one_and_the_file_it_points_to_is_written(exists, tmp_path):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "file", tmp_path / "link"
    if exists:
        target.write_text("old")
    link.symlink_to("far/file")
    write_atomically(link, lambda temporary: temporary.write_text("new"))
    assert link.is_symlink() and target.read_text() == "new"
    assert names(tmp_path / "far") == ["file"]


def test_threads_that_write_one_file_each_write_it_whole(tmp_path):
    path, faults = tmp_path / "file", []
    gate = threading.Barrier(8)

    def work(k):
        try:
            for _ in range(10):
                gate.wait(timeout=60)
                write_atomically(path, lambda temporary: temporary.write_text(f"{k}" * 1000))
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and names(tmp_path) == ["file"]
    assert re.fullmatch(r"(\d)\1{999}", path.read_text())


def test_what_killed_writers_left_is_removed_and_what_living_ones_write_is_not(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    dead = int(dead.stdout)
    quiet = {"minute": 61, "moment": 1, "day": 86_401}
    for name, age in {
        f".file.{dead}.tmp": "minute",
        f".file.{dead}.0a1b2c3d.tmp": "minute",
        f".file.{dead}.44444444.tmp": "moment",  # perhaps it lives on another machine
        f".file.{os.getpid()}.11111111.tmp": "minute",
        f".file.{os.getpid()}.22222222.tmp": "day",
        f".other.{dead}.0a1b2c3d.tmp": "minute",
        ".file.notes.tmp": "day",
    }.items():
        (tmp_path / name).write_text("ne")
        os.utime(tmp_path / name, (time.time() - quiet[age],) * 2)
    write_atomically(tmp_path / "file", lambda temporary: temporary.write_text("new"))
    assert names(tmp_path) == sorted(
        [
            "file",
            f".file.{dead}.44444444.tmp",
            f".file.{os.getpid()}.11111111.tmp",
            f".other.{dead}.0a1b2c3d.tmp",
            ".file.notes.tmp",
        ]
    )


STATE = {
    "fingerprint": {"lr": 0.1, "seeds": [0]},
    "step": 7,
    "adam": {"state": {0: {"step": torch.tensor(7.0)}}, "betas": (0.9, 0.999)},
    "means": torch.rand(7, 3),
    "order": torch.empty(0, dtype=torch.int64),
}


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    files.save(tmp_path / "run", STATE)
    again = files.load(tmp_path / "run")
    assert again.keys() == STATE.keys() and again["adam"] == STATE["adam"]
    assert torch.equal(again["means"], STATE["means"])


@pytest.mark.parametrize(
    "change",
    [
        {"step": 99},
        {"means": STATE["means"][:3]},
        {"means": torch.full((7, 3), torch.nan)},
        {"order": torch.empty(0, dtype=torch.int32)},
        {"fingerprint": {"lr": 0.2, "seeds": [0]}},
        {"more": None},
    ],
    ids=str,
)
def test_a_checkpoint_that_was_changed_is_refused(change, tmp_path):
    path = tmp_path / "run"
    files.save(path, STATE)
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(CheckpointError, match=r"run' can't be read .*checksum.*; delete it"):
        files.load(path)


def test_a_folder_that_can_not_be_written_to_is_named_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"run' can't be written \(.*\): name another path"):
        files.prepare(tmp_path / "file" / "run")
    files.prepare(tmp_path / "new" / "run")
    assert names(tmp_path / "new") == []
