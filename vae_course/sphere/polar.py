r"""Points of the sphere by latitude: how far from an axis, and in which direction beside it.

.. math:: y = \tanh(u)\, \mu + \operatorname{sech}(u)\, e, \qquad
          u = -\log\tan\tfrac\varphi2 = \operatorname{arsinh}(x^\top\mu / \|x_\perp\|)

with φ the angle to :math:`\mu` and e the direction of :math:`x_\perp`, what is left of x beside
:math:`\mu`. Samplers come down to this map, so its derivatives are written out: a third of the
operations. Derived here.
"""

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def mapped(function: type[Function]) -> type[Function]:
    """Let ``vmap`` through, and keep the signature that torch inspects anew at every call."""
    function.generate_vmap_rule = True
    function.forward.__signature__ = inspect.signature(function.forward)  # type: ignore[attr-defined]
    return function


def place(x: Tensor, loc: Tensor, u: Tensor) -> Tensor:
    """The point at latitude u (*batch) over ``loc``, in the direction of x; unit to 2e-7."""
    return _Place.apply(x, loc, u)[0]


def stretch(x: Tensor, loc: Tensor, r: Tensor) -> Tensor:
    """The direction of x, its latitude over ``loc`` raised by r (*batch): the Möbius map."""
    return _Stretch.apply(x, loc, r)[0]


def _split(x: Tensor, loc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What x is along and beside ``loc``, and the length of the latter."""
    tiny = torch.finfo(x.dtype).tiny ** 0.5  # a zero vector stands for loc
    along = (x * loc).sum(-1, keepdim=True) + tiny
    beside = torch.addcmul(x, along, loc, value=-1)
    if x.shape[-1] < 9:  # where x often lies near the axis: once more, against rounding
        beside = torch.addcmul(beside, _dot(beside, loc), loc, value=-1)
    width = torch.linalg.vector_norm(beside, dim=-1, keepdim=True)
    # Never less than what rounding leaves of a vector parallel to loc.
    return along, beside, torch.hypot(width, torch.finfo(x.dtype).eps * along)


def _put(u: Tensor, loc: Tensor, beside: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    scale = torch.reciprocal(torch.cosh(u) * width)
    y = torch.addcmul(scale * beside, torch.tanh(u), loc)
    return y / torch.linalg.vector_norm(y, dim=-1, keepdim=True), scale


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


@mapped
class _Place(Function):
    @staticmethod
    def forward(x: Tensor, loc: Tensor, u: Tensor) -> tuple[Tensor, ...]:
        along, beside, width = _split(x, loc)
        u = u.unsqueeze(-1) + 0 * width  # the shape of the sample
        y, scale = _put(u, loc, beside, width)
        return y, along, beside, width, u, scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if g is None:
            return None, None, None
        x, loc, u, *parts = ctx.saved_tensors
        if torch.is_grad_enabled():  # the parts, as functions of the inputs
            parts = _Place.forward(x, loc, u)[1:]
        along, beside, width, latitude, scale = parts
        on_axis, aside = _dot(g, loc), _dot(g, beside)
        cosine, sine, tilt = torch.tanh(latitude), scale * width, aside / width.square()
        by_u = sine.square() * on_axis - cosine * scale * aside
        turn = scale * (along * tilt - on_axis)
        by_loc = torch.addcmul((cosine - scale * along) * g, turn, beside)
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = scale * (g - on_axis * loc - tilt * beside)
        return _fit(by_x, x), _fit(by_loc, loc), _fit(by_u.squeeze(-1), u)


@mapped
class _Stretch(Function):
    @staticmethod
    def forward(x: Tensor, loc: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        along, beside, width = _split(x, loc)
        u = torch.asinh(along / width) + r.unsqueeze(-1)
        y, scale = _put(u, loc, beside, width)
        return y, along, beside, width, u, scale

    setup_context = _Place.setup_context

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if g is None:
            return None, None, None
        x, loc, r, *parts = ctx.saved_tensors
        if torch.is_grad_enabled():
            parts = _Stretch.forward(x, loc, r)[1:]
        along, beside, width, latitude, scale = parts
        on_axis, aside = _dot(g, loc), _dot(g, beside)
        cosine, sine, tilt = torch.tanh(latitude), scale * width, scale * aside
        length = torch.hypot(along, width)
        by_r = sine.square() * on_axis - cosine * tilt
        shift = r.unsqueeze(-1).clamp_max(80)  # beyond, the sample is loc in either precision
        turn = scale * ((scale * length - 1) * on_axis - shift.sinh() * tilt)
        by_loc = torch.addcmul((cosine - scale * along) * g, turn, beside)
        by_x = None
        if ctx.needs_input_grad[0]:
            axis = cosine * aside / length + (1 - sine * width / length) * on_axis
            side = shift.cosh() * tilt + scale * along * on_axis
            by_x = scale * (g - axis * loc - side / length * beside)
        return _fit(by_x, x), _fit(by_loc, loc), _fit(by_r.squeeze(-1), r)


def _fit(gradient: Tensor | None, like: Tensor) -> Tensor | None:
    return None if gradient is None else gradient.sum_to_size(like.shape)
