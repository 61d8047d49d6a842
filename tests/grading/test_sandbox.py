"""A process that a student's code cannot leave: it may end itself, and sees nobody else."""

import json
import os
import stat
import subprocess
import sys

import pytest

from tests.grading import hostile
from tests.grading.toy import AS_A_USER, GOOD, assigned, graded, needs_sandbox, notebook
from tests.labs.independent.cells import ROOT
from vae_course.grading import grade, sandbox, walls
from vae_course.grading.assignment import Session
from vae_course.grading.sandbox import Limits, Sandbox, SandboxError

# ---- its answers are not trusted: other programs in the worker's place

FIRST = """\
import json, os, sys

def send(message, size=None):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    os.write(1, (size or len(body)).to_bytes(4, "big") + body)

"""


@pytest.fixture
def program(monkeypatch):
    """What runs instead of bubblewrap and the worker."""

    def instead(code: str) -> None:
        call = [sys.executable, "-c", FIRST + code]
        monkeypatch.setattr(walls, "command", lambda slot, rules, group: call)

    return instead


@pytest.mark.parametrize(
    "code, reason",
    [
        ("send({'id': 0})", "an answer that nobody asked for"),
        ("send({'id': 2})", "an answer that nobody asked for"),
        ("send({'id': True})", "a message of no known form"),
        ("send({'id': 1.0})", "a message of no known form"),
        ("send(b'{')", "a message that is no JSON"),
        ("send(b'[' * 99999)", "a message that is no JSON"),
        ("send([])", "a message of no known form"),
        ("send({'id': 'one'})", "a message of no known form"),
        ("send(b'', 0xffffffff)", "a message of 4,294,967,295 bytes"),
        ("sys.exit(3)", r"ended by itself \(status 3\)"),
    ],
)
def test_an_answer_against_the_rules_ends_it(program, code, reason):
    program(f"send({{'id': 0}})\nos.read(0, 99999)\n{code}\nos.read(0, 99999)")
    with Sandbox(Limits()) as started, pytest.raises(SandboxError, match=reason):
        started.request(60, do="cell", source="")


def test_it_has_so_many_seconds_in_all(program):
    program("send({'id': 0})\nos.read(0, 99999)\nsend({'id': 1})")
    with Sandbox(Limits(total=1e-9)) as started:
        with pytest.raises(SandboxError, match="more than 1e-09 seconds in all"):
            started.request(60, do="cell", source="")


@pytest.mark.parametrize("code", ["send({'id': 1})", "print('Traceback', file=sys.stderr)"])
def test_one_that_does_not_start_is_an_error_and_no_zero(program, code):
    program(code)
    with pytest.raises(RuntimeError, match="did not start") as raised:
        Sandbox(Limits()).__enter__()
    assert "Traceback" in str(raised.value) or "Traceback" not in code


def test_it_has_so_many_seconds_to_start(program):
    program("import time\ntime.sleep(600)")
    with pytest.raises(RuntimeError, match="out of time"):
        Sandbox(Limits(start=0.1)).__enter__()


FORGED = [
    {"t": "fraction", "v": [1, 0]},  # ZeroDivisionError
    {"t": "array", "dtype": "int8", "shape": [1], "data": "AA"},
    {"t": "scalar", "dtype": "f8", "shape": [0], "data": ""},
    {"t": "handle", "id": True, "text": ""},
    {"t": "handle", "id": 1 << 5000, "text": ""},
    {"t": "handle", "id": 0, "text": {}},
    {"t": "complex", "v": [1, 1 << 3000]},  # OverflowError
    {"t": "dict", "v": [[[], 1]]},
    {"t": "x"},
]


@pytest.mark.parametrize("value", FORGED, ids=lambda value: json.dumps(value)[:40])
def test_a_forged_value_ends_it(program, value):
    program(
        "send({'id': 0})\nos.read(0, 99999)\n"
        f"send({{'id': 1, 'value': {{'x': {value!r}}}}})\nos.read(0, 99999)"
    )
    with Sandbox(Limits()) as started:
        with pytest.raises(SandboxError, match="it sent what cannot be read"):
            Session(started).ask(("x",))
        assert started.process.wait(30) == -9


def test_what_it_says_of_itself_is_no_file_and_a_flood_is_not_kept(program):
    program(
        "import stat\nsend({'id': 0, 'file': stat.S_ISREG(os.fstat(2).st_mode)})\n"
        "os.write(2, b'x' * (1 << 20) + b'end')\nos.read(0, 99999)\nsend({'id': 1})\n"
        "os.read(0, 99999)"
    )
    with Sandbox(Limits()) as started:
        started.request(60, do="cell", source="")
        assert stat.S_ISFIFO(os.fstat(started.process.stderr.fileno()).st_mode)
    started.ear.join(30)
    assert started.said == b"x" * 497 + b"end"


@pytest.mark.parametrize(
    "held, reason",
    [
        ((0, 4097), "it made more than 4,096 files"),
        ((3 << 30, 1), "its processes took more than 3,072 MiB"),
    ],
)
def test_files_are_counted_as_memory_is(program, monkeypatch, held, reason):
    program("send({'id': 0})\nwhile os.read(0, 99999): pass")
    with Sandbox(Limits()) as started:
        monkeypatch.setattr(sandbox.usage, "scratch", lambda pid: held)
        with pytest.raises(SandboxError, match=reason):
            started.request(60, do="cell", source="")


# ---- students' code, in its sandbox

FATAL = {
    "nothing stops it": (
        "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "while True: time.sleep(0.1)",
        "it does not stop: out of time",
    ),
    "os._exit": ("import os\nos._exit(0)", "its process ended by itself"),
    "forged messages": (
        "import os\nfor fd in range(3, 30):\n"
        "    try: os.write(fd, b'\\0\\0\\0\\x09{\"id\": 2}' * 9)\n"
        "    except OSError: pass",
        "an answer that nobody asked for",
    ),
    "a frame of four gigabytes": (
        "import os\nfor fd in range(3, 30):\n    try: os.write(fd, b'\\xff' * 99)\n"
        "    except OSError: pass",
        "4,294,967,295 bytes",
    ),
}


@needs_sandbox
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("title", FATAL)
def test_code_that_ends_its_process_earns_nothing_and_is_told_why(tmp_path, title):
    code, reason = FATAL[title]
    result = graded(tmp_path, code, GOOD, limits=Limits(cell=1))
    assert result["score"] == 0 and result["reason"].startswith("stopped: "), result
    assert reason in result["reason"]
    assert {p.name for p in tmp_path.iterdir()} == {"one.ipynb", "grading.json"}


@needs_sandbox
@pytest.mark.timeout(1800)
def test_many_processes_may_not_hold_together_what_one_may_not(tmp_path):
    bomb = (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n"
        "        x = b'x' * (300 << 20)\n        time.sleep(999)\ntime.sleep(999)"
    )
    result = graded(tmp_path, bomb, GOOD, limits=Limits(cell=200, memory=1 << 30))
    assert result["score"] == 0
    assert result["reason"] == "stopped: its processes took more than 1,024 MiB"


SPY = f"""
import os, socket, sys
found = []
for folder in ("/home", "/root", "/mnt", "/proc/1/root/home", {str(ROOT)!r}, "{{folder}}"):
    for where, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if f != "site-packages"]
        found += [f for f in files if f.endswith((".ipynb", "grading.json"))]
written = []
for path in ("/x", "/usr/x", "/course/x", "/etc/x", "{{folder}}/x", "/dev/shm/x"):
    try:
        open(path, "w").write("x")
        written.append(path)
    except OSError:
        pass
# For whomever it runs as.
mounts = [line.split() for line in open("/proc/mounts")]
open_ = [m[1] for m in mounts if "ro" not in m[3].split(",") and m[1][:5] != "/dev/"]
written += [place for place in open_ if place not in ("/tmp", "/proc")]
try:
    socket.create_connection(("1.1.1.1", 53), 2)
    net = "open"
except OSError as error:
    net = "closed"
who = os.getuid()
told = [name for name in os.environ if name.startswith("TEACHERS")]
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        if b"TEACHERS" in open("/proc/" + process + "/environ", "rb").read():
            told.append(process)
    except OSError:
        pass
answer = 42
seen = (found, written, net, who != 0, told)
assert seen == ([], [], "closed", True, []), seen
"""


@needs_sandbox
@pytest.mark.timeout(1800)
def test_a_spy_finds_no_test_and_no_other_submission_writes_nothing_and_has_no_network(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TEACHERS_PASSWORD", "24 points")
    (tmp_path / "other.ipynb").write_text(notebook(GOOD))
    path = tmp_path / "spy.ipynb"
    path.write_text(notebook(SPY.replace("{folder}", str(tmp_path))))
    result = grade.submission(path, assigned(tmp_path), Limits())
    assert result["notes"] == [] and result["score"] == 1


# What may not work says 37, and what holds says 20.
HELD = {
    "keys that others find": hostile.KEYS,
    "memory that belongs to nobody": hostile.MEMORIES,
    "the kernel's rarer calls": hostile.KERNEL,
    "locks on shared files": hostile.LOCKS,
    "files and sockets of the grader's": hostile.REACHED,
}


@needs_sandbox
@pytest.mark.timeout(1800)
def test_the_kernel_keeps_nothing_for_others_and_no_memory_that_nobody_counts(tmp_path):
    cells = [f"{code}\nassert empty_core == 20, {title!r}" for title, code in HELD.items()]
    result = graded(tmp_path, *cells, GOOD)
    assert (result["notes"], result["score"], result["reason"]) == ([], 5, None)


@needs_sandbox
@pytest.mark.slow(reason="a notebook in a sandbox; by default what is counted is a fake")
@pytest.mark.timeout(1800)
def test_files_in_its_tmp_are_counted(tmp_path):
    code = (
        "import os, time\nfor n in range(20_000): os.close(os.open(f'/tmp/{n}', os.O_CREAT))\n"
        "time.sleep(60)"
    )
    result = graded(tmp_path, code, GOOD)
    assert result["score"] == 0
    assert result["reason"] == "stopped: it made more than 4,096 files"


INSIDE = """
import subprocess
from vae_course.grading import walls
with walls.filtered() as rules:
    call = [*walls.command(0, rules), "-c", {code!r}]
    subprocess.run(call, env=walls.environment(True), pass_fds=(rules,), check=True)
"""
LOOKS = """
import os
mounts = [line.split() for line in open("/proc/mounts")]
print([m[1] for m in mounts if "ro" not in m[3].split(",") and m[1][:5] != "/dev/"])
for place in ("/usr", "/dev", "/course", "/course/vae_course", "/", "/dev/shm"):
    try:
        open(place + "/x", "w")
        print("wrote", place)
    except OSError:
        pass
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["Seccomp"].strip(), status["CapEff"].strip().strip("0"), os.getuid() > 0)
"""


@needs_sandbox
@pytest.mark.parametrize("who", ["root", "a user"])
def test_for_whomever_it_runs_as_nothing_but_its_tmp_can_be_written(who):
    if who == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    call = [*(AS_A_USER if os.geteuid() == 0 and who != "root" else [])]
    call += [sys.executable, "-c", INSIDE.format(code=LOOKS)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "['/proc', '/tmp']\n2  True\n", done.stderr
