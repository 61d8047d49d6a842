"""A process that a student's code cannot leave, and the questions one may put to it."""

import contextlib
import itertools
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import vae_course
from vae_course.grading import wire

try:
    import psutil
except ImportError as error:
    raise ImportError("vae_course.grading needs psutil: pip install 'vae_course[grade]'") from error

MISSING = (
    "students' code needs a sandbox, and bubblewrap (bwrap) is not installed or not allowed here. "
    "Without it their code could read your files, other submissions and the tests, and use the "
    "network. Install it (apt-get install bubblewrap util-linux; Linux only), or grade code that "
    "you trust with --unsafe."
)
counter = itertools.count()


@dataclass(frozen=True)
class Limits:
    """What one submission may use; bytes and seconds."""

    cell: float = 60  # wall time of a cell
    call: float = 20  # wall time of a call of a student's function
    total: float = 240  # wall time of a submission, and its processor time
    test: float = 60  # wall time of a test of the answers, outside
    memory: int = 3 << 30  # of a process, and of all of them
    processes: int = 24  # and threads
    scratch: int = 64 << 20  # files under /tmp
    message: int = 16 << 20
    notebook: int = 64 << 20


class SandboxError(Exception):
    """The process is gone, or answers against the rules: no more can be learnt from it."""


def command(slot: int) -> list[str]:
    """Bubblewrap around the worker: it sees Python, the system's libraries and the course."""
    prefix, base = (os.path.realpath(p) for p in (sys.prefix, sys.base_prefix))
    shared = {prefix: prefix, base: base}
    shared |= {str(Path(vae_course.__file__).resolve().parent): "/course/vae_course"}
    call = ["bwrap"]
    for path in ("/usr", "/lib", "/lib64", "/bin", "/sbin"):
        if os.path.islink(path):
            call += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            call += ["--ro-bind", path, path]
    for path in ("/etc/ld.so.cache", "/etc/localtime"):
        call += ["--ro-bind-try", path, path]
    scratch = str(Limits.scratch)
    call += ["--proc", "/proc", "--dev", "/dev", "--perms", "0555", "--size", "4096"]
    call += ["--tmpfs", "/dev/shm", "--perms", "1777", "--size", scratch, "--tmpfs", "/tmp"]
    for source, target in shared.items():
        if not target.startswith("/usr/"):
            for parent in reversed(Path(target).parents[:-1]):
                if str(parent) not in ("/usr", "/tmp"):
                    call += ["--perms", "0755", "--dir", str(parent)]
            call += ["--ro-bind", source, target]
    call += ["--remount-ro", "/", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
    call += ["--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    call += ["--chdir", "/tmp"]
    if os.geteuid() == 0:
        # Root's processes are not counted: a real user of its own for each sandbox at work.
        user = str(200_000 + os.getpid() % 20_000 * 64 + slot % 64)
        call += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        call += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
    else:
        call[1:1] = ["--unshare-user"]
    return [*call, str(Path(prefix, "bin", "python"))]


def available() -> bool:
    """Whether a sandbox can be made here."""
    if not shutil.which("bwrap") or (os.geteuid() == 0 and not shutil.which("setpriv")):
        return False
    tried = subprocess.run([*command(0), "-c", ""], capture_output=True, env=environment(True))
    return tried.returncode == 0


def environment(safe: bool) -> dict[str, str]:
    course = "/course" if safe else str(Path(vae_course.__file__).resolve().parent.parent)
    one = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(one, "1") | {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "PYTHONPATH": course,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": "/tmp/matplotlib",
    }


def memory(pid: int) -> int:
    """Bytes that a process and all below it hold, what they share divided among them."""
    held = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            try:
                held += process.memory_full_info().pss
            except psutil.AccessDenied:
                told = process.memory_info()
                held += told.rss - told.shared
            except psutil.NoSuchProcess:
                continue
    return held


class Sandbox:
    """A worker at the other end of two pipes; ``with`` ends it and all that it started."""

    def __init__(self, limits: Limits, safe: bool = True) -> None:
        self.limits = limits
        self.end = time.monotonic() + limits.total
        self.number = itertools.count(1)
        self.folder = tempfile.TemporaryDirectory(prefix="grading-")
        self.errors = tempfile.TemporaryFile()
        start = command(next(counter)) if safe else [sys.executable]
        settings = [wire.json.dumps(asdict(limits)), "safe" if safe else "unsafe"]
        self.process = subprocess.Popen(
            [*start, "-m", "vae_course.grading.worker", *settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,
            env=environment(safe),
            cwd="/" if safe else self.folder.name,
            start_new_session=True,
        )
        os.set_blocking(self.process.stdin.fileno(), False)  # type: ignore[union-attr]
        self.crowded = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        """Many small processes may pass as one may not: count the memory of all."""
        while self.process.poll() is None:
            if memory(self.process.pid) > self.limits.memory:
                self.crowded.set()
                self.process.kill()
            time.sleep(0.25)

    def __enter__(self) -> "Sandbox":
        try:
            if self.receive(60)["id"] != 0:
                raise SandboxError("it did not start as it should")
        except SandboxError as error:
            self.errors.seek(0)
            said = self.errors.read()[-500:].decode(errors="replace")
            self.close()
            raise RuntimeError(f"the sandbox did not start: {error}\n{said}") from None
        self.end = time.monotonic() + self.limits.total
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill whatever is left of it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.errors):
            pipe.close()  # type: ignore[union-attr]
        self.folder.cleanup()

    def request(self, seconds: float, **message: Any) -> dict[str, Any]:
        """Put one question; SandboxError if no proper answer comes in time."""
        number = next(self.number)
        left = self.end - time.monotonic()
        if left <= 0:
            raise SandboxError(f"more than {self.limits.total:g} seconds in all")
        seconds = min(seconds, left)
        message |= {"id": number, "seconds": seconds}
        self.send(wire.pack(message, self.limits.message), seconds + 5)
        answer = self.receive(seconds + 5)
        if answer["id"] != number:
            self.process.kill()
            raise SandboxError("an answer that nobody asked for")
        return answer

    def wait(self, pipe: Any, event: int, end: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if not selector.select(max(0, end - time.monotonic())):
                self.process.kill()
                raise SandboxError("it does not stop: out of time")

    def send(self, frame: bytes, seconds: float) -> None:
        end, sent, pipe = time.monotonic() + seconds, 0, self.process.stdin
        while sent < len(frame):
            self.wait(pipe, selectors.EVENT_WRITE, end)
            try:
                sent += os.write(pipe.fileno(), frame[sent : sent + 65536])  # type: ignore[union-attr]
            except BrokenPipeError:
                raise SandboxError(self.death()) from None

    def receive(self, seconds: float) -> dict[str, Any]:
        end, pipe = time.monotonic() + seconds, self.process.stdout

        def read(size: int) -> bytes:
            data = b""
            while len(data) < size:
                self.wait(pipe, selectors.EVENT_READ, end)
                more = os.read(pipe.fileno(), min(size - len(data), 1 << 20))  # type: ignore[union-attr]
                if not more:
                    raise SandboxError(self.death())
                data += more
            return data

        try:
            answer = wire.unpack(read, self.limits.message)
        except wire.WireError as error:
            self.process.kill()
            raise SandboxError(f"it sent {error}") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            self.process.kill()
            raise SandboxError("it sent a message of no known form")
        return answer

    def death(self) -> str:
        if self.crowded.is_set():
            return f"its processes took more than {self.limits.memory >> 20:,} MiB"
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "its process closed the line"
        return f"its process ended by itself (status {code})"
