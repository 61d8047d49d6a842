"""What a sandbox's processes hold: memory, by whatever way it is held, and files.

The kernel counts best (a cgroup of version 2, where one may be made). Where none may, the processes
are looked at from outside, several times a second; the filter of system calls leaves no memory that
belongs to no process and to no file.
"""

import contextlib
import itertools
import os
import time
from pathlib import Path

try:
    import psutil
except ImportError as error:
    raise ImportError("vae_course.grading needs psutil: pip install 'vae_course[grade]'") from error

COUNTED = ("Pss:", "VmPTE:")  # pages, what is shared divided among its holders, and their tables
counter = itertools.count()


def memory(pid: int) -> int:
    """Bytes that a process and all below it hold."""
    held = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            for file in ("smaps_rollup", "status"):
                with contextlib.suppress(OSError, ValueError):
                    for line in Path("/proc", str(process.pid), file).read_text().splitlines():
                        if line.startswith(COUNTED):
                            held += int(line.split()[1]) << 10
    return held


def scratch(pid: int) -> tuple[int, int]:
    """Bytes and number of the files under ``/tmp``, as the processes below this one see it."""
    here = os.stat("/")
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(OSError):
                root = f"/proc/{process.pid}/root"
                there = os.stat(root)
                if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
                    told = os.statvfs(f"{root}/tmp")
                    used = (told.f_blocks - told.f_bfree) * told.f_frsize
                    return used, told.f_files - told.f_ffree
    return 0, 0


def put(file: Path, limit: int) -> None:
    """Write a file that the kernel has made, if this is a cgroup and has the controller."""
    descriptor = os.open(file, os.O_WRONLY)
    try:
        os.write(descriptor, str(limit).encode())
    finally:
        os.close(descriptor)


def group(
    memory: int,
    processes: int,
    mounted: Path = Path("/sys/fs/cgroup"),
    own: Path = Path("/proc/self/cgroup"),
) -> Path | None:
    """A new cgroup with these limits, below the grader's own or beside it; None without rights."""
    try:
        name = next(s for s in own.read_text().splitlines() if s.startswith("0::"))[3:]
    except (OSError, StopIteration):
        return None
    here = mounted / name.strip("/")
    for parent in [here, here.parent] if here != mounted else [here]:
        made = parent / f"grading-{os.getpid()}-{next(counter)}"
        try:
            made.mkdir()
            put(made / "memory.max", memory)
            put(made / "memory.oom.group", 1)
            put(made / "pids.max", processes)
        except OSError:
            remove(made, patience=0)
            continue
        with contextlib.suppress(OSError):  # a kernel may have no swap to count
            put(made / "memory.swap.max", 0)
        return made
    return None


def full(made: Path) -> bool:
    """Whether the kernel has ended a cgroup's processes for their memory."""
    with contextlib.suppress(OSError, ValueError):
        counts = dict(line.split() for line in (made / "memory.events").read_text().splitlines())
        return int(counts.get("oom_kill", 0)) > 0
    return False


def remove(made: Path, patience: float = 2) -> None:
    """Remove a cgroup, once the last of its processes is gone."""
    end = time.monotonic() + patience
    while True:
        try:
            made.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() >= end:
                return
            time.sleep(0.02)
        else:
            return
