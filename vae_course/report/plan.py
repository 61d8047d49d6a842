"""How much of each thing is looked at, so that a report takes the time it was given."""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import NamedTuple

# A product with J'J takes as long as so many decoded images (measured on AutoencoderKL).
PRODUCT = 3.4
PLANNED = 0.85
"""The share of the budget that is planned for; the rest is for what the plan does not see."""
SPARED = "isometry", "samples", "holes", "shift", "wiring", "bend", "ruler", "deaf"
"""What is left out first where even the least of everything takes too long."""


RESTS = {"contract": "fit", "heard": "fit"}
"""Row → the row whose images it takes: with that one it is left out too."""
USES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "range": ("gain",),
        "gain": ("gain",),
        "deaf": ("channels", "swapped"),
        "wiring": ("channels", "swapped"),
        "samples": ("samples",),
        "holes": ("holes",),
        "shift": ("shifted",),
        "ruler": ("codes", "coordinates"),
        "isometry": ("codes", "probes", "steps"),
        "bend": ("codes",),
    }
)
"""Row → the sizes that it takes, besides ``images`` and ``decoded``."""


@dataclass(frozen=True)
class Sizes:
    """How many of what; the defaults are what a small model gets."""

    images: int = 2000
    """Encoded."""
    decoded: int = 256
    """Decoded at mu and at z, for everything that compares images."""
    gain: int = 32
    """Decoded at each of several multiples of mu."""
    channels: int = 16
    """Looked at one by one, those of the highest rate."""
    swapped: int = 32
    """Images whose channels are swapped, and that are pushed for the wiring."""
    samples: int = 256
    """Drawn from each law."""
    holes: int = 64
    """Midpoints of each kind."""
    shifted: int = 128
    """Images shifted and flipped."""
    codes: int = 8
    """At which the decoder's derivatives are taken."""
    probes: int = 2
    steps: int = 24
    """Of each quadrature."""
    coordinates: int = 32
    """Latents a code whose length is measured."""

    def shrunk(self, share: float) -> "Sizes":
        """A share of all, but never less than ``LEAST``."""
        least, all_of = asdict(LEAST), asdict(self)
        return Sizes(**{k: min(v, max(least[k], math.ceil(share * v))) for k, v in all_of.items()})


LEAST = Sizes(
    images=32,
    decoded=16,
    gain=4,
    channels=4,
    swapped=4,
    samples=32,
    holes=8,
    shifted=8,
    codes=2,
    probes=2,
    steps=12,
    coordinates=4,
)


class Speed(NamedTuple):
    """Seconds an image."""

    encode: float
    decode: float


def costs(sizes: Sizes, speed: Speed, channels: int) -> dict[str, float]:
    """Seconds of each row, about; rows that are not named cost next to nothing."""
    e, d = speed
    channels = min(sizes.channels, channels)
    return {
        "encoding": sizes.images * e,
        "rows": 24 * e + (24 + sizes.decoded) * d,
        "range": 3 * sizes.gain * (e + d),
        "gain": 6 * sizes.gain * d,
        "fit": sizes.decoded * d,
        "contract": sizes.decoded * d,
        "deaf": channels * sizes.swapped * d,
        "wiring": channels * sizes.swapped * (e + d),
        "samples": 3 * min(sizes.samples, sizes.images // 2) * d,
        "holes": 3 * sizes.holes * (e + d),
        "shift": 3 * sizes.shifted * e,
        "ruler": 2 * sizes.codes * sizes.coordinates * d,
        "isometry": sizes.codes * sizes.probes * sizes.steps * PRODUCT * d,
        "bend": 9 * sizes.codes * d,
    }


class Plan(NamedTuple):
    sizes: Sizes
    left_out: dict[str, float]
    """Row → the seconds that the least of it takes, too many."""
    seconds: float
    """That all else will take, about."""


def plan(
    budget: float,
    speed: Speed,
    *,
    channels: int,
    rows: Collection[str],
    wanted: Sizes,
    encoded: bool = False,
) -> Plan:
    """The largest share of all sizes that the budget allows, and what it does not allow at all.

    ``rows``: those that will be measured; ``encoded``: whether images already were. An infinite
    budget gives what is wanted.
    """
    asked, left_out = {*rows} if encoded else {*rows, "encoding"}, {}
    allowed, least = PLANNED * budget, costs(wanted.shrunk(0), speed, channels)

    def seconds(sizes: Sizes) -> float:
        return sum(s for row, s in costs(sizes, speed, channels).items() if row in asked)

    for row in SPARED:
        if sum(least[row] for row in least.keys() & asked) <= allowed:
            break
        if row in asked:
            asked.remove(row)
            left_out[row] = least[row]
    if seconds(wanted) <= allowed:
        return Plan(wanted, left_out, seconds(wanted))
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        fits = seconds(wanted.shrunk(middle)) <= allowed
        low, high = (middle, high) if fits else (low, middle)
    sizes = wanted.shrunk(low)
    return Plan(sizes, left_out, seconds(sizes))


def enough(seconds: float) -> int:
    """The budget, in whole minutes, that so many seconds are a plan's share of."""
    return math.ceil(seconds / PLANNED / 60) * 60
