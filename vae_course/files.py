"""Files that survive: written whole or not at all, read without running code, resumed exactly."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any


class CheckpointError(RuntimeError):
    """A checkpoint can't be read, or belongs to another run; the message says what to do."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(temporary)`` make the file, then move it to ``path`` in one step.

    A reader, or a run killed at any moment, sees the old file or the new one, never a part: the
    temporary lies in the same folder, and its bytes are on the disk before it takes the name.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dicts atomically."""
    import torch  # here and below: the book's build writes and reads without it

    write_atomically(path, lambda temporary: torch.save(state, temporary))


def load(path: Path) -> dict[str, Any]:
    """Read what ``save`` wrote, onto the CPU; nothing in the file is executed.

    Raises CheckpointError, naming the file and the remedy, for anything unreadable.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not (isinstance(state, dict) and {"fingerprint", "step"} <= state.keys()):
            raise ValueError("it is not a checkpoint of vae_course")
        return state
    except OSError:
        raise  # missing or forbidden: the system's message names the file
    except Exception as error:  # torch.load fails in many types, depending on the damaged byte
        raise CheckpointError(
            f"the checkpoint '{path}' can't be read ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no detail'}); "
            "delete it to train from the start, or name another checkpoint"
        ) from error


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
