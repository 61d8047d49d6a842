"""How much a decoded manifold bends: over a posterior step, and at a point."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from vae_course.arguments import check_alike, check_finite, check_real, check_values, check_whole
from vae_course.evaluation.intervals import Estimate
from vae_course.isometry.decoder import (
    Decoder,
    check_codes,
    check_decoder,
    decode,
    decode_each,
    is_out_of_memory,
)
from vae_course.isometry.forward_mode import load_forward_mode
from vae_course.isometry.operator import Pullback
from vae_course.isometry.parts import check_single, in_memory, parts
from vae_course.spd.precision import full_precision

STILL = "decoder does not move with its code: an image that stays has no curvature"


@full_precision
def bend(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    sigma: Float[Tensor, "batch *code"],
    *,
    draws: int = 4,
    seed: int = 0,
    chunk: int | None = None,
) -> Estimate:
    r"""How far the decoder is from straight within a ball: 0 where it is linear.

    .. math:: \Big\langle \frac{\|g(z + s) + g(z - s) - 2 g(z)\|}{\|g(z + s) - g(z - s)\|}
              \Big\rangle, \qquad s = \sigma\varepsilon,\quad \varepsilon \sim N(0, I)

    The even part of a posterior step over its odd part: a secant, without a derivative, and so
    right for decoders with kinks too. Of a circle it is the sagitta over half the chord: half the
    curvature times the step's length, for small steps.

    Args:
        decoder: as in ``jacobian``; here it need not let gradients through.
        z: centres of the balls, (batch, \*code).
        sigma: their standard deviations, the same shape, positive.
        draws: steps a ball.
        seed: of the steps.
        chunk: codes decoded at once; if None, as ``spectrum``.

    The error is over codes; with one code over its draws. Raises as ``jacobian``; ValueError too
    for a sigma of another shape or not positive, or a decoder that does not move with its code;
    MemoryError as ``spectrum``. A measure: not for ``torch.func``, ``torch.compile`` or
    ``torch.export``. float32: absolute error about 1e-6 of the image's norm over the step's.
    Source: derived, chapter 06.
    """
    check_decoder(decoder)
    check_codes("z", z), check_real("sigma", sigma)
    check_alike(z=z, sigma=sigma)
    if sigma.shape != z.shape:
        raise ValueError(f"sigma has shape {tuple(sigma.shape)}, z {tuple(z.shape)}: the same")
    check_values(
        "sigma", sigma, lambda s: s.isfinite() & (s > 0), "positive and finite",
        "it is the standard deviation, not its log",
    )  # fmt: skip
    generator = torch.Generator("cpu").manual_seed(check_whole("seed", seed, 0))
    shape = check_whole("draws", draws), *z.shape
    steps = sigma.detach() * torch.randn(shape, generator=generator, device="cpu").to(z)
    pieces, size = parts(decoder, z.detach(), chunk)
    found = []
    with torch.no_grad(), in_memory(size):
        for codes, moves in zip(pieces, steps.tensor_split(len(pieces), 1), strict=True):
            middle, shares = decode_each(decoder, codes), []
            for move in moves:
                up, down = decode(decoder, codes + move), decode(decoder, codes - move)
                even, odd = (t.flatten(1).norm(dim=1) for t in (up + down - 2 * middle, up - down))
                if not (odd > 0).all():
                    raise ValueError(STILL)
                shares.append(even / odd)
            found.append(torch.stack(shares, 1))  # (codes, draws)
    per_draw = torch.cat(found).double().cpu()
    units = per_draw.mean(1) if len(z) > 1 else per_draw[0]
    error = units.std().item() / len(units) ** 0.5 if len(units) > 1 else torch.inf
    return Estimate.t(units.mean().item(), error, len(units))


@full_precision
def curvature(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    v: Float[Tensor, "batch *code"],
    *,
    normal: bool = True,
    steps: int = 200,
    chunk: int | None = None,
) -> Float[Tensor, "batch"]:
    r"""Curvature of the decoded manifold at a point, along a direction: one over a radius.

    .. math:: \kappa = \frac{\|\mathrm{II}(v, v)\|}{\|J v\|^2}, \qquad
              \mathrm{II}(v, v) = (1 - P)\, \partial_t^2\, g(z + t v)\big|_{t = 0}

    P projects on the tangent space, by conjugate gradients on J; ``normal=False`` leaves it out,
    and the result then depends on how fast the straight line of codes is run through, too. In units
    of one over the data's distance. The second derivative takes two forward passes at once, so for
    decoders with kinks (ReLU), where it is 0 almost everywhere, ask ``bend``.

    Args:
        decoder: as in ``spectrum``, smooth, and with forward mode.
        z: codes, (batch, \*code).
        v: directions, the same shape, of any length but 0.
        normal: whether to leave out the part along the manifold.
        steps: of conjugate gradients, at most; a RuntimeWarning tells when they did not suffice,
            and the result is then an upper bound.
        chunk: codes held at once; if None, as ``spectrum``.

    Raises as ``spectrum``; ValueError too for a v of another shape, one along which the decoder
    does not move, or a decoder without a second derivative. A measure: not for ``torch.func``,
    ``torch.compile`` or ``torch.export``. float32: relative error 1e-3.
    Source: Gauss; do Carmo 1992; derived in chapter 06.
    """
    check_decoder(decoder)
    check_single(z)
    check_real("v", v)
    check_alike(z=z, v=v)
    check_finite(v=v)
    if v.shape != z.shape:
        raise ValueError(f"v has shape {tuple(v.shape)}, z {tuple(z.shape)}: give the same")
    check_whole("steps", steps)
    pieces, size = parts(decoder, z.detach(), chunk)
    found = []
    with in_memory(size):
        for codes, along in zip(pieces, v.detach().tensor_split(len(pieces)), strict=True):
            with torch.no_grad():
                decode_each(decoder, codes)
            speed, acceleration = _derivatives(decoder, codes, along)
            squared = speed.flatten(1).square().sum(1)
            if not (squared > 0).all():
                raise ValueError(STILL)
            if normal:
                acceleration = _off_tangent(Pullback(decoder, codes), acceleration, steps)
            found.append(acceleration.flatten(1).norm(dim=1) / squared)
    return torch.cat(found)


def _derivatives(decoder: Decoder, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivative of the image along v, (batch, *output) each."""

    def once(code: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        def image(code: Tensor) -> Tensor:
            return decode(decoder, code[None])[0]

        def speed(code: Tensor) -> Tensor:
            return torch.func.jvp(image, (code,), (along,))[1]

        both: tuple[Tensor, Tensor] = torch.func.jvp(speed, (code,), (along,))[:2]
        return both

    load_forward_mode()
    # Without a graph PyTorch takes shortcuts (of SiLU, say) that have no second derivative.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        try:
            speed, acceleration = torch.func.vmap(once)(z, v)
        except (RuntimeError, ValueError) as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            raise ValueError(
                "decoder has no second derivative in forward mode "
                f"({str(error).splitlines()[0]}): bend needs none"
            ) from error
    if not acceleration.isfinite().all():
        raise ValueError("the decoder's second derivative is not finite: look where it has a kink")
    return speed.detach(), acceleration.detach()


def _off_tangent(pullback: Pullback, x: Tensor, steps: int) -> Tensor:
    """What of x (batch, *output) is perpendicular to the columns of J: the residual of CGLS."""
    tolerance = 1e-3 if x.dtype == torch.float32 else 1e-8

    def dot(a: Tensor) -> Tensor:
        return a.flatten(1).square().sum(1)

    def scaled(factor: Tensor, a: Tensor) -> Tensor:
        return factor.view(-1, *[1] * (a.ndim - 1)) * a

    rest, slope = x, pullback.pull(x)
    direction, gamma = slope, dot(slope)
    steepest = torch.zeros_like(gamma)
    for _ in range(steps):
        moved = pullback.push(direction)
        length = dot(moved)
        steepest = torch.maximum(steepest, length / dot(direction).where(gamma > 0, 1))
        step = (gamma / length.where(length > 0, 1)).where(length > 0, 0)
        rest = rest - scaled(step, moved)
        slope = pullback.pull(rest)
        before, gamma = gamma, dot(slope)
        if (gamma <= tolerance**2 * steepest * dot(rest)).all():
            return rest
        direction = slope + scaled((gamma / before.where(before > 0, 1)), direction)
    warnings.warn(
        f"curvature: {steps} steps did not find the part along the manifold at every code, so that "
        "values are upper bounds; give more steps, or float64",
        RuntimeWarning,
        stacklevel=4,  # past full_precision
    )
    return rest
