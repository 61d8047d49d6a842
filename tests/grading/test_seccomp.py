"""The filter of system calls, run here instruction by instruction as the kernel runs it."""

import errno
import functools
import re
import struct
from pathlib import Path

import pytest

from vae_course.grading import seccomp

ALLOWED = 0
MACHINES = list(seccomp.MACHINES)


@functools.cache
def read(machine: str) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", seccomp.program(machine)))


def asked(machine: str, call: int, *arguments: int, architecture: int | None = None) -> int:
    """What comes of a call: 0, the error that it gets, or -1 where it ends the process."""
    data = struct.pack(
        "=iIQ6Q",
        call,
        seccomp.MACHINES[machine][1] if architecture is None else architecture,
        0,
        *(*arguments, *[0] * 6)[:6],
    )
    rules = read(machine)
    value = at = 0
    while True:
        code, true, false, operand = rules[at]
        at += 1
        if code == 0x15:
            at += true if value == operand else false
        elif code == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
        elif code == 0x35:
            at += true if value >= operand else false
        elif code == 0x45:
            at += true if value & operand else false
        else:
            assert code == 0x06
            if operand == 0x80000000:
                return -1
            return {0x7FFF0000: 0, 0x00050000: operand & 0xFFFF}[operand & 0xFFFF0000]


def number(machine: str, numbers: tuple[int | None, int | None]) -> int | None:
    return numbers[seccomp.MACHINES[machine][0]]


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_the_list_are_refused_and_those_beside_them_are_not(machine):
    refused = {number(machine, told) for told in seccomp.CALLS.values()} - {None}
    absent = {number(machine, told) for told in seccomp.ABSENT.values()}
    for call in range(seccomp.LAST + 1):
        wanted = errno.EPERM if call in refused else errno.ENOSYS if call in absent else ALLOWED
        if call != number(machine, seccomp.SOCKET):
            assert asked(machine, call) == wanted, call
    assert asked(machine, seccomp.LAST + 1) == errno.ENOSYS
    assert asked(machine, 0x40000000) == errno.ENOSYS, "the x32 table"


@pytest.mark.parametrize("machine", MACHINES)
def test_another_table_of_numbers_ends_the_process(machine):
    assert asked(machine, 0, architecture=0x40000003) == -1


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "call, arguments, wanted",
    [
        ("CLONE", (0x10000000 | 17,), errno.EPERM),  # CLONE_NEWUSER
        ("CLONE", (0x00020000,), errno.EPERM),  # CLONE_NEWNS
        ("CLONE", (0x003D0F00,), ALLOWED),  # a thread
        ("CLONE", (17,), ALLOWED),  # a process
        ("MMAP", (0, 4096, 3, 0x21), errno.EPERM),  # shared, of no file
        ("MMAP", (0, 4096, 3, 0x23), errno.EPERM),
        ("MMAP", (0, 4096, 3, 0x22), ALLOWED),  # private
        ("MMAP", (0, 4096, 3, 0x01), ALLOWED),  # shared, of a file
        ("SOCKET", (1, 1), ALLOWED),
        ("SOCKET", (10, 1), ALLOWED),
        ("SOCKET", (16, 3), errno.EAFNOSUPPORT),
        ("SOCKET", (40, 1), errno.EAFNOSUPPORT),  # of virtual machines: no namespace holds it
        ("FCNTL", (3, 6), errno.ENOLCK),
        ("FCNTL", (3, 37), errno.ENOLCK),
        ("FCNTL", (3, 1031), ALLOWED),
        ("IOCTL", (0, 0x5412), errno.EPERM),
        ("IOCTL", (0, 0x5413), ALLOWED),
    ],
)
def test_some_calls_are_refused_for_an_argument(machine, call, arguments, wanted):
    assert asked(machine, number(machine, getattr(seccomp, call)), *arguments) == wanted


def test_a_machine_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="machine 'riscv64': .* x86_64 and aarch64"):
        seccomp.program("riscv64")


@pytest.mark.parametrize(
    "machine, header",
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_numbers_are_the_kernels(machine, header):
    if not Path(header).exists():
        pytest.skip(f"no {header}: linux-libc-dev is not installed")
    told = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(header).read_text())
    known = {name: int(n) for name, n in told}
    ours = seccomp.CALLS | seccomp.ABSENT
    ours |= {n.lower(): getattr(seccomp, n) for n in ("CLONE", "MMAP", "SOCKET", "FCNTL", "IOCTL")}
    wrong = {name: number(machine, told) for name, told in ours.items()}
    newer = {"cachestat"}  # than some headers
    wrong = {k: v for k, v in wrong.items() if known.get(k) != v and k not in newer - known.keys()}
    assert wrong == {}
