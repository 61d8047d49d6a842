r"""Points of the sphere by latitude: how far from an axis, and in which direction beside it.

.. math:: y = \tanh(u)\, \mu + \operatorname{sech}(u)\, e, \qquad
          u = -\log\tan\tfrac\varphi2 = \operatorname{arsinh}(x^\top\mu / \|x_\perp\|)

with φ the angle to :math:`\mu` and e the direction of :math:`x_\perp`, what is left of x beside
:math:`\mu`. Samplers come down to this map, so its derivatives are written out: a third of the
operations. Derived here.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


@contextmanager
def constants() -> Iterator[None]:
    """Where cached tensors are made: free of the first caller's inference mode or transform."""
    with torch.inference_mode(False), torch._C._DisableFuncTorch():
        yield


class Mapped(Function):
    """A ``Function`` of one output that ``vmap`` maps, and that costs little where none does.

    Subclasses give ``forward(*inputs)``, whose first output is the function and whose others are
    for ``keep(ctx, inputs, outputs)`` to save, and ``backward``. As ``vmap`` needs it, all of them
    are outputs, and a call costs 60 µs, as much as 25 operations on a batch of 128; so without a
    transform in force a twin is called that saves them directly.
    """

    generate_vmap_rule = True
    _direct: type[Function]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # torch inspects the signature anew at every call, unless it finds one.
        cls.forward.__signature__ = inspect.signature(cls.forward)  # type: ignore[attr-defined]

        def forward(ctx: Any, *inputs: Any) -> Tensor:
            outputs = cls.forward(*inputs)
            cls.keep(ctx, inputs, outputs)
            return outputs[0]

        body = {"forward": staticmethod(forward), "backward": staticmethod(cls.backward)}
        cls._direct = type(cls.__name__, (Function,), body)

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
        """Save on ctx what ``backward`` takes."""
        raise RuntimeError("a subclass of Mapped says what to keep")

    @classmethod
    def setup_context(cls, ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        cls.keep(ctx, inputs, output)

    @classmethod
    def call(cls, *inputs: Any) -> Tensor:
        """The function's value."""
        if torch._C._are_functorch_transforms_active():
            return cls.apply(*inputs)[0]
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
    @staticmethod
    def forward(x: Tensor, loc: Tensor, u: Tensor) -> tuple[Tensor, ...]:
        along, beside, width = _split(x, loc)
        u = u.unsqueeze(-1) + 0 * width  # the shape of the sample
        y, cosine, sine = _put(u, loc, beside, width)
        return y, along, beside, width, cosine, sine

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs, *outputs[1:])

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
    @staticmethod
    def forward(x: Tensor, loc: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        along, beside, width = _split(x, loc)
        u = torch.asinh(along / width) + r.unsqueeze(-1)
        y, cosine, sine = _put(u, loc, beside, width)
        return y, along, beside, width, cosine, sine

    keep = _Place.keep

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
