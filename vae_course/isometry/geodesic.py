"""Shortest paths on the decoder's manifold."""

import math
import warnings
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_number, check_whole
from vae_course.isometry.decoder import Decoder, check_codes, check_decoder, decode
from vae_course.isometry.metrics import Metric, apply_metric, check_metric
from vae_course.spd.precision import full_precision


class Geodesic(NamedTuple):
    """A path between two codes whose image is as short as can be, nearby."""

    points: Float[Tensor, "batch points *code"]
    """Codes along the path, ends included; their images are equally far from each other."""
    energy: Float[Tensor, "batch"]
    """Integral of the squared speed over unit time; at least the squared length."""
    length: Float[Tensor, "batch"]
    """Length of the image, in the square root of the distortion's unit."""


@full_precision
def geodesic(
    decoder: Decoder,
    z0: Float[Tensor, "batch *code"],
    z1: Float[Tensor, "batch *code"],
    *,
    metric: Metric | Tensor | None = None,
    segments: int = 32,
    iterations: int = 500,
    tolerance: float | None = None,
) -> Geodesic:
    r"""Shortest path, on the decoder's manifold, between the images of two codes.

    .. math:: \mathcal E = \int_0^1 \dot x^\top G_x\, \dot x\,\mathrm dt
              \approx N \sum_{i=1}^N \|x_i - x_{i-1}\|_G^2, \qquad
              \mathcal L \approx \sum_{i=1}^N \|x_i - x_{i-1}\|_G, \qquad x_i = \hat x(z_i)

    The energy is minimised over the inner points, from the straight line in z: no Jacobian, and
    the metric is taken at the middle of each chord. The result is a *local* minimum: on a closed
    surface there is a longer way round as well. Chords cut corners, so length falls short by a
    share of about (curvature x length / N)² / 24.

    Args:
        decoder: as in ``jacobian``; it must let gradients through (no ``no_grad`` inside).
        z0: codes to start from, (batch, d) or (batch, \*code).
        z1: codes to end at, the same shape.
        metric: as in ``pullback_metric``; differentiable in x.
        segments: N, at least 2.
        iterations: of L-BFGS, at most.
        tolerance: largest derivative of the energy, relative to the straight line's, at which the
            path counts as found. 1e-6 in float64 and 1e-3 in float32 if None.

    A RuntimeWarning tells when ``iterations`` did not suffice. Raises ValueError for shapes that
    differ, codes or energies that are not finite, fewer than 2 segments, or a decoder that blocks
    gradients; TypeError as ``jacobian``. A search: not for ``torch.func``, ``torch.compile`` or
    ``torch.export``. float64 is worth its time here: in float32 lengths are good to 1e-3.
    Source: Shao, Kumar, Fletcher 2018; Arvanitidis, Hansen, Hauberg 2018.
    """
    for name, z in (("z0", z0), ("z1", z1)):
        check_codes(name, z)
    check_alike(z0=z0, z1=z1)
    check_decoder(decoder)
    check_metric(metric)
    if z0.shape != z1.shape:
        raise ValueError(
            f"z0 has shape {tuple(z0.shape)}, z1 {tuple(z1.shape)}: give as many codes to start "
            "from as to end at"
        )
    segments = check_whole("segments", segments, 2)
    iterations = check_whole("iterations", iterations, 1)
    if tolerance is None:
        tolerance = 1e-6 if z0.dtype == torch.float64 else 1e-3
    tolerance = check_number("tolerance", tolerance, 0)
    code = z0.shape[1:]
    z0, z1 = z0.detach().flatten(1), z1.detach().flatten(1)
    t = torch.arange(segments + 1, dtype=z0.dtype, device=z0.device) / segments
    line = torch.lerp(z0[:, None], z1[:, None], t[:, None])  # (batch, segments + 1, d)
    # Bows sin(πkt)/k away from the line: in these coordinates the energy of a flat manifold is a
    # sum of squares, so that L-BFGS needs as few steps for 100 segments as for 10.
    k = torch.arange(1, segments, dtype=z0.dtype, device=z0.device)
    bows = math.sqrt(2) * torch.sin(math.pi * k * t[:, None]) / (math.pi * k)
    bows[[0, -1]] = 0  # the ends stay
    scale = (z1 - z0).norm(dim=1)[:, None, None]
    heights = z0.new_zeros(len(z0), segments - 1, z0.shape[1]).requires_grad_()

    def path() -> Tensor:
        return line + scale * (bows @ heights)

    def squared_steps(points: Tensor) -> Tensor:  # (batch, segments)
        codes = points.flatten(0, 1).unflatten(1, code)
        x = decode(decoder, codes).unflatten(0, points.shape[:2])
        step = x.diff(dim=1).flatten(0, 1)
        middle = ((x[:, 1:] + x[:, :-1]) / 2).flatten(0, 1)
        squares = step * apply_metric(metric, middle, step)
        return squares.flatten(1).sum(1).unflatten(0, (len(points), segments))

    with torch.no_grad():
        start = segments * squared_steps(line).sum(1)
    if not start.isfinite().all():
        raise ValueError("the energy of the straight line is not finite: look at the decoder")
    unit = start.where(start > 0, 1)  # pairs weigh alike; from a code to itself there is no way

    optimizer = torch.optim.LBFGS(
        [heights], max_iter=iterations, tolerance_grad=tolerance / 2, tolerance_change=0,
        history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        energy = (segments * squared_steps(path()).sum(1) / unit).sum()
        if not energy.requires_grad:
            raise ValueError("the decoder (or the metric) blocks gradients: remove its no_grad")
        (heights.grad,) = torch.autograd.grad(energy, heights)
        return energy

    with torch.enable_grad():
        optimizer.step(closure)
        closure()
    slope = heights.grad.abs().max().item() if heights.grad is not None else math.nan
    with torch.no_grad():
        points = path()
        squares = squared_steps(points)
    if not (points.isfinite().all() and squares.isfinite().all()):
        raise ValueError("the search left the decoder's domain: its energy is not finite")
    if slope > tolerance:
        warnings.warn(
            f"geodesic: derivative {slope:.1e} above {tolerance:.0e} after {iterations} "
            "iterations; give more iterations, fewer segments, or float64",
            RuntimeWarning,
            stacklevel=3,  # past full_precision
        )
    length = squares.clamp_min(0).sqrt().sum(1)
    return Geodesic(points.unflatten(2, code), segments * squares.sum(1), length)
