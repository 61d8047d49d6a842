"""What students' code may ask of the kernel: a filter of system calls, as a BPF program.

Namespaces don't hold everything: keyrings, kernel memory behind a descriptor, locks on shared files
and the kernel's rarer interfaces reach past them. A call that is refused fails with an error that
code can catch, and a call that is newer than this table does not exist.
"""

import errno
import struct
from typing import Any

# Numbers of x86_64 and of aarch64 (asm/unistd_64.h and asm-generic/unistd.h); None: has no such.
CALLS: dict[str, tuple[int | None, int | None]] = {
    # keys, which belong to a user or a session and to no namespace
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # other processes, their memory and descriptors
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "personality": (135, 92),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # memory that belongs to no process
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # what one process does to a shared file and another one sees
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "cachestat": (451, 451),
    # a large surface that no notebook needs
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "vmsplice": (278, 75),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "lookup_dcookie": (212, 18),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "syslog": (103, 116),
    # the machine
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "vhangup": (153, 58),
}
# Programs know how to do without these, and look at the error to see that they must.
ABSENT = {"clone3": (435, 435), "flock": (73, 32)}
LAST = 462  # mseal, Linux 6.10
CLONE, MMAP, SOCKET = (56, 220), (9, 222), (41, 198)
FCNTL, IOCTL = (72, 25), (16, 29)
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET
NAMESPACES = 0x7E020000
SHARED, ANONYMOUS = 0x01, 0x20  # MAP_SHARED has this bit and MAP_PRIVATE has not
FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6: those that network namespaces hold
LOCKS = (5, 6, 7, 36, 37, 38, 1024, 1025, 1026)  # of records and open files, leases, notices
TYPING = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]
NUMBER, ARCHITECTURE = 0, 4
LOAD, EQUAL, LEAST, BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000


def argument(number: int) -> int:
    """Where an argument's lower half lies: the kernel reads no more of those that we test."""
    return 16 + 8 * number


class Assembler:
    """Instructions of classic BPF, each ``u16 code; u8 jump if true, if false; u32 operand``."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int, int, int]] = []

    def add(self, code: int, operand: int, true: int = 0, false: int = 0) -> None:
        self.made.append((code, true, false, operand))

    def refuse(self, error: int) -> None:
        self.add(RETURN, REFUSE | error)

    def unless(self, call: int | None, error: int) -> None:
        """Refuse a call."""
        if call is not None:
            self.add(EQUAL, call, 0, 1)
            self.refuse(error)

    def bytes(self) -> bytes:
        return b"".join(struct.pack("=HBBI", *one) for one in self.made)


def program(machine: str) -> bytes:
    """The filter, as ``bwrap --seccomp`` reads it.

    Raises ValueError for a ``machine`` (``platform.machine()``) whose numbers are not known.
    """
    if machine not in MACHINES:
        known = " and ".join(MACHINES)
        raise ValueError(f"machine {machine!r}: the filter of system calls knows {known}")
    which, architecture = MACHINES[machine]
    to = Assembler()
    to.add(LOAD, ARCHITECTURE)
    to.add(EQUAL, architecture, 1, 0)
    to.add(RETURN, KILL)  # another table of numbers, such as that of 32 bits
    to.add(LOAD, NUMBER)
    to.add(LEAST, LAST + 1, 0, 1)
    to.refuse(errno.ENOSYS)
    for numbers in CALLS.values():
        to.unless(numbers[which], errno.EPERM)
    for numbers in ABSENT.values():
        to.unless(numbers[which], errno.ENOSYS)

    def tested(call: tuple[int, int], number: int, tests: list[Any], error: int) -> None:
        """Refuse a call if all of some tests of an argument hold."""
        # Past the load, the tests, the refusal and the number's return into the accumulator.
        to.add(EQUAL, call[which], 0, len(tests) + 3)
        to.add(LOAD, argument(number))
        for at, (code, operand, wanted) in enumerate(tests):
            out = len(tests) - at
            to.add(code, operand, *((0, out) if wanted else (out, 0)))
        to.refuse(error)
        to.add(LOAD, NUMBER)

    tested(CLONE, 0, [(BITS, NAMESPACES, True)], errno.EPERM)
    tested(MMAP, 3, [(BITS, ANONYMOUS, True), (BITS, SHARED, True)], errno.EPERM)
    tested(SOCKET, 0, [(EQUAL, family, False) for family in FAMILIES], errno.EAFNOSUPPORT)
    for command in LOCKS:
        tested(FCNTL, 1, [(EQUAL, command, True)], errno.ENOLCK)
    for command in TYPING:
        tested(IOCTL, 1, [(EQUAL, command, True)], errno.EPERM)
    to.add(RETURN, ALLOW)
    return to.bytes()
