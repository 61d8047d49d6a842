"""What stands around a student's process: bubblewrap, a filter of system calls, a fresh keyring."""

import contextlib
import functools
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import vae_course
from vae_course.grading import seccomp

SCRATCH = 64 << 20  # bytes of the files under /tmp
MISSING = (
    "students' code needs a sandbox, and bubblewrap (bwrap) is not installed or not allowed here, "
    "or the processor is of a kind whose system calls are not known (x86_64 and aarch64 are). "
    "Without it their code could read your files, other submissions and the tests, and use the "
    "network. Install it (apt-get install bubblewrap util-linux; Linux only), or grade code that "
    "you trust with --unsafe."
)
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin")
DEVICES = ("null", "random", "urandom")  # no zero: mapped, it is memory that nobody counts
# A session's keyring goes with its processes through every namespace. A group of processes is
# joined before there is a second one.
LAUNCH = """\
import ctypes, os, sys
ctypes.CDLL(None).syscall(int(sys.argv[1]), 1, None)
if sys.argv[2]:
    try:
        with open(sys.argv[2] + "/cgroup.procs", "w") as file:
            file.write("0")
    except OSError:
        pass
os.execvp(sys.argv[3], sys.argv[3:])
"""


def own() -> tuple[str, str, str]:
    """Python, its base and the course, the folders that students' code sees beside the system's."""
    course = str(Path(vae_course.__file__).resolve().parent)
    return os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix), course


def sees(path: Path) -> str | None:
    """The folder through which students' code would see a file, if it would."""
    real = Path(os.path.realpath(path))
    for folder in [*own(), *SYSTEM]:
        if os.path.isdir(folder) and real.is_relative_to(os.path.realpath(folder)):
            return folder
    return None


@functools.cache
def knows(option: str) -> bool:
    said = subprocess.run(["bwrap", "--help"], capture_output=True, text=True)
    return option in said.stdout + said.stderr


def command(slot: int, rules: int, group: Path | None = None) -> list[str]:
    """Bubblewrap around the worker: it sees Python, the system's libraries and the course.

    ``rules`` is a descriptor of the filter's program, see ``filtered``; ``group`` a cgroup to join.
    """
    prefix, base, course = own()
    shared = {prefix: prefix, base: base, course: "/course/vae_course"}
    call = ["bwrap"]
    if os.geteuid() != 0:
        call += ["--unshare-user"]
        call += ["--disable-userns"] if knows("--disable-userns") else []
    for path in SYSTEM:
        if os.path.islink(path):
            call += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            call += ["--ro-bind", path, path]
    for path in ("/etc/ld.so.cache", "/etc/localtime"):
        call += ["--ro-bind-try", path, path]
    call += ["--proc", "/proc", "--perms", "0755", "--size", "4096", "--tmpfs", "/dev"]
    for name in DEVICES:
        call += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for number, name in enumerate(["stdin", "stdout", "stderr"]):
        call += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    call += ["--symlink", "/proc/self/fd", "/dev/fd"]
    call += ["--perms", "1777", "--size", str(SCRATCH), "--tmpfs", "/tmp"]
    for source, target in shared.items():
        if not target.startswith("/usr/"):
            for parent in reversed(Path(target).parents[:-1]):
                if str(parent) not in ("/usr", "/tmp"):
                    call += ["--perms", "0755", "--dir", str(parent)]
            call += ["--ro-bind", source, target]
    # Non-root, the sandbox's user owns these: what is not read-only it could fill without end.
    call += ["--remount-ro", "/", "--remount-ro", "/dev"]
    call += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    call += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--chdir", "/tmp"]
    call += ["--seccomp", str(rules)]
    if os.geteuid() == 0:
        # Root's processes are not counted: a real user of its own for each sandbox at work.
        user = str(200_000 + os.getpid() % 20_000 * 64 + slot % 64)
        call += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        call += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
    which, _ = seccomp.MACHINES[platform.machine()]
    keyctl = str(seccomp.CALLS["keyctl"][which])
    launch = [sys.executable, "-I", "-S", "-c", LAUNCH, keyctl, str(group or "")]
    return [*launch, *call, str(Path(prefix, "bin", "python"))]


@contextlib.contextmanager
def filtered() -> Iterator[int]:
    """A descriptor from which bubblewrap reads the filter of system calls.

    Raises ValueError on a machine whose calls are not known.
    """
    rules = seccomp.program(platform.machine())
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as file:
            file.write(rules)  # less than a pipe holds
        yield reading
    finally:
        os.close(reading)


# Past all walls there must be a filter in force, whatever bubblewrap made of its option.
TRIED = 'exit("Seccomp:\\t2" not in open("/proc/self/status").read())'


def available() -> bool:
    """Whether a sandbox can be made here."""
    if not shutil.which("bwrap") or (os.geteuid() == 0 and not shutil.which("setpriv")):
        return False
    if platform.machine() not in seccomp.MACHINES:
        return False
    with filtered() as rules:
        tried = subprocess.run(
            [*command(0, rules), "-c", TRIED],
            capture_output=True,
            env=environment(True),
            pass_fds=(rules,),
        )
    return tried.returncode == 0


def environment(safe: bool) -> dict[str, str]:
    """All variables that students' code sees: none of the grader's own."""
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
