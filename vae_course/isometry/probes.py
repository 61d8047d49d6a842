"""Single numbers of a pull-back metric by few products: its extremes, its trace, its diagonal."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vae_course.arguments import check_tensor, check_whole
from vae_course.evaluation.intervals import Estimate
from vae_course.isometry.decoder import Decoder, check_decoder
from vae_course.isometry.krylov import krylov, ritz
from vae_course.isometry.metrics import Metric
from vae_course.isometry.operator import Mode, Pullback
from vae_course.isometry.parts import check_single, in_memory, parts
from vae_course.spd.precision import full_precision


class Eigen(NamedTuple):
    """The largest eigenvalues of a metric at each code, and what they are sure of."""

    values: Float[Tensor, "batch k"]
    """Descending."""
    vectors: Float[Tensor, "batch k *code"]
    """Unit vectors, the steps of a code that change its image most."""
    residuals: Float[Tensor, "batch k"]
    r"""An eigenvalue lies no farther from each value, :math:`\|A v - \lambda v\|`."""
    products: int
    """Products with J or its transpose, over all codes."""


@full_precision
def largest(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    k: int = 4,
    *,
    metric: Metric | Tensor | None = None,
    steps: int = 24,
    seed: int = 0,
    chunk: int | None = None,
    mode: Mode = "auto",
) -> Eigen:
    r"""The k largest eigenvalues of the pull-back metric and their directions, by Lanczos.

    .. math:: A v = \lambda v, \qquad A = J^\top G J

    From one random start a code, ``steps`` products with A. Each value comes with the norm of its
    residual: some eigenvalue is that near. Which one it is Lanczos cannot say: where two are equal,
    one start may find but one. The smallest eigenvalues are not to be had in this way.

    Args:
        decoder: as in ``spectrum``.
        z: codes, (batch, \*code).
        k: how many, at most ``steps`` and d.
        metric: as in ``pullback_metric``.
        steps: of Lanczos; more where residuals are too large.
        seed: of the starts.
        chunk, mode: as in ``spectrum``.

    Raises as ``spectrum``. A measure: not for ``torch.func``, ``torch.compile`` or
    ``torch.export``. float32: values to 1e-6 of the largest, beside their residuals.
    Source: Golub and Kahan 1965; Paige 1971 for the residual.
    """
    check_decoder(decoder)
    check_single(z)
    d = z[0].numel()
    steps = min(check_whole("steps", steps), d)
    if check_whole("k", k) > steps:
        raise ValueError(f"k={k}: at most the number of steps and of latents, {steps}")
    pieces, size = parts(decoder, z.detach(), chunk, 2 * steps)
    generator = torch.Generator("cpu").manual_seed(check_whole("seed", seed, 0))
    starts = torch.randn(z.shape, generator=generator, device="cpu").to(z)
    found, products = [], 0
    with in_memory(size):
        for codes, start in zip(pieces, starts.tensor_split(len(pieces)), strict=True):
            pullback = Pullback(decoder, codes, metric, mode=mode)
            space = krylov(pullback, start, steps)
            values, coefficients, residuals = (t[..., :k].to(z) for t in ritz(space))
            vectors = (coefficients.mT @ space.basis).unflatten(2, z.shape[1:])
            rounding = 4 * torch.finfo(z.dtype).eps * values[:, :1]
            found.append((values, vectors, residuals + rounding))
            products += pullback.products * len(codes)
            del pullback, space  # before the next ones are made
    values, vectors, residuals = (torch.cat(t) for t in zip(*found, strict=True))
    return Eigen(values, vectors, residuals, products)


@full_precision
def trace(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    *,
    metric: Metric | Tensor | None = None,
    probes: int = 8,
    seed: int = 0,
    chunk: int | None = None,
    mode: Mode = "auto",
) -> Estimate:
    r"""The trace of the pull-back metric, averaged over codes: Hutchinson's estimate.

    .. math:: \operatorname{tr} A = E_v\, \|J v\|_G^2, \qquad v_j = \pm 1

    One product with J a probe, none with its transpose. Exact where A is diagonal, and where d is
    at most ``probes``: then the columns are summed. The error is over codes; with one code over
    its probes. Arguments as in ``spectrum``, errors too. A measure: not for ``torch.func``,
    ``torch.compile`` or ``torch.export``. float32: relative 1e-5 beside the error.
    Source: Hutchinson 1989.
    """
    check_decoder(decoder)
    check_single(z)
    exact = z[0].numel() <= check_whole("probes", probes)
    generator = torch.Generator("cpu").manual_seed(check_whole("seed", seed, 0))
    if exact:
        coordinates = torch.arange(z[0].numel(), device=z.device).expand(len(z), -1)
        squares, products = _along_axes(decoder, z, coordinates, metric, chunk, mode)
        per_code = squares.sum(0, keepdim=True)
    else:
        shape = probes, *z.shape
        signs = (torch.randint(2, shape, generator=generator, device="cpu") * 2 - 1).to(z)
        per_code, products = _squares(
            decoder, z, lambda i, rows: signs[i, rows], probes, metric, chunk, mode
        )
    units = per_code.mean(0) if len(z) > 1 else per_code[:, 0]
    error = 0.0 if exact else torch.inf
    if len(units) > 1:
        error = units.std().item() / len(units) ** 0.5
    return Estimate.t(units.mean().item(), error, len(units), products=products)


@full_precision
def diagonal(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    coordinates: Int64[Tensor, "*batch k"] | None = None,
    *,
    metric: Metric | Tensor | None = None,
    chunk: int | None = None,
    mode: Mode = "auto",
) -> Float[Tensor, "batch k"]:
    r"""Some entries of the metric's diagonal, one product with J each, no matrix.

    .. math:: A_{jj} = \|J_j\|_G^2

    ``coordinates`` are positions in the flattened code: (k,), the same for all codes, or (batch, k)
    of their own; all d if None, in the code's order. Other arguments and errors as in ``spectrum``;
    TypeError or ValueError for coordinates that are no whole numbers from 0 to d - 1. A measure:
    not for ``torch.func``, ``torch.compile`` or ``torch.export``. float32: relative 1e-5.
    Source: the definition.
    """
    check_decoder(decoder)
    check_single(z)
    n, d = len(z), z[0].numel()
    if coordinates is None:
        coordinates = torch.arange(d, device=z.device)
    if check_tensor("coordinates", coordinates).dtype != torch.int64:
        raise TypeError(f"coordinates must be int64, got {coordinates.dtype}: give .long()")
    if coordinates.shape[:-1] not in ((), (n,)) or not coordinates.numel():
        raise ValueError(
            f"coordinates have shape {tuple(coordinates.shape)}: give (k,) or ({n}, k), one or more"
        )
    if not ((coordinates >= 0) & (coordinates < d)).all():
        raise ValueError(f"coordinates must be from 0 to {d - 1}, the latents of a code")
    of_codes = coordinates.to(z.device).expand(n, -1)
    return _along_axes(decoder, z, of_codes, metric, chunk, mode)[0].T


def _along_axes(
    decoder: Decoder, z: Tensor, coordinates: Tensor, metric: Metric | Tensor | None,
    chunk: int | None, mode: Mode,
) -> tuple[Tensor, int]:  # fmt: skip
    """Squared lengths (k, batch) along the axes (batch, k)."""

    def axis(i: int, rows: slice) -> Tensor:
        flat = torch.zeros_like(z[rows]).flatten(1)
        return flat.scatter_(1, coordinates[rows, i, None], 1).view_as(z[rows])

    return _squares(decoder, z, axis, coordinates.shape[1], metric, chunk, mode)


def _squares(
    decoder: Decoder, z: Tensor, direction: Callable[[int, slice], Tensor], number: int,
    metric: Metric | Tensor | None, chunk: int | None, mode: Mode,
) -> tuple[Tensor, int]:  # fmt: skip
    """Squared lengths (number, batch) of what J makes of directions, and the products."""
    pieces, size = parts(decoder, z.detach(), chunk)
    found, first, products = [], 0, 0
    with in_memory(size):
        for codes in pieces:
            pullback = Pullback(decoder, codes, metric, mode=mode)
            rows = slice(first, first := first + len(codes))
            pushed = (pullback.push(direction(i, rows)) for i in range(number))
            squares = [(u * pullback.weigh(u)).flatten(1).sum(1) for u in pushed]
            found.append(torch.stack(squares))
            products += pullback.products * len(codes)
            del pullback  # its graphs, before the next ones are made
    return torch.cat(found, 1), products
