"""A process that a student's code cannot leave: it may end itself, and sees nobody else."""

import sys

import pytest

from tests.grading.toy import GOOD, assigned, graded, needs_sandbox, notebook
from tests.labs.independent.cells import ROOT
from vae_course.grading import grade, sandbox
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
        monkeypatch.setattr(sandbox, "command", lambda slot: call)

    return instead


@pytest.mark.parametrize(
    "code, reason",
    [
        ("send({'id': 0})", "an answer that nobody asked for"),
        ("send({'id': 2})", "an answer that nobody asked for"),
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
    with pytest.raises(RuntimeError, match="did not start"):
        Sandbox(Limits()).__enter__()


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
for place in ("/", "/usr", "/course/vae_course", sys.prefix):
    if not os.statvfs(place).f_flag & os.ST_RDONLY:  # for whomever it runs as
        written.append(place)
try:
    socket.create_connection(("1.1.1.1", 53), 2)
    net = "open"
except OSError as error:
    net = "closed"
who = os.getuid()
told = [name for name in os.environ if name.startswith("TEACHERS")]
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
