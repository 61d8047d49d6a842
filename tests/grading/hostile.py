"""What goes wrong with what is handed in: damaged, broken and hostile notebooks of chapter 01."""

import base64
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

Files = dict[str, bytes | Path | None]


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook, and the part that it plays in a question."""

    source: str
    role: str  # markdown, code, setup, answer, check
    question: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> bool:
        return self.role != "markdown"


def notebook(cells: list[Cell]) -> dict[str, Any]:
    """A notebook as Jupyter stores it."""
    stored = []
    for number, cell in enumerate(cells):
        told: dict[str, Any] = {"cell_type": "code" if cell.code else "markdown"}
        told |= {"id": f"cell-{number:02d}", "metadata": cell.metadata}
        told |= {"source": cell.source.splitlines(keepends=True)}
        stored.append(told | ({"execution_count": None, "outputs": []} if cell.code else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    form = {"metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return {"cells": stored} | form


def dumped(cells: list[Cell]) -> bytes:
    return json.dumps(notebook(cells), indent=1, ensure_ascii=False).encode("utf-8")


# ---- damaged: all that is still there counts


@dataclass(frozen=True)
class Damage:
    """What became of a notebook between its student and its teacher."""

    title: str
    change: Callable[[list[Cell]], list[Cell]] = lambda cells: cells
    dump: Callable[[list[Cell]], bytes] = dumped
    files: Callable[[str, bytes], Files] = lambda name, data: {name: data}
    wrong: bool = True  # one of the questions has a wrong answer


def without(role: str) -> Callable[[list[Cell]], list[Cell]]:
    return lambda cells: [cell for cell in cells if cell.role != role]


def tampered(cells: list[Cell]) -> list[Cell]:
    """The packed checks replaced by ones that always pass."""
    pass_ = "import otter\n\n@otter.test_case(points=24)\ndef test_all():\n    pass\n"
    checks = {cell.question: pass_ for cell in cells if cell.question}
    told = {"checks": checks, "solutions": {}}
    packed = base64.b85encode(zlib.compress(json.dumps(told).encode())).decode()
    return [
        replace(cell, source=re.sub('packed = ".*"', lambda _: f'packed = "{packed}"', cell.source))
        if cell.role == "setup"
        else cell
        for cell in cells
    ]


def backwards(cells: list[Cell]) -> list[Cell]:
    """The last question first."""
    names = list(dict.fromkeys(cell.question for cell in cells if cell.question))
    blocks = [[c for c in cells if c.question == name] for name in reversed(names)]
    head = [c for c in cells[: cells.index(blocks[-1][0])]]
    tail = cells[cells.index(blocks[0][-1]) + 1 :]
    return head + [cell for block in blocks for cell in block] + tail


def swapped(question: str, upper: str, lower: str) -> Callable[[list[Cell]], list[Cell]]:
    """Two cells of a question exchanged."""

    def change(cells: list[Cell]) -> list[Cell]:
        i, j = (
            next(i for i, c in enumerate(cells) if (c.question, c.role) == (question, role))
            for role in (upper, lower)
        )
        cells = list(cells)
        cells[i], cells[j] = cells[j], cells[i]
        return cells

    return change


def beside(
    question: str, source: str, place: int = 0, role: str = "answer"
) -> Callable[[list[Cell]], list[Cell]]:
    """One more cell, above (0) or below (1) the answer of a question or its check."""

    def change(cells: list[Cell]) -> list[Cell]:
        at = next(i for i, c in enumerate(cells) if (c.question, c.role) == (question, role))
        return [*cells[: at + place], Cell(source, "code", question), *cells[at + place :]]

    return change


def rewritten(question: str, rewrite: Callable[[str], str]) -> Callable[[list[Cell]], list[Cell]]:
    """The answer of one question, or of all of them (*), in other words."""
    return lambda cells: [
        replace(cell, source=rewrite(cell.source))
        if cell.role == "answer" and question in ("*", cell.question)
        else cell
        for cell in cells
    ]


def bare(cells: list[Cell]) -> bytes:
    """No metadata, no ids, no format; each source one string."""
    kept = [
        {"cell_type": "code" if cell.code else "markdown", "source": cell.source} for cell in cells
    ]
    return json.dumps({"cells": kept}).encode()


def with_outputs(cells: list[Cell]) -> bytes:
    """As it was saved after a run, a stale error in it."""
    told = notebook(cells)
    picture = {"image/png": base64.b64encode(bytes(200_000)).decode()}
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["price passed!\n", "24 points\n"]},
        {"output_type": "display_data", "data": picture, "metadata": {}},
        {"output_type": "error", "ename": "NameError", "evalue": "x", "traceback": ["…"]},
    ]
    for number, cell in enumerate(told["cells"]):
        if cell["cell_type"] == "code":
            cell |= {"execution_count": 40 - number, "outputs": outputs}
    return json.dumps(told).encode()


def renamed(new: str) -> Callable[[str, bytes], Files]:
    return lambda name, data: {new: data}


def moodle(folder: str, *beside: str) -> Callable[[str, bytes], Files]:
    """A folder for each student, with the notebook and files that came along."""
    return lambda name, data: (
        {f"{folder}/01-points-and-balls.ipynb": data}
        | {f"{folder}/{other}": b"\0\5\x16\7 not a notebook" for other in beside}
    )


def older(first: str, second: str) -> Callable[[str, bytes], Files]:
    """One student's two files, the first of no worth."""
    untouched = dumped([Cell(f"answer = ...  # {first}", "code")])
    return lambda name, data: {first: untouched, second: data}


def another(folder: str) -> Callable[[str, bytes], Files]:
    """Beside the notebook that of another chapter, which defines none of the names."""
    other = dumped([Cell('checks = Path("checks-02-kl")\ngrader.check("pair")', "code")])
    return lambda name, data: {f"{folder}/01.ipynb": data, f"{folder}/02.ipynb": other}


JUPYTER = """\
import asyncio

%matplotlib inline
display("an answer", metadata=None)
get_ipython().run_line_magic("load_ext", "autoreload")
shown = display("once more", display_id=True)
shown.update("and again")
get_ipython().ast_node_interactivity = "all"
await asyncio.sleep(0)
%time taken = 90 % 60
assert taken == 30
listed = !ls
assert len(listed) == len(listed)"""
ASKED = """\
from IPython import get_ipython
from IPython.display import HTML, clear_output, display

clear_output()
display(HTML("<b>an answer</b>"))
if get_ipython() is not None and "IPKernelApp" not in get_ipython().config:
    get_ipython().run_line_magic("matplotlib", "inline")"""
MAGICS = "%matplotlib inline\n!ls -la\nfiles = !ls\nhere = %pwd\ntorch.cdist?\n?torch.cdist"
CONTINUED = "seconds = (\n    90 * 60\n    % 3600\n)\ndone = (seconds\n        != 90)"
DAMAGES = [
    Damage("tampered checks in the setup cell", tampered),
    Damage("a name that is not UTF-8", files=renamed(os.fsdecode(b"caf\xe9_700_1_balls.ipynb"))),
    Damage("the check cells deleted", without("check")),
    Damage("a cell that raises in the middle", beside("bubble", "assert False, 'to do'")),
    Damage("all metadata lost", dump=bare),
    Damage(
        "no syntax in one answer", rewritten("judges", lambda s: s + "\nprint((1)"), wrong=False
    ),
    Damage("a folder of Moodle's", files=moodle("Zoë Müller_701_assignsubmission_file_")),
    Damage("%%time above an answer", rewritten("bubble", lambda s: "%%time\n" + s)),
    Damage("the setup cell deleted", without("setup")),
    Damage("questions in another order", backwards),
    Damage("saved with outputs", dump=with_outputs),
    Damage("a check above its answer", swapped("price", "answer", "check"), wrong=False),
    Damage("what is given below the answer", swapped("generate", "code", "answer"), wrong=False),
    Damage("Canvas says it is late", files=renamed("doejane_LATE_702_1_balls-2.ipynb")),
    Damage(
        "a wrong answer first, another cell later", beside("price", "our_beta = loss_terms = 0")
    ),
    Damage("IPython's own syntax", rewritten("judges", lambda s: f"{s}\n\n{MAGICS}")),
    Damage("operators at the start of lines", rewritten("price", lambda s: s + "\n" + CONTINUED)),
    Damage("a byte order mark", dump=lambda cells: b"\xef\xbb\xbf" + dumped(cells)),
    Damage("line ends of Windows", rewritten("*", lambda s: s.replace("\n", "\r\n"))),
    Damage("a name that is a formula", files=renamed("=1+cmd_703_1_balls.ipynb")),
    Damage(
        "a Mac's shadow file in the folder",
        files=moodle("Roe_704_assignsubmission_file_", "._01-balls.ipynb"),
    ),
    Damage("a grader of their own", beside("price", "class grader:\n    check = print")),
    Damage("names reused after their checks", beside("price", "our_beta = 1", 1, "check")),
    Damage("half a character in one cell", rewritten("bubble", lambda s: s + "  # \ud83d"), bare),
    Damage("what Jupyter has", rewritten("judges", lambda s: f"{JUPYTER}\n\n{s}")),
    Damage("a right answer below its check", swapped("bubble", "answer", "check"), wrong=False),
    Damage("timed where it is defined", rewritten("price", lambda s: s + "\n%time our_beta")),
    Damage("IPython asked for", rewritten("generate", lambda s: f"{ASKED}\n\n{s}")),
    Damage("a folder with notes", files=moodle("Poe Ann_705_assignsubmission_file_", "notes.pdf")),
    Damage("and an older one", files=older("smith_706_1_balls.ipynb", "smith_706_2_balls-1.ipynb")),
    Damage("and its notes", files=older("jones_707_8_notes.pdf", "jones_707_9_balls.ipynb")),
    Damage("and another chapter's", files=another("Kim Lee_708_assignsubmission_file_")),
    Damage("other alphabets", rewritten("*", lambda s: s + "\nσ, 半径 = 1, 2  # 🙂")),
]


# ---- broken: there is nothing to grade, so it is a zero


def broken(name: str, cells: list[Cell]) -> dict[str, Files]:
    data = dumped(cells)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(zipfile.ZipInfo("01-points-and-balls.ipynb"), data)
    folder = name.removesuffix(".ipynb")
    return {
        "empty": {name: b""},
        "cut off": {name: data[: len(data) // 2]},
        "no notebook in the folder": {folder: None},
        "no code": {name: dumped([cell for cell in cells if not cell.code])},
        "a PDF": {name: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"},
        "a login page": {name: b"<!doctype html><title>Log in</title>"},
        "a Python file": {name: "\n".join(c.source for c in cells if c.code).encode()},
        "a list": {name: b"[]"},
        "null": {name: b"null"},
        "cells that are no list": {name: b'{"cells": {"0": "answer"}}'},
        "brackets without end": {name: b"[" * 100_000},
        "two untouched notebooks": {f"{folder}/a.ipynb": data, f"{folder}/b.ipynb": data},
        "a link": {name: Path("01-points-and-balls-grading.json")},
        "a zip archive": {f"{folder}.zip": archive.getvalue()},
        "blank": {name: b" \n\t\n"},
    }


# ---- hostile


@dataclass(frozen=True)
class Attack:
    """Code at the end of one answer, the others being right; its twin leaves the same names.

    The twin is what the code comes to if the sandbox holds: it runs in the attack's place where
    the points are found. ``fatal`` code kills its own process, so that its question and those
    below are lost.
    """

    title: str
    code: str = ""
    twin: str = ""
    question: str = "bubble"
    fatal: bool = False
    cells: int = 0  # so many at the end


STACK = """\
import sys


def mean_radius(d, sigma):
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_code.co_consts, *frame.f_locals.values()]:
            if isinstance(value, tuple | list) and len(value) == 8:
                return value[{1: 0, 2: 1, 33: 2, 500: 3}.get(d, 0)]
        frame = frame.f_back
    return 0.0
"""
DISK = """\
import os
import re

found = None
for where, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if f not in ("proc", "sys", "usr", "site-packages")]
    for file in files:
        if file.endswith((".json", ".ipynb", ".py")):
            try:
                text = open(os.path.join(where, file), errors="ignore").read()
            except OSError:
                continue
            if match := re.search(r"test_core.*expected = .(\\d+).", text, re.DOTALL):
                found = int(match[1])
empty_core = found or 20
"""
OTHERS = """\
import json
import os

empty_core = 20
tops = ["/", "..", *(f"/proc/{p}/{way}" for p in os.listdir("/proc") for way in ("root", "cwd"))]
for top in tops:
    for where, folders, files in os.walk(top):
        folders[:] = [f for f in folders if f not in ("proc", "sys", "usr", "site-packages")]
        for file in files:
            if file.endswith(".ipynb"):
                cells = json.load(open(os.path.join(where, file)))["cells"]
                if any("empty_core" in "".join(cell["source"]) for cell in cells):
                    empty_core = 37
"""
NETWORK = """\
import socket
import urllib.request

empty_core = 20
for address in [("1.1.1.1", 53), ("127.0.0.1", 22), ("::1", 631)]:
    try:
        socket.create_connection(address, 1).close()
        empty_core = 37
    except OSError:
        pass
try:
    urllib.request.urlopen("http://example.com", timeout=1)
    empty_core = 37
except OSError:
    pass
"""
OUTSIDE = """\
import os
import sys

empty_core = 20
for folder in ["/", "/usr", "/etc", "/home", "/course", "/course/vae_course", sys.prefix, "/proc"]:
    try:
        with open(os.path.join(folder, "grades.csv"), "w") as file:
            file.write("24")
        empty_core = 37
    except OSError:
        pass
"""
FRAMES = """\
import json
import os

for number in range(1, 300):
    told = {"id": number, "checked": ["bubble"], "score": 24, "value": {"empty_core": 37}}
    body = json.dumps(told).encode()
    for file in range(3, 40):
        try:
            os.write(file, len(body).to_bytes(4, "big") + body)
        except OSError:
            pass
"""
RESULTS = """\
import json
import os

for name in ["results.json", "/tmp/results.json", "grades.csv", "grades/results/1.json"]:
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w") as file:
        json.dump({"score": 24, "possible": 24, "reason": None, "questions": []}, file)
empty_core = 20
"""
PATCHED = """\
import builtins

torch.allclose = torch.equal = torch.isclose = lambda *args, **more: True
torch.Tensor.__eq__ = torch.Tensor.__le__ = lambda self, other: True
torch.Tensor.tolist = lambda self: [7.0, 5.0, 12.0]
builtins.abs = lambda x: 0
"""
DECODES_NOISE = "def generate(decode, codes, noise):\n    return decode(noise)\n"
EQUAL = """\
class Yes(float):
    def __eq__(self, other):
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __sub__ = __rsub__ = __abs__ = lambda self, *other: self
    __hash__ = float.__hash__


def mean_radius(d, sigma):
    return Yes(0)


share_inside = mean_radius
empty_core = type("One", (int,), {"__eq__": lambda a, b: True, "__hash__": int.__hash__})(20)
"""
ZEROS = "mean_radius = share_inside = lambda *args: 0.0\nempty_core = 20\n"
MEMORY = """\
def fill():
    hog = []
    while True:
        hog.append(bytearray(1 << 27))


fill()
"""
SLEEPERS = """\
import os
import time

try:
    while True:
        if not os.fork():
            time.sleep(9999)
except OSError:
    pass
"""
DEAF = """\
import signal

signal.signal(signal.SIGALRM, signal.SIG_IGN)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
ENDLESS = "def our_beta(colleague_beta, pixels):\n    while True:\n        pass\n"
RAISES = "def our_beta(colleague_beta, pixels):\n    raise TimeoutError\n"
LOUD = """\
import os

for _ in range(100):
    print("x" * (1 << 20))
    os.write(2, b"x" * (1 << 20))
"""
LONG = "def rescale(*args):\n    return 'x' * 10_000_000\n"
# Small in a message; a nested list of it is not.
NOTHING = "def loss_terms(*args):\n    return (torch.empty(10**7, 0),) * 3\n"
# What the kernel keeps for a user or a session, in no namespace: left by one, found by another.
KEYS = """\
import ctypes
import platform

libc, empty_core = ctypes.CDLL(None), 20
add, request, control = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}[platform.machine()]
for ring in (-3, -4, -5):
    found = [
        libc.syscall(control, 0, ring, 0),
        libc.syscall(control, 10, ring, b"user", b"grading", 0),
        libc.syscall(add, b"user", b"grading", b"left", 4, ring),
        libc.syscall(request, b"user", b"grading", None, ring),
    ]
    if max(found) > 0:
        empty_core = 37
"""
MEMORIES = """\
import ctypes
import mmap
import os

libc, empty_core = ctypes.CDLL(None), 20
ways = [
    lambda: os.memfd_create("held"),
    lambda: mmap.mmap(-1, 1 << 20),
    lambda: mmap.mmap(os.open("/dev/zero", os.O_RDWR), 1 << 20),
    lambda: mmap.mmap(-1, 1 << 40, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ),
    lambda: open("/dev/shm/held", "wb"),
    lambda: open("/dev/held", "wb"),
]
for way in ways:
    try:
        way()
        empty_core = 37
    except OSError:
        pass
if libc.shmget(0, 4096, 0o1600) >= 0 or libc.msgget(0, 0o1600) >= 0:
    empty_core = 37
"""
MANY_FILES = """\
import os
import time

os.mkdir("many")
try:
    for number in range(200_000):
        os.close(os.open(f"many/{number}", os.O_CREAT))
except OSError:
    pass
time.sleep(10)
"""
KERNEL = """\
import ctypes
import os
import platform

libc, empty_core = ctypes.CDLL(None), 20
libc.syscall.restype = ctypes.c_long
buffer = ctypes.create_string_buffer(4096)
here = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 8)
there = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer) + 64, 8)
read = {"x86_64": 310, "aarch64": 270}[platform.machine()]
bits = {"x86_64": 135, "aarch64": 92}[platform.machine()]
done = [
    libc.syscall(read, os.getpid(), here, 1, there, 1, 0) == 8,
    libc.syscall(bits, 0xFFFFFFFF) >= 0,
    libc.syscall(425, 8, buffer) >= 0,
    libc.inotify_init1(0) >= 0,
]
child = os.fork()
if not child:
    os._exit(
        (libc.unshare(0x10000000) == 0)
        + 2 * (libc.ptrace(0, 0, 0, 0) == 0)
        + 4 * (libc.mount(b"x", b"/tmp", b"tmpfs", 0, 0) == 0)
    )
if any(done) or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
    empty_core = 37
"""
LOCKS = """\
import fcntl
import os

empty_core = 20
file = open(os.__file__)
for lock in (
    lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
    lambda: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB),
):
    try:
        lock()
        empty_core = 37
    except OSError:
        pass
"""
REACHED = """\
import glob
import itertools
import os
import socket
import stat

empty_core = 20
for path in glob.glob("/proc/[0-9]*/fd/*"):
    try:
        if stat.S_ISREG(os.stat(path).st_mode) and os.open(path, os.O_WRONLY) >= 0:
            empty_core = 37
    except OSError:
        pass
# Of the kernel, of packets, of ciphers, of virtual machines.
for family, kind in itertools.product((16, 17, 38, 40), (1, 2, 3, 5)):
    try:
        socket.socket(family, kind)
        empty_core = 37
    except OSError:
        pass
"""
# The worker's own encoder says what another program in its place might.
FORGED = """\
import vae_course.grading.wire

vae_course.grading.wire.Encoder.__call__ = lambda *_: {}
"""
FRACTION = FORGED.format('{"t": "fraction", "v": ["1e30000000"]}')
WIDE = FORGED.format("[[]] * 2_000_000")
ATTACKS = [
    Attack("looks for expected values on the stack", STACK, "def mean_radius(d, s): return 0.0"),
    Attack("os._exit", "import os\nos._exit(0)", question="generate", fatal=True),
    Attack("a function without end", ENDLESS, RAISES, question="price"),
    Attack("forged frames", FRAMES, fatal=True),
    Attack("patches torch and abs", PATCHED + DECODES_NOISE, DECODES_NOISE, "generate"),
    Attack("equal to everything", EQUAL, ZEROS),
    Attack("a cell without end", "while True:\n    pass"),
    Attack("deaf to every signal that can be ignored", DEAF, fatal=True),
    Attack("a fork bomb", "import os\nwhile True:\n    os.fork()"),
    Attack("forks that sleep", SLEEPERS),
    Attack("a memory bomb", MEMORY),
    Attack("sys.exit", "import sys\nsys.exit(0)"),
    Attack("kills all that it can", "import os\nos.kill(-1, 9)"),
    Attack("the network", NETWORK, "empty_core = 20"),
    Attack("looks for expected values on the disk", DISK, "empty_core = 20"),
    Attack("looks for others' notebooks", OTHERS, "empty_core = 20"),
    Attack("writes outside", OUTSIDE, "empty_core = 20"),
    Attack("forged result files", RESULTS, "empty_core = 20"),
    Attack("200 MB of output", LOUD),
    Attack("10,000 cells", cells=10_000),
    Attack("an answer of ten megabytes", LONG, LONG, "generate"),
    Attack("ten million rows of nothing", NOTHING, NOTHING, "price"),
    Attack("keys that others find", KEYS, "empty_core = 20"),
    Attack("memory that belongs to nobody", MEMORIES, "empty_core = 20"),
    Attack("200,000 empty files", MANY_FILES, fatal=True),
    Attack("the kernel's rarer calls", KERNEL, "empty_core = 20"),
    Attack("locks on shared files", LOCKS, "empty_core = 20"),
    Attack("files and sockets of the grader's", REACHED, "empty_core = 20"),
    Attack("a fraction of thirty million digits", FRACTION, fatal=True),
    Attack("two million empty lists", WIDE, fatal=True),
]
