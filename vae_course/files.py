"""Files that survive: written whole or not at all, read without running code, resumed exactly."""

import errno
import hashlib
import io
import os
import re
import secrets
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

_REMEDIES = {
    errno.ENOSPC: "make room on that disk, or name a path on another",
    errno.EDQUOT: "your quota is used up: make room, or name a path on another disk",
    errno.EFBIG: "this process may not write files so large: raise the limit (ulimit -f)",
    errno.ENOENT: "make the folder first",
}
_ABANDONED = {False: 60.0, True: 86_400.0}  # seconds without a byte, by whether its writer lives


class CheckpointError(RuntimeError):
    """A checkpoint can't be read, or belongs to another run; the message says what to do."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(temporary)`` make the file, then move it to ``path`` in one step.

    A reader, or a run killed at any moment, sees the old file or the new one, never a part: the
    temporary lies in the same folder, and its bytes are on the disk before it takes the name. Each
    writer has a temporary of its own; what killed ones left is removed. Where ``path`` is a link,
    the file that it points to is written. OSError names the file and the remedy.
    """
    with explained(path):
        target = Path(os.path.realpath(path))
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(target.stat().st_mode):
                raise OSError(errno.EINVAL, "it exists and is not a regular file")
        _sweep(target)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            write(temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def prepare(path: Path) -> None:
    """Make the folder of a file and see that it can be written to: before the work, not after."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = Path(os.path.realpath(path)).with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        probe.touch()
        probe.unlink()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """An OSError that is raised inside names this file, and what to do about it."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "name another path")
        text = f"'{path}' can't be written ({error.strerror or error}): {remedy}"
        text += "; what was there before is unchanged"
        raise (OSError(error.errno, text) if error.errno else OSError(text)) from error


def _sweep(target: Path) -> None:
    """Remove temporaries of this file whose writers were killed."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.(\d+)(\.[0-9a-f]+)?\.tmp")
    for entry in os.scandir(target.parent):
        if (match := ours.fullmatch(entry.name)) is None:
            continue
        with suppress(OSError):  # another writer was faster
            quiet = time.time() - entry.stat(follow_symlinks=False).st_mtime
            # A minute: the folder may be shared, and its writer live on another machine.
            if quiet > _ABANDONED[_alive(int(match[1]))]:
                os.unlink(entry)


def _alive(process: int) -> bool:
    """Whether there is such a process on this machine; where it can't be asked, yes."""
    if os.name != "posix":  # there kill would kill
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dicts atomically, with a checksum of all."""
    import torch  # here and below: the book's build writes and reads without it

    memory = io.BytesIO()  # torch's own writer does not say why the disk refuses
    torch.save(state | {"sha256": _digest(state)}, memory)
    write_atomically(path, lambda temporary: temporary.write_bytes(memory.getbuffer()))


def load(path: Path) -> dict[str, Any]:
    """Read what ``save`` wrote, onto the CPU; nothing in the file is executed.

    Raises CheckpointError, naming the file and the remedy, for anything unreadable or changed.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not (isinstance(state, dict) and {"fingerprint", "step"} <= state.keys()):
            raise ValueError("it is not a checkpoint of vae_course")
        if state.pop("sha256", None) != _digest(state):
            raise ValueError("its contents don't match their checksum")
        return state
    except OSError:
        raise  # missing or forbidden: the system's message names the file
    except Exception as error:  # torch.load fails in many types, depending on the damaged byte
        raise CheckpointError(
            f"the checkpoint '{path}' can't be read ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no detail'}); "
            "delete it to train from the start, or name another checkpoint"
        ) from error


def _digest(state: Any) -> str:
    """sha256 of all that a checkpoint holds, names and numbers."""
    digest = hashlib.sha256()
    for part in _parts(state):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[Any]:
    import torch

    if isinstance(value, dict):
        yield f"{len(value)} items".encode()
        for key, item in value.items():
            yield f"{key!r}:".encode()
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield f"{len(value)} of".encode()
        for item in value:
            yield from _parts(item)
    elif isinstance(value, torch.Tensor):
        values = value.detach().cpu().contiguous()
        yield f"{values.dtype} {list(values.shape)} ".encode()
        yield values.reshape(-1).view(torch.uint8).numpy().data
    else:
        yield f"{value!r} ".encode()


def check_fingerprint(path: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise CheckpointError, listing each difference, unless the two runs are the same run."""
    differences = [
        f"{key}: {saved.get(key)!r} in the file, {now.get(key)!r} now"
        for key in sorted(saved.keys() | now.keys())
        if saved.get(key) != now.get(key)
    ]
    if differences:
        raise CheckpointError(
            f"the checkpoint '{path}' belongs to another run ({'; '.join(differences)}); "
            "call with the same arguments to resume it, name another checkpoint, or delete the file"
        )


class Interruption:
    """While entered, Ctrl-C and SIGTERM only set ``signal``, for the loop to stop between steps.

    A second one stops at once by KeyboardInterrupt. Python lets only the main thread handle
    signals: in any other thread nothing changes. The previous handlers come back at the end.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            # None: a handler that was not installed from Python and can't be put back by it
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt(f"stopped at once by a second {self.signal.name}")
        self.signal = signal.Signals(number)
