r"""Scalar functions with their divided differences, and what they make of a symmetric matrix.

A derivative of any order up to the second, in reverse or forward mode, in ``torch.func`` transforms
and where ``torch.compile`` or ``torch.export`` traces. A third one is refused: it would be wrong.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function


class Scalar(NamedTuple):
    """A function of an eigenvalue, with its divided differences of two and three."""

    value: Callable[[Tensor], Tensor]
    first: Callable[[Tensor, Tensor], Tensor]
    second: Callable[[Tensor, Tensor, Tensor], Tensor]


def _log_first(a: Tensor, b: Tensor) -> Tensor:
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    excess = (high - low) / low
    return torch.where(excess == 0, 1.0, excess.log1p() / excess) / low


def _log_second(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    low, middle, high = _sorted(a, b, c)
    apart = (_log_first(low, middle) - _log_first(middle, high)) / (low - high)
    # Close together: the divided difference of log1p(u)/u = sum (-u)^k / (k + 1), term by term.
    u, v = (middle - low) / low, (high - low) / low
    series = _series(u, v, [(-1) ** k / (k + 1) for k in range(1, 20)])  # 0.1^19: below rounding
    return torch.where(v < 0.1, series / low.square(), apart)


def _exp_first(a: Tensor, b: Tensor) -> Tensor:
    high, gap = torch.maximum(a, b), (a - b).abs()
    return high.exp() * torch.where(gap == 0, 1.0, -torch.expm1(-gap) / gap)


def _exp_second(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    low, middle, high = _sorted(a, b, c)
    apart = (_exp_first(middle, high) - _exp_first(low, middle)) / (high - low)
    factorials, terms = 1.0, []
    for k in range(1, 16):  # 0.5^15 / 17!: below rounding
        factorials *= k + 1
        terms.append((-1) ** (k - 1) / factorials)
    u, v = high - middle, high - low
    return torch.where(v < 0.5, high.exp() * _series(u, v, terms), apart)


def _sorted(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, middle, high = torch.stack(torch.broadcast_tensors(a, b, c)).sort(0).values
    return low, middle, high


def _series(u: Tensor, v: Tensor, terms: list[float]) -> Tensor:
    """The divided difference, at u and v, of the sum of ``terms[k - 1]`` x^k, k from 1."""
    homogeneous, power, series = torch.ones_like(u), torch.ones_like(u), torch.zeros_like(u)
    for term in terms:
        series = series + term * homogeneous
        power = power * u
        homogeneous = v * homogeneous + power  # the sum of u^i v^(k - i)
    return series


def _root(x: Tensor) -> Tensor:
    return x.clamp_min(0).sqrt()


def _inverse(x: Tensor) -> Tensor:
    return torch.where(x > 0, 1 / x, 0.0)


def _sqrt_second(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    a, b, c = _root(a), _root(b), _root(c)
    return -_inverse(a + b) * _inverse(b + c) * _inverse(c + a)


def _step_first(a: Tensor, b: Tensor) -> Tensor:
    return torch.where((a > 0) == (b > 0), 0.0, 1 / (a - b).abs())


def _step_second(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    # One eigenvalue is alone on its side: the product of its inverse distances to the others.
    ab, bc, ca = _step_first(a, b), _step_first(b, c), _step_first(c, a)
    upper = (a > 0).to(a.dtype) + (b > 0) + (c > 0)
    return torch.where(upper == 2, -1.0, 1.0) * (ab * bc + bc * ca + ca * ab)


LOG = Scalar(torch.log, _log_first, _log_second)
EXP = Scalar(torch.exp, _exp_first, _exp_second)
SQRT = Scalar(_root, lambda a, b: _inverse(_root(a) + _root(b)), _sqrt_second)
STEP = Scalar(lambda x: (x > 0).to(x.dtype), _step_first, _step_second)  # no value is at 0


def apply(f: Scalar, s: Tensor, values: Tensor, vectors: Tensor) -> Tensor:
    """f(S), given the eigenvalues and vectors of S, for one of the four functions above."""
    return _Value.apply(s, values, vectors, _NAMES.index(f))


_NAMES = (LOG, EXP, SQRT, STEP)
ONCE_MORE = (
    "one derivative too many: functions of matrices are differentiable twice, bures_distance once"
)


class _Value(Function):
    """f(S); derivatives by S alone, the eigenvalues and vectors stand beside it as constants."""

    generate_vmap_rule = True

    @staticmethod
    def forward(s: Tensor, values: Tensor, vectors: Tensor, which: int) -> Tensor:
        return vectors @ (_NAMES[which].value(values)[..., None] * vectors.mT)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.which = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _First.apply(gradient, *ctx.saved_tensors, ctx.which), None, None, None

    @staticmethod
    def jvp(ctx: Any, s: Tensor, *constant: Any) -> Tensor:
        return _First.apply(s, *ctx.saved_tensors, ctx.which)


class _First(Function):
    """The derivative of f at S towards G, linear in G and its own adjoint."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, s: Tensor, values: Tensor, vectors: Tensor, which: int) -> Tensor:
        return _towards(g, values, vectors, which)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.which = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        g, s, values, vectors = ctx.saved_tensors
        by_g = _First.apply(c, s, values, vectors, ctx.which)
        by_s = last(_twice(g, c, values, vectors, ctx.which), s)
        return by_g, by_s, None, None, None

    @staticmethod
    def jvp(ctx: Any, g_moves: Tensor, s_moves: Tensor, *constant: Any) -> Tensor:
        g, s, values, vectors = ctx.saved_tensors
        moved = _First.apply(g_moves, s, values, vectors, ctx.which)
        return moved + last(_twice(g, s_moves, values, vectors, ctx.which), s)


def last(x: Tensor, by: Tensor) -> Tensor:
    """x, which refuses a derivative by a tensor that it depends on in ways not seen."""
    return _Beside.apply(x, _Refused.apply(by))


class _Beside(Function):
    """The first of two, with a way to the other: the engine takes it if it is asked to."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, by: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, torch.zeros_like(ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx: Any, moves: Tensor, by_moves: Any) -> Tensor:
        return moves.clone()


class _Refused(Function):
    """The identity; its derivative is an error."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise RuntimeError(ONCE_MORE)

    @staticmethod
    def jvp(ctx: Any, moves: Tensor) -> Tensor:
        raise RuntimeError(ONCE_MORE)


def _towards(g: Tensor, values: Tensor, vectors: Tensor, which: int) -> Tensor:
    difference = _NAMES[which].first(values[..., :, None], values[..., None, :])
    return vectors @ (difference * (vectors.mT @ (g + g.mT) @ vectors / 2)) @ vectors.mT


def _twice(g: Tensor, c: Tensor, values: Tensor, vectors: Tensor, which: int) -> Tensor:
    """The second derivative of f at S, towards G and C."""
    g_hat, c_hat = (vectors.mT @ (x + x.mT) @ vectors / 2 for x in (g, c))
    second = _NAMES[which].second(
        values[..., :, None, None], values[..., None, :, None], values[..., None, None, :]
    )  # [i, k, j]
    half = torch.einsum("...ikj,...ik,...kj->...ij", second, g_hat, c_hat)
    return vectors @ (half + half.mT) @ vectors.mT
