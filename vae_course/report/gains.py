"""Is something applied to codes on one side only: a factor, or a shift?"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vae_course.report.errors import first_order, ratio, squared
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.numerals import number
from vae_course.report.study import Study

GOOD, BACK, BAD = 0.6, 0.5, 0.3
"""R²: above the first the best is looked for nearby first; what was lost is back above the second,
and images are lost below the last."""
FLAT = 1e-3
"""Of V: where errors vary by less, the decoder does not hear what is done to its codes."""
NEAR, CLOSE = (0.8, 1.25), 0.3
FACTORS = [2.4**i for i in range(-4, 5)]
SHIFTS = [-8.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0]

Errors = Callable[[float], Tensor]


class Least(NamedTuple):
    """Where the mean of errors is least along a line."""

    at: float
    change: Tensor
    """Of ``at``, by each image, to first order."""
    error: float
    """The least that was seen, mean over images."""
    spread: float
    """Between the largest and the least that were seen."""


def least(
    errors: Errors,
    start: float,
    around: Callable[[float, float], tuple[float, float]],
    sizes: Sequence[float],
    far: Iterable[float],
    near: bool,
) -> Least:
    """By the parabola through the best point that was tried and its neighbours.

    ``errors``: a point -> errors (n,) of images. ``around(u, size)``: two points about u, for sizes
    from coarse to fine. ``far``: where else it may be; with ``near`` only looked at where ``start``
    is no minimum between its finest neighbours.
    """
    tried = {start: errors(start)}

    def look(points: Iterable[float]) -> float:
        tried.update({u: errors(u) for u in points if u not in tried})
        return min(tried, key=lambda u: tried[u].mean().item())

    if not near or look(around(start, sizes[-1])) != start:
        best = look(far)
        for size in sizes:
            best = look(around(best, size))
    means = [e.mean().item() for e in tried.values()]
    points = sorted(tried)
    i = points.index(min(tried, key=lambda u: tried[u].mean().item()))
    i = min(max(i, 1), len(points) - 2)
    three = torch.tensor(points[i - 1 : i + 2], dtype=torch.float64, device="cpu")
    values = torch.stack([tried[u] for u in points[i - 1 : i + 2]])
    middle = three[1].item()
    powers = torch.linalg.vander(three - middle, N=3)
    _, slope, bend = torch.linalg.solve(powers, values)
    curved = bend.mean().clamp_min(1e-300)
    at = (-slope.mean() / (2 * curved)).clamp(three[0] - middle, three[2] - middle)
    change = -(slope + 2 * bend * at) / (2 * curved)
    return Least(middle + at.item(), change, min(means), max(means) - min(means))


def by_factor(u: float, size: float) -> tuple[float, float]:
    return u / size, u * size


def by_step(u: float, size: float) -> tuple[float, float]:
    return u - size, u + size


def gain(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Which multiple of its codes, and which shift of them, does the decoder want?

    .. math:: \arg\min_a \sum_i \|x_i - g(a\mu_i)\|^2, \qquad
              \arg\min_b \sum_i \|x_i - g(a(\mu_i + b))\|^2

    A decoder that is the best for its codes is best at a = 1 and b = 0, *at draws z*; posterior
    means are shrunk, so it may want a little more of them. Where a is not near 1 it is looked for
    at draws too, and the a nearer to 1 is told: a wrong sigma alone is no wrong factor. Images that
    nothing brings back have another fault, and then there is no a.
    """
    n = min(study.sizes.gain, len(study.x))
    x, power, v = study.x[:n], study.power[:n], study.power[:n].mean().item()
    mean, std = study.tokens.mean, study.tokens.std
    unit = (std.square().mean() + mean.var(correction=0)).sqrt().item()
    middle = mean.to(study.mu.dtype).view(-1, *[1] * len(study.places))
    mu, z = study.mu[:n], study.z[:n]

    def errors(codes: Tensor) -> Tensor:
        return squared(x, study.decoded(codes))

    given, centred = squared(x, study.at_mean[:n]), errors(mu - middle)
    fit, fit_centred = (1 - e.mean().item() / v for e in (given, centred))
    off = fit_centred > max(fit + 0.02, BAD)
    if off:
        mu, z = mu - middle, z - middle
    base = centred if off else given

    def factor(codes: Tensor) -> Least:
        return least(lambda a: base if codes is mu and a == 1 else errors(a * codes), 1.0,
                     by_factor, (1.54, 1.25), FACTORS, max(fit, fit_centred) >= GOOD)  # fmt: skip

    best = factor(mu)
    if best.spread < FLAT * v:
        flat = Unmeasured("the decoder gives the same images whatever its codes are multiplied by")
        return dict.fromkeys(("gain", "offset", "gain_centred", "gain_fit"), flat)
    fit_best = 1 - best.error / v
    near = NEAR[0] <= best.at <= NEAR[1]
    back = _back(max(fit, fit_centred), fit_best, near)
    noisy = False
    if back and not near:
        other = factor(z)
        back = _back(fit, 1 - other.error / v, False)  # a factor is missing from draws too
        noisy = not back
        best = min(best, other, key=lambda b: abs(math.log(b.at)))
    a = best.at if back else 1.0
    shift = least(lambda b: errors(a * (study.mu[:n] + b * unit)), 0.0,
                  by_step, (1.0, 0.5), SHIFTS, fit_best >= GOOD)  # fmt: skip
    fit_shifted = 1 - shift.error / v
    most = max(fit_best, fit_shifted)
    lost = Unmeasured(f"no multiple or shift of codes brings images back: R² is {number(most)}")
    drowned = Unmeasured(
        f"multiples of μ bring R² to {number(fit_best)}, but none of draws z: σ drowns them"
    )
    found: dict[str, Found | Unmeasured] = {"gain": drowned if noisy else lost, "offset": lost}
    found["gain_fit"] = Found(most, f"the best multiple and shift bring R² to {number(most)}")
    if back:
        estimate, each = first_order(best.at, best.change)
        found["gain"] = Found(estimate, _factor_said(best.at), 1.0, each)
    if _back(fit if off else fit_best, fit_shifted, abs(shift.at) < CLOSE):
        estimate, each = first_order(shift.at, shift.change)
        found["offset"] = Found(estimate, _shift_said(shift.at, unit), 0.0, each)
    better, each = fit_centred - fit, ratio(given - centred, power)[1]
    said = f"R² changes by {number(better)} when each channel's mean is taken off the codes"
    known = max(fit, fit_centred) >= BAD
    found["gain_centred"] = Found(better, said, 0.0, each) if known else lost
    return found


def _back(before: float, after: float, near: bool) -> bool:
    """Whether images are back, by R²: little was changed, or they were there already, or half of
    what was missing has come."""
    restored = after >= BACK and after - before >= (1 - before) / 2
    return restored or (after >= BAD and (near or before >= GOOD))


def _factor_said(a: float) -> str:
    if NEAR[0] <= a <= NEAR[1]:
        return f"the decoder wants its codes × {number(a)}: no factor is missing"
    return (
        f"the decoder wants its codes × {number(a)}: a factor is applied on one side only, or on "
        f"both the wrong way; give decode {number(a)} z"
    )


def _shift_said(b: float, unit: float) -> str:
    if abs(b) < CLOSE:
        return f"the decoder wants its codes {number(b)} SD further: no shift is missing"
    return (
        f"the decoder wants {number(b)} SD more of each latent: a mean is taken off on one side "
        f"only; give decode z + {number(b * unit)}"
    )
