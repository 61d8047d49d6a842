r"""Points of the sphere by latitude: how far from an axis, and in which direction beside it.

.. math:: y = \tanh(u)\, \mu + \operatorname{sech}(u)\, e, \qquad
          u = -\log\tan\tfrac\varphi2 = \operatorname{arsinh}(x^\top\mu / \|x_\perp\|)

with φ the angle to :math:`\mu` and e the direction of :math:`x_\perp`, what is left of x beside
:math:`\mu`. Samplers come down to this map, so its derivatives are written out: a third of the
operations. Derived here.
"""

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad


class Mapped(ABC):
    """A differentiable function for every transform, that costs little where none is in force.

    Subclasses give ``forward(*inputs)``, whose first output is the function and whose others are
    for ``keep(ctx, inputs, outputs)`` to return, with what else is to be saved; ``backward``, and
    ``push`` for forward mode. All tensors broadcast, but for the last axis of the first ``vectors``
    of them. Transforms need all that is saved to be inputs and outputs of the ``Function``, and a
    call costs 60 µs, as much as 25 operations on a batch of 128; so without a transform in force a
    twin is called that saves them directly, and that ``torch.compile`` traces.
    """

    vectors: ClassVar[int] = 0
    _direct: ClassVar[type[Function]]
    _transformed: ClassVar[type[Function]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # torch inspects the signature anew at every call, unless it finds one.
        taken = inspect.signature(cls.forward)
        cls.forward.__signature__ = taken  # type: ignore[attr-defined]

        def forward(ctx: Any, *inputs: Any) -> Tensor:
            outputs = cls.forward(*inputs)
            ctx.save_for_backward(*cls.keep(ctx, inputs, outputs))
            return outputs[0]

        # torch.compile counts the parameters to see whether there is a ctx among them.
        ctx = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_ONLY)
        positional = (p.replace(kind=ctx.kind) for p in taken.parameters.values())
        forward.__signature__ = inspect.Signature([ctx, *positional])  # type: ignore[attr-defined]

        def function(**parts: Any) -> Any:
            body = {name: staticmethod(part) for name, part in parts.items()}
            return type(cls.__name__, (Function,), body)

        cls._direct = function(forward=forward, backward=cls.backward)
        cls._transformed = function(
            forward=cls.forward,
            setup_context=cls._setup_context,
            backward=cls.backward,
            jvp=cls._jvp,
            vmap=cls._vmap,
        )

    @staticmethod
    @abstractmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        """The function's value, and what it has beside."""

    @staticmethod
    @abstractmethod
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        """The gradient of each input."""

    @staticmethod
    @abstractmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The tensors that ``backward`` and ``push`` take; what is no tensor is set on ctx."""

    @staticmethod
    @abstractmethod
    def push(ctx: Any, saved: tuple[Tensor, ...], tangents: tuple[Any, ...]) -> Tensor | None:
        """The tangent of the value, of those of the inputs, None where an input has none.

        From scratch, so that it has derivatives of its own.
        """

    @classmethod
    def _setup_context(cls, ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.outputs = len(output)
        kept = cls.keep(ctx, inputs, output)
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)

    @classmethod
    def _jvp(cls, ctx: Any, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        # torch calls this with forward mode off, which makes second derivatives by forward mode
        # over itself 0 without a word. On it goes, and this level's own tangents are taken off.
        with forward_ad._set_fwd_grad_enabled(True):
            saved = tuple(forward_ad.unpack_dual(t).primal for t in ctx.saved_tensors)
            return cls.push(ctx, saved, tangents), *[None] * (ctx.outputs - 1)

    @classmethod
    def _vmap(cls, info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> Any:
        """All tensors with the mapped axis in front of the longest batch."""
        count, ends = -1, []
        for value, at in zip(inputs, in_dims, strict=True):
            tensor = isinstance(value, Tensor)
            count += tensor
            ends.append(value.ndim - (at is not None) - (count < cls.vectors) if tensor else 0)
        moved = []
        for value, at, end in zip(inputs, in_dims, ends, strict=True):
            if isinstance(value, Tensor):
                front = value.unsqueeze(0) if at is None else value.movedim(at, 0)
                padded = front[(slice(None), *[None] * (max(ends) - end))]
                value = padded.expand(info.batch_size, *padded.shape[1:])
            moved.append(value)
        outputs = cls._transformed.apply(*moved)
        return outputs, (0,) * len(outputs)

    @classmethod
    def call(cls, *inputs: Any) -> Tensor:
        """The function's value."""
        transforms = torch._C._are_functorch_transforms_active()
        if transforms and torch.compiler.is_dynamo_compiling():
            # Traced with the transform, a derivative is wrong or the process dies.
            torch._dynamo.graph_break(msg="a torch.func transform over vae_course.sphere")
        if transforms or (not torch.compiler.is_compiling() and forward_ad._current_level >= 0):
            return cls._transformed.apply(*inputs)[0]
        return cls._direct.apply(*inputs)


def place(x: Tensor, loc: Tensor, u: Tensor) -> Tensor:
    """The point at latitude u (*batch) over ``loc``, in the direction of x; unit to 2e-7."""
    return _Place.call(x, loc, u)


def stretch(x: Tensor, loc: Tensor, r: Tensor) -> Tensor:
    """The direction of x, its latitude over ``loc`` raised by r (*batch): the Möbius map."""
    return _Stretch.call(x, loc, r)


def _split(x: Tensor, loc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What x is along and beside ``loc``, and the length of the latter."""
    tiny = torch.finfo(x.dtype).tiny ** 0.5  # a zero vector stands for loc
    along = (x * loc).sum(-1, keepdim=True).add_(tiny)
    beside = torch.addcmul(x, along, loc, value=-1)
    if x.shape[-1] < 9:  # where x often lies near the axis: once more, against rounding
        beside = torch.addcmul(beside, _dot(beside, loc), loc, value=-1)
    width = torch.linalg.vector_norm(beside, dim=-1, keepdim=True)
    # Never less than what rounding leaves of a vector parallel to loc.
    return along, beside, torch.hypot(width, torch.finfo(x.dtype).eps * along)


def _put(u: Tensor, loc: Tensor, beside: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The point; the cosine and the sine of its angle to ``loc``."""
    sine, cosine = torch.cosh(u).reciprocal_(), torch.tanh(u)
    y = torch.addcmul(sine / width * beside, cosine, loc)
    return y.div_(torch.linalg.vector_norm(y, dim=-1, keepdim=True)), cosine, sine


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


class _Place(Mapped):
    vectors = 2

    @staticmethod
    def forward(x: Tensor, loc: Tensor, u: Tensor) -> tuple[Tensor, ...]:
        along, beside, width = _split(x, loc)
        u = u.unsqueeze(-1) + 0 * width  # the shape of the sample
        y, cosine, sine = _put(u, loc, beside, width)
        return y, along, beside, width, cosine, sine

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return *inputs, *outputs[1:]

    @staticmethod
    def push(ctx: Any, saved: tuple[Tensor, ...], tangents: tuple[Any, ...]) -> Tensor:
        (x, loc, u), (dx, dloc, du) = saved[:3], tangents
        y, along, beside, width, cosine, sine = _Place.forward(x, loc, u)
        scale, tilt = sine / width, beside / width.square()
        dy = torch.zeros_like(y)
        if dx is not None:
            dy = dy + scale * (dx - _dot(dx, loc) * loc - _dot(dx, beside) * tilt)
        if dloc is not None:
            turn = scale * _dot(dloc, beside) * (loc - along * tilt)
            dy = dy + (cosine - scale * along) * dloc - turn
        if du is not None:
            dy = dy + du.unsqueeze(-1) * (sine.square() * loc - cosine * scale * beside)
        return dy

    @staticmethod
    def backward(ctx: Any, g: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        x, loc, u, *parts = ctx.saved_tensors
        if torch.is_grad_enabled():  # the parts, as functions of the inputs
            parts = _Place.forward(x, loc, u)[1:]
        along, beside, width, cosine, sine = parts
        on_axis, aside, scale = _dot(g, loc), _dot(g, beside), sine / width
        tilt = aside / width.square()
        by_u = torch.addcmul(sine.square() * on_axis, cosine, scale * aside, value=-1)
        turn = scale * torch.addcmul(on_axis, along, tilt, value=-1)
        stay = torch.addcmul(cosine, scale, along, value=-1)
        by_loc = torch.addcmul(stay * g, turn, beside, value=-1)
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = scale * (g - on_axis * loc - tilt * beside)
        return _fit(by_x, x), _fit(by_loc, loc), _fit(by_u.squeeze(-1), u)


class _Stretch(Mapped):
    vectors = 2

    @staticmethod
    def forward(x: Tensor, loc: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        along, beside, width = _split(x, loc)
        u = torch.asinh(along / width) + r.unsqueeze(-1)
        y, cosine, sine = _put(u, loc, beside, width)
        return y, along, beside, width, cosine, sine

    keep = _Place.keep

    @staticmethod
    def push(ctx: Any, saved: tuple[Tensor, ...], tangents: tuple[Any, ...]) -> Tensor:
        (x, loc, r), (dx, dloc, dr) = saved[:3], tangents
        y, along, beside, width, cosine, sine = _Stretch.forward(x, loc, r)
        scale, length = sine / width, torch.hypot(along, width)
        shift = r.unsqueeze(-1).clamp_max(80)
        dy = torch.zeros_like(y)
        if dx is not None:
            axis = cosine / length * beside + (1 - sine * width / length) * loc
            side = scale / length * (shift.cosh() * beside + along * loc)
            dy = dy + scale * (dx - _dot(dx, loc) * axis - _dot(dx, beside) * side)
        if dloc is not None:
            turn = (1 - scale * length) * loc + shift.sinh() * scale * beside
            turn = scale * _dot(dloc, beside) * turn
            dy = dy + (cosine - scale * along) * dloc - turn
        if dr is not None:
            dy = dy + dr.unsqueeze(-1) * (sine.square() * loc - cosine * scale * beside)
        return dy

    @staticmethod
    def backward(ctx: Any, g: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        x, loc, r, *parts = ctx.saved_tensors
        if torch.is_grad_enabled():
            parts = _Stretch.forward(x, loc, r)[1:]
        along, beside, width, cosine, sine = parts
        on_axis, aside, scale = _dot(g, loc), _dot(g, beside), sine / width
        tilt, length = scale * aside, torch.hypot(along, width)
        by_r = torch.addcmul(sine.square() * on_axis, cosine, tilt, value=-1)
        shift = r.unsqueeze(-1).clamp_max(80)  # beyond, the sample is loc in either precision
        turn = torch.addcmul(on_axis, scale * length, on_axis, value=-1)
        turn = scale * torch.addcmul(turn, shift.sinh(), tilt)
        stay = torch.addcmul(cosine, scale, along, value=-1)
        by_loc = torch.addcmul(stay * g, turn, beside, value=-1)
        by_x = None
        if ctx.needs_input_grad[0]:
            axis = cosine * aside / length + (1 - sine * width / length) * on_axis
            side = shift.cosh() * tilt + scale * along * on_axis
            by_x = scale * (g - axis * loc - side / length * beside)
        return _fit(by_x, x), _fit(by_loc, loc), _fit(by_r.squeeze(-1), r)


def _fit(gradient: Tensor | None, like: Tensor) -> Tensor | None:
    if gradient is None or gradient.shape == like.shape:
        return gradient
    return gradient.sum_to_size(like.shape)
