"""[0, 1] or [−1, 1]? Maps of a model's input and output that may bring its images back."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.errors import first_order, ratio, squared
from vae_course.report.measures import ROWS, Found, Unmeasured
from vae_course.report.numerals import number
from vae_course.report.study import Study

GOOD, BAD = 0.6, 0.3
"""R²: images are back above the one, which any affine map has to show, and not below the other."""
STANDARDISED = {"ImageNet's": (0.449, 0.226), "MNIST's": (0.1307, 0.3081)}
"""Name → mean and SD that images in [0, 1] are standardised with."""
LOOK = 0.02
"""Of R², that a map has to gain before it is believed."""
NAMES = "range", "range_offset", "range_fit", "range_output", "range_input"


class Map(NamedTuple):
    """y -> slope y + offset."""

    slope: float
    offset: float

    def __call__(self, y: Tensor) -> Tensor:
        return self.slope * y + self.offset

    @property
    def inverse(self) -> "Map":
        return Map(1 / self.slope, -self.offset / self.slope)

    def of(self, symbol: str) -> str:
        """In words: of x or y."""
        known = {(0.5, 0.5): "({} + 1)/2", (2, -1): "2{} − 1", (-1, 1): "1 − {}", (-1, 0): "−{}"}
        if (self.slope, self.offset) in known:
            return known[self.slope, self.offset].format(symbol)
        sign = "−" if self.offset < 0 else "+"
        offset = f" {sign} {number(abs(self.offset))}" if self.offset else ""
        return f"{number(self.slope)} {symbol}{offset}"


def candidates(low: float, high: float) -> list[Map]:
    """Between [0, 1], [−1, 1] and the images' own range, and the negative."""
    maps = [Map(0.5, 0.5), Map(2.0, -1.0), Map(-1.0, low + high)]
    if (low, high) not in ((0.0, 1.0), (-1.0, 1.0)):
        unit = Map(1 / (high - low), -low / (high - low))
        maps = [unit, Map(2 * unit.slope, 2 * unit.offset - 1), maps[2]]
        maps += [m.inverse for m in maps[:2]]
    return maps


class Tried(NamedTuple):
    """What a map makes of reconstructions, ‖x − m(x̂)‖² of each image, and of R²."""

    said: str
    errors: Tensor
    fit: float
    base: Tensor
    """The errors that it is held against, of the same images."""
    better: float
    """R² more than of those."""
    free: bool = False

    @classmethod
    def of(
        cls, said: str, errors: Tensor, given: Tensor, base: Tensor, power: Tensor,
        free: bool = False,
    ) -> "Tried":  # fmt: skip
        """Held against what is given, where it beats ``base`` too; else against that."""
        n = len(errors)
        given, base, v = given[:n], base[:n], power[:n].mean()
        kept = given if (base.mean() - errors.mean()) / v > LOOK else base
        better = ((kept.mean() - errors.mean()) / v).item()
        return cls(said, errors, 1 - (errors.mean() / v).item(), kept, better, free)

    def rank(self) -> tuple[bool, float]:
        """Those that gain by R²; of two that are alike, the map that has a name."""
        gains = self.better > LOOK
        return gains, (self.fit if gains else self.better) - (LOOK if self.free else 0)


class _Sums(NamedTuple):
    """Of each image: over its numbers, float64. An affine map's error needs no more."""

    x: Tensor
    y: Tensor
    xx: Tensor
    xy: Tensor
    yy: Tensor
    numbers: int

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> "_Sums":
        x, y = x.flatten(1), y.flatten(1)

        def total(part: Tensor) -> Tensor:
            return part.sum(1, dtype=torch.float64)

        return cls(total(x), total(y), total(x * x), total(x * y), total(y * y), x.shape[1])

    def errors(self, m: Map) -> Tensor:
        a, b = m
        return (
            self.xx - 2 * a * self.xy + a * a * self.yy
            - 2 * b * self.x + 2 * a * b * self.y + b * b * self.numbers
        ).clamp_min(0)  # fmt: skip

    def best(self) -> Map:
        """Least squares."""
        x, y = self.x.mean() / self.numbers, self.y.mean() / self.numbers
        spread = self.yy.mean() / self.numbers - y * y
        slope = (self.xy.mean() / self.numbers - x * y) / spread.clamp_min(1e-300)
        return Map(slope.item(), (x - slope * y).item())


def range(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Does another range of the model's input or output bring the images back?

    Of the output m(x̂): the maps of ``candidates``, a sigmoid or tanh, and any affine map. Of the
    input, g(μ(m(x))) and m⁻¹ of it. A map with which R² is below .3, or that does less than a
    multiple of codes, is none; where there is none at all, nothing is said. Maps of the input and
    free ones are held against a free contrast about the decoder's own mean image, since posterior
    means are shrunk in a healthy model too, and a free map has to reach .6.
    """
    x, y, power = study.x, study.at_mean, study.power
    v = power.mean()
    sums = _Sums.of(x, y)
    given = squared(x, y)
    base = min(given, _contrasted(x, y), key=lambda e: e.mean().item())
    outputs = _outputs(study, sums, given, base)
    inputs = _inputs(study, given, base)
    fit = 1 - (given.mean() / v).item()
    if any(t.better > LOOK for t in (*outputs, *inputs)):
        by_factor = _factor_fit(study)
        outputs, inputs = (
            [t for t in some if t.better <= LOOK or _believed(t, by_factor)]
            for some in (outputs, inputs)
        )
    tried = [*outputs, *inputs]
    if max([fit, *(t.fit for t in tried)]) < BAD:
        why = Unmeasured(f"R² is {number(fit)}, and no map of the range brings images back")
        return dict.fromkeys(NAMES, why)
    found: dict[str, Found | Unmeasured] = {"range_offset": _offset(sums)}
    low, high = (number(end) for end in study.value_range)
    for name, some in (("range", tried), ("range_output", outputs), ("range_input", inputs)):
        usable = [t for t in some if t.fit >= BAD or t.better <= LOOK]
        best = max(usable, key=Tried.rank, default=None)
        if best is None:
            found[name] = Found(0.0, "no map brings images back that a factor does not", 0.0)
            continue
        each = ratio(best.base - best.errors, power[: len(best.errors)])[1]
        said = f"no other range than [{low}, {high}] serves better; the next, {best.said}, gains"
        gain = best.better
        if gain > LOOK:
            said = f"R² is {number(fit)}, and {number(best.fit)} {best.said}: it gains"
            gain = best.fit - fit  # of all images, so that one side can be held against the other
        found[name] = Found(gain, f"{said} {number(gain)}", 0.0, first_order(gain, each)[1])
    best_fit = max([fit, *(t.fit for t in tried)])
    said = f"the best range brings R² to {number(best_fit)}"
    return found | {"range_fit": Found(best_fit, said)}


def _offset(sums: _Sums) -> Found:
    """Of the decoder's output from the images, in SDs of these, over all numbers."""
    n = sums.numbers
    mean = sums.x.mean() / n
    sd = (sums.xx.mean() / n - mean * mean).clamp_min(1e-300).sqrt()
    shift = (sums.y - sums.x) / n / sd
    offset = shift.mean().item()
    variance = ((sums.xx - 2 * mean * sums.x) / n + mean * mean) / sd**2
    estimate, each = first_order(offset, shift - offset / 2 * variance)
    way = "darker" if offset < 0 else "brighter"
    said = f"decoded images are {way} than images by {number(abs(offset))} SD of pixels"
    return Found(estimate, said, 0.0, each)


def _outputs(study: Study, sums: _Sums, given: Tensor, base: Tensor) -> list[Tried]:
    x, y, power = study.x, study.at_mean, study.power
    low, high = study.value_range
    done = []
    for m in (*candidates(low, high), Map((high - low) / 255, low)):
        said = f"where decoded images y are taken as {m.of('y')}"
        done.append(Tried.of(said, sums.errors(m), given, given, power))
    # What the last layer of a model of that range puts its numbers through.
    last = "sigmoid" if low >= 0 else "tanh"
    unit = y.sigmoid() if low >= 0 else (1 + y.tanh()) / 2
    said = f"where decoded images are put through a {last}, which is missing"
    done.append(Tried.of(said, squared(x, low + (high - low) * unit), given, given, power))
    best = sums.best()
    said = f"where decoded images y are taken as {best.of('y')}"
    free = Tried.of(said, sums.errors(best), given, base, power, free=True)
    return [*done, free] if free.fit >= GOOD else done


def _believed(t: Tried, by_factor: float) -> bool:
    """A map of its own has to do no worse than a factor of codes, a free one better."""
    return t.fit > by_factor + (LOOK if t.free else -LOOK)


def _contrasted(x: Tensor, y: Tensor) -> Tensor:
    """‖x − ȳ − c (y − ȳ)‖² of each image, with the best c ≥ 0."""
    middle = y.mean(0)
    away, wanted = y - middle, x - middle
    contrast = (away * wanted).sum(dtype=torch.float64) / squared(y, middle).sum().clamp_min(1e-300)
    return squared(wanted, contrast.clamp_min(0).item() * away)


def _factor_fit(study: Study) -> float:
    """R² at the best multiple and shift of codes: a fault of theirs may look like a contrast."""
    if study.kind not in ROWS["gain"].kinds:
        return -math.inf
    try:
        found = study.row("gain")["gain_fit"]
    except Unmeasured:
        return -math.inf
    if isinstance(found, Unmeasured) or isinstance(found.value, Estimate):
        return -math.inf
    return found.value


def _inputs(study: Study, given: Tensor, base: Tensor) -> list[Tried]:
    n = min(study.sizes.gain, len(study.x))
    x = study.x[:n]
    done = []
    low, high = study.value_range
    maps = candidates(low, high)
    if 1 - (given.mean() / study.power.mean()).item() < GOOD:  # then it is worth a longer look
        unit = Map(1 / (high - low), -low / (high - low))
        maps += [Map(255 * unit.slope, 255 * unit.offset), Map(1 / 255, 0.0)]
        for mean, sd in STANDARDISED.values():
            to = Map(unit.slope / sd, (unit.offset - mean) / sd)
            maps += [to, to.inverse]
    for m in maps:
        y = study.decoded(study.mean_code(m(x)))
        said = f"where the encoder is given {m.of('x')}"
        back = m.inverse
        also = f"{said}, and decoded images y are taken as {back.of('y')}"
        done.append(Tried.of(said, squared(x, y), given, base, study.power))
        done.append(Tried.of(also, squared(x, back(y)), given, base, study.power))
    return done
