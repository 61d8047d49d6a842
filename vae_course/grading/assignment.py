"""An assignment's tests, run outside on proxies of what a student's code has made."""

import builtins
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_course.grading import wire
from vae_course.grading.sandbox import Sandbox, SandboxError


@dataclass(frozen=True)
class Test:
    """A public check or a hidden test: a function of some of the student's names."""

    name: str
    points: float
    hidden: bool
    names: tuple[str, ...]
    source: str

    def function(self) -> Callable[..., None]:
        made: dict[str, Any] = {}
        exec(compile(self.source, f"<{self.name}>", "exec"), made)
        return made[self.name]


@dataclass(frozen=True)
class Assignment:
    """What ``make exercises`` writes for the grader: tests and known wrong answers."""

    name: str
    questions: dict[str, list[Test]]
    mistakes: dict[str, list[list[str]]]  # of each question: title, and what its check says

    @property
    def points(self) -> float:
        return sum(test.points for tests in self.questions.values() for test in tests)


def read(path: Path) -> Assignment:
    """Read ``NN-name-grading.json``.

    Raises ValueError, naming the file, for one that ``make exercises`` has not made.
    """
    try:
        told = json.loads(path.read_text())
        questions = {
            name: [Test(**{**test, "names": tuple(test["names"])}) for test in tests]
            for name, tests in told["questions"].items()
        }
        return Assignment(told["name"], questions, told.get("mistakes", {}))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no grading file ({type(error).__name__}: {error}): make exercises makes one"
        ) from error


class StudentError(Exception):
    """An error of the student's code that has no class of its own out here."""


def error_of(answer: dict[str, Any]) -> Exception:
    """The student's error as one of Python's own where it is one: a test may expect it."""
    name, text = str(answer["error"])[:100], str(answer.get("text"))[:2000]
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:
            pass
    return StudentError(f"{name}: {text}")


class Remote:
    """A callable that stays in the sandbox."""

    def __init__(self, session: "Session", handle: int, text: str) -> None:
        self._session, self._handle, self._text = session, handle, text

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.call(self._handle, args, kwargs)

    def __repr__(self) -> str:
        return self._text


class Through(torch.autograd.Function):
    """Values that came out of the sandbox, and gradients that are asked for in there."""

    @staticmethod
    def forward(ctx: Any, gradient: Any, made: Any, *inputs: Tensor) -> Any:
        ctx.gradient, ctx.count = gradient, len(inputs)
        ctx.set_materialize_grads(False)
        return tuple(tensor.detach().clone() for tensor in made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return None, None, *ctx.gradient(list(grads), ctx.count)


class Session:
    """A student's names in a sandbox, as objects that tests can use."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def cell(self, source: str) -> tuple[list[str], Exception | None]:
        """Run a cell: the questions that it checks, and its error."""
        answer = self.sandbox.request(self.sandbox.limits.cell, do="cell", source=source)
        checked = answer.get("checked")
        names = [str(name) for name in checked] if isinstance(checked, list) else []
        return names, error_of(answer) if "error" in answer else None

    def special(self, x: dict[str, Any]) -> Any:
        if x.get("t") != "handle":
            raise wire.WireError("an object of no known kind")
        return Remote(self, wire.bounded(x["id"]), wire.text(x["text"])[:200])

    def handle(self, x: Any) -> dict[str, Any]:
        if isinstance(x, Remote):
            return {"t": "handle", "id": x._handle}
        raise TypeError(f"a test cannot send a {type(x).__name__} to a student's function")

    def value(self, answer: dict[str, Any], after: Callable[[list[Tensor]], Any]) -> Any:
        """An answer's value; whatever breaks the rules ends the sandbox."""
        if "error" in answer:
            raise error_of(answer)
        try:
            decode = wire.Decoder(self.special)
            value = decode(answer["value"])
            if decode.tensors and (instead := after(decode.tensors)) is not None:
                decode.instead, decode.count = list(instead), wire.Count()
                value = decode(answer["value"])
            return value
        except SandboxError:
            raise
        except Exception as error:  # whatever a forged message comes to
            self.sandbox.process.kill()
            raise SandboxError(f"it sent what cannot be read: {error}") from None

    def ask(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Those of the names that the student's code has defined."""
        request = self.sandbox.request(self.sandbox.limits.call, do="ask", names=list(names))
        return {str(k): self.value({"value": v}, no_gradient) for k, v in self.names(request)}

    def names(self, answer: dict[str, Any]) -> list[tuple[str, Any]]:
        if "error" in answer:
            raise error_of(answer)
        if not isinstance(answer.get("value"), dict):
            raise SandboxError("it sent no names")
        return list(answer["value"].items())

    def call(self, handle: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        modes = torch.overrides._get_current_function_mode_stack()
        with torch._C.DisableTorchFunction():
            encode = wire.Encoder(self.handle, code=True)
            message = {"args": encode(args), "kwargs": encode(kwargs)}
            answer = self.sandbox.request(
                self.sandbox.limits.call, do="call", handle=handle, watch=bool(modes), **message
            )
            number = answer["id"]

            def gradient(grads: list[Tensor | None], count: int) -> list[Tensor | None]:
                sent = [None if g is None else wire.Encoder(self.handle)(g) for g in grads]
                found = self.sandbox.request(
                    self.sandbox.limits.call, do="gradient", call=number, grads=sent
                )
                value = self.value(found, no_gradient)
                if not isinstance(value, list) or len(value) != count:
                    raise SandboxError("it sent gradients of another number")
                return value

            def after(made: list[Tensor]) -> Any:
                if encode.tensors and torch.is_grad_enabled():
                    return Through.apply(gradient, made, *encode.tensors)
                return None

            value = self.value(answer, after)
        if modes and isinstance(largest := answer.get("largest"), int):
            # A test that watches tensors being made sees the largest one again, without its data.
            torch.empty(max(0, min(largest, 1 << 40)), device="meta")
        return value


def no_gradient(made: list[Tensor]) -> None:
    return None
