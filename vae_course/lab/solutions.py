r"""Solutions that travel with an exercise, locked, and open for who has solved it.

The key is made of the right answers: the numbers that a right program gives on inputs of its own.
Only cells that wide as a test's tolerance are kept of each number, as an offset modulo its width
(a *fuzzy commitment*: Juels and Wattenberg 1999), so that right answers in another precision make
the same key and nobody can read the solution, or an answer, out of the notebook.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

LOCKED = "Not open yet: it opens when your answers are right, hidden tests and all."


def leaves(answers: Any) -> Iterator[Any]:
    """The numbers and words of nested answers, in order."""
    if isinstance(answers, Mapping):
        answers = [part for item in answers.items() for part in item]
    if isinstance(answers, list | tuple):
        for part in answers:
            yield from leaves(part)
    elif hasattr(answers, "tolist"):
        yield from leaves(answers.tolist())
    else:
        yield answers


def _word(answer: Any, cell: Sequence[float] | None) -> str:
    """What of an answer goes into the key: the number of its cell, or all of it."""
    if not isinstance(answer, Real):
        return repr(answer)
    if cell is None:
        return repr(float(answer))
    width, offset = cell
    return str(round((float(answer) - offset) / width))


def _streams(words: Sequence[str], name: str, size: int) -> tuple[bytes, bytes]:
    """A key stream and a key for the tag: slow to try, and the same in each build."""
    secret = json.dumps(words).encode()
    key = hashlib.scrypt(secret, salt=name.encode(), n=2**14, r=8, p=1, dklen=64)
    return hashlib.shake_256(key[:32]).digest(size), key[32:]


def lock(name: str, text: str, answers: Any, tolerances: Sequence[float]) -> dict[str, Any]:
    """Lock a text by answers, each a word or a number known within ± its tolerance (0: exactly).

    ``tolerances`` has one for each of ``leaves(answers)``. The result is JSON; it holds neither
    the text nor, but modulo two tolerances, a number. Equal arguments give equal locks.
    """
    cells: list[tuple[float, float] | None] = []
    found = list(leaves(answers))
    for answer, tolerance in zip(found, tolerances, strict=True):
        if tolerance and isinstance(answer, Real):
            width = float(f"{2 * tolerance:.3g}")
            cells.append((width, float(answer) - width * round(float(answer) / width)))
        else:
            cells.append(None)
    plain = text.encode()
    stream, tag = _streams(list(map(_word, found, cells)), name, len(plain))
    box = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    mark = hmac.digest(tag, box, "sha256")
    return {"name": name, "cells": cells, "box": base64.b85encode(mark + box).decode()}


def unlock(locked: Mapping[str, Any], answers: Any) -> str | None:
    """The text, or None for answers that are not all right."""
    found, cells = list(leaves(answers)), locked["cells"]
    if len(found) != len(cells):
        return None
    try:
        words = [_word(answer, cell) for answer, cell in zip(found, cells, strict=True)]
    except (ValueError, OverflowError):  # NaN and infinity are in no cell
        return None
    raw = base64.b85decode(locked["box"])
    mark, box = raw[:32], raw[32:]
    stream, tag = _streams(words, locked["name"], len(box))
    if not hmac.compare_digest(mark, hmac.digest(tag, box, "sha256")):
        return None
    return bytes(a ^ b for a, b in zip(box, stream, strict=True)).decode()


class Solutions:
    """Called with a question's name, shows its solution to who has one: ``solution("price")``.

    Args:
        locked: of each question the ``lock``, and ``probes``: sources of functions that take names
            of the notebook and return answers.
        names: the notebook's, ``globals()``.
        show: what becomes of the text; by default it is displayed as code.
    """

    def __init__(
        self,
        locked: Mapping[str, Mapping[str, Any]],
        names: Mapping[str, Any],
        show: Callable[[str], None] | None = None,
    ) -> None:
        self._locked, self._names, self._show = locked, names, show or _display

    def __call__(self, question: str) -> None:
        """Show the solution, or that it is locked; ValueError for a question there isn't."""
        if question not in self._locked:
            raise ValueError(f"question={question!r}: choose one of {sorted(self._locked)}")
        locked = self._locked[question]
        try:
            answers = [answer for probe in locked["probes"] for answer in self._probed(probe)]
        except Exception:  # whatever an unfinished answer comes to
            answers = []
        text = unlock(locked["lock"], answers)
        if text is None:
            print(LOCKED)
        else:
            self._show(text)

    def _probed(self, source: str) -> Any:
        made: dict[str, Any] = {}
        exec(source, made)
        (probe,) = (value for name, value in made.items() if name == "probe")
        count = probe.__code__.co_argcount
        return probe(*(self._names[name] for name in probe.__code__.co_varnames[:count]))


def _display(text: str) -> None:
    from IPython.display import Markdown, display

    display(Markdown(f"**All right. One way to write it:**\n\n```python\n{text}\n```"))
