"""From numbers to names: which fault would explain what a report shows."""

import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from vae_course.report.card import Measure, Suspect

VARIANCE, ROOT = 1.2, 0.64
"""Of the ruler's slope: above the one it is a variance's, below the other a root's.

In theory 1/σ² = 1 + a with a = 2A/β. Of a variance given for σ the slope on log a is
2 - 2/(a + 2), of a root 1/2 + 1/(2 √(1 + a)); a is above 1 wherever it is taken.
"""
MUTE = 1e-6
"""Of V: a channel that moves less is cut off; one that moves little has a σ that is too small."""
KNOWN = tomllib.loads(Path(__file__).with_name("suspects.toml").read_text(encoding="utf-8"))
"""Key → sentence, remedy and chapter of every suspect."""


class Seen:
    """What a report shows. A number that was not measured is NaN, and neither large nor small."""

    def __init__(self, measures: Mapping[str, Measure]) -> None:
        self.measures = measures

    def __getitem__(self, key: str) -> float:
        return self.measures[key].value if key in self.measures else math.nan

    def fails(self, *keys: str) -> bool:
        return any(k in self.measures and self.measures[k].verdict == "fail" for k in keys)

    def odd(self, *keys: str) -> bool:
        """Whether one of them fails, or is to be looked at."""
        return any(
            k in self.measures and self.measures[k].verdict in ("fail", "look") for k in keys
        )


class Rule(NamedTuple):
    key: str
    points: Callable[[Seen], bool]
    evidence: tuple[str, ...]


def suspects(measures: Mapping[str, Measure]) -> tuple[Suspect, ...]:
    """The faults that would explain the numbers, the likeliest first; none for a healthy model."""
    seen = Seen(measures)
    named: dict[str, Suspect] = {}
    for key, points, evidence in (*RULES, LAST):
        if key not in named and points(seen) and not (named and key == LAST.key):
            known = tuple(k for k in evidence if not math.isnan(seen[k]))
            named[key] = Suspect(key, evidence=known, **KNOWN[key])
    return tuple(named.values())


def _by_noise(seen: Seen) -> float:
    """β̂ / β once more, by all the noise that is heard: Σ A_jj σ_j² = (β/2) Σ (1 - σ_j²)."""
    null = seen.measures["contract"].null if "contract" in seen.measures else None
    return seen["heard"] / null if null else math.nan


def _helps(seen: Seen) -> bool:
    """A factor or a shift of codes brings images back."""
    return seen["gain_fit"] > seen["fit"] + 0.1


def _turned(seen: Seen) -> bool:
    """Codes are read at other places, all of them, and images vary as they should."""
    return seen.fails("orientation") and not seen.odd("wiring") and not seen["spread"] < 0.3


def _dead_but_heard(seen: Seen) -> bool:
    """Channels that say nothing make a fifth of the noise that is heard, or more."""
    return seen["dead_heard"] > max(0.2 * seen["heard"], 1e-3)


def _variance(seen: Seen) -> bool:
    """s = σ² instead of σ makes β̂ / β the median of s / (1 + s); a weak rate makes it anything."""
    s = seen["sigma_median"]
    weak = s < 0.2 and seen["price_ratio"] < s / 3
    return seen["ruler_slope"] > VARIANCE and not seen["price_ratio"] > 0.5 and not weak


def _root(seen: Seen) -> bool:
    """√σ instead of σ makes β̂ too large by 1 + 1/σ, 2 and more, and codes longer than √d.

    A healthy model at a high price shows a slope of one half, too: then one of these must tell.
    """
    slope, known, radius = seen["ruler_slope"], seen["price_ratio"], seen["radius"]
    if known > 0:
        return known > 2 and (slope < ROOT or (slope < 0.75 and radius > 1.02))
    return slope < ROOT and radius > 1.01


def _constant(seen: Seen) -> bool:
    """One σ for all latents, where channels that the decoder ignores then cost something."""
    return seen["posterior_anisotropy"] < 1e-9 and seen.odd("deaf", "contract")


def _collapsed(seen: Seen) -> bool:
    return seen["rate"] < 0.1 and seen["dead"] >= 0.5 and seen.odd("fit")


def _untrained(seen: Seen) -> bool:
    """Noise is loud, but most latents are at the right price; or a channel does not read itself."""
    loud = _by_noise(seen)
    unread = seen.odd("wiring") and seen["answer"] < 0.1 and not loud < 2
    return not seen.fails("fit") and (unread or (loud > 2.5 and seen["price_ratio"] < 2))


def _permuted(seen: Seen) -> bool:
    """Channels answer as they should, but others: much louder than the own, or nearly as loudly
    as in a healthy model (K = 1 - σ²)."""
    other = seen["misread"]
    if not seen.fails("wiring") or seen["reply"] < 0.1:
        return False
    return other > 4 or (other > 2 and seen["reply"] > 0.3)


def _strangers(seen: Seen) -> bool:
    """Nothing answers in any channel, and images differ all the same."""
    return seen["reply"] < 0.1 and seen.fails("fit") and seen["spread"] > 0.1


# The likeliest first: what stands above explains what stands below.
RULES: tuple[Rule, ...] = (
    Rule("not-finite", lambda v: v.fails("finite"), ("finite",)),
    Rule("random", lambda v: v.fails("repeats"), ("repeats",)),
    Rule("batch-statistics", lambda v: v.fails("rows"), ("rows", "repeats")),
    Rule(
        "input-range",
        lambda v: v.fails("range") and v["range_input"] > v["range_output"] + 0.02,
        ("range", "range_input", "range_output"),
    ),
    Rule("output-range", lambda v: v.fails("range"), ("range", "range_output", "range_offset")),
    Rule(
        "one-sided-shift",
        lambda v: v.fails("offset", "gain_centred"),
        ("offset", "gain_centred", "gain_fit"),
    ),
    Rule("one-sided-scale", lambda v: v.fails("gain"), ("gain", "gain_fit")),
    Rule("output-range", lambda v: v.fails("range_offset"), ("range_offset",)),
    # A VAE may well bring back images that are too pale for it: where its codes lie tells.
    Rule(
        "input-range",
        lambda v: v["channel_offset"] > 1 and v["samples_prior"] > 1,
        ("channel_offset", "samples_prior", "gap"),
    ),
    Rule("log-variance", lambda v: v["sigma_max"] <= 0, ("sigma_max",)),
    Rule(
        "posterior-collapse",
        lambda v: v.fails("dead") or v["rate"] < 0.005,
        ("dead", "rate", "sigma_median"),
    ),
    Rule("wrong-factor", lambda v: v.fails("scale_declared"), ("scale_declared", "scale")),
    Rule("noise-too-wide", lambda v: v["sigma_max"] > 2, ("sigma_max", "sigma_median", "rate")),
    Rule(
        "concentration-stuck", lambda v: v.fails("concentration_spread"), ("concentration_spread",)
    ),
    Rule(
        "codebook-collapse",
        lambda v: v.fails("codebook_usage"),
        ("codebook_usage", "codebook_perplexity"),
    ),
    Rule("no-noise", lambda v: v["sigma_median"] < 0.005, ("sigma_median", "rate")),
    Rule("rescaled-codes", lambda v: v.fails("radius", "gap"), ("radius", "gap", "scale")),
    Rule("one-sided-shift", lambda v: v.odd("offset") and _helps(v), ("offset", "gain_fit", "fit")),
    Rule("one-sided-scale", lambda v: v.odd("gain") and _helps(v), ("gain", "gain_fit", "fit")),
    Rule(
        "axes-swapped",
        lambda v: _turned(v) and v["transposed"] > 2 and not v["flipped"] > v["transposed"],
        ("transposed", "flipped"),
    ),
    Rule("flipped", lambda v: _turned(v) and v["flipped"] > 2, ("flipped", "transposed")),
    Rule(
        "decoder-collapsed",
        lambda v: v["spread"] < 0.1 and not v["wiring"] > 0 and not v["reply"] > 0.1,
        ("spread", "wiring", "reply", "deaf"),
    ),
    Rule("deaf-decoder", lambda v: v["deaf"] < MUTE, ("deaf", "answer", "fit")),
    Rule(
        "strangers",
        _strangers,
        ("fit", "reply", "wiring"),
    ),
    Rule(
        "channels-permuted",
        _permuted,
        ("wiring", "misread", "answer"),
    ),
    Rule("dead-channel", _dead_but_heard, ("dead", "dead_heard", "heard")),
    Rule("posterior-collapse", _collapsed, ("dead", "rate", "fit")),
    Rule(
        "sigma-unrelated", _constant, ("posterior_anisotropy", "sigma_median", "deaf", "contract")
    ),
    Rule(
        "sigma-unrelated",
        lambda v: v.fails("deaf") and v["deaf"] >= MUTE,
        ("deaf", "sigma_median", "contract"),
    ),
    Rule("noise-too-wide", lambda v: v.fails("contract", "heard"), ("contract", "heard")),
    Rule(
        "sigma-unrelated",
        lambda v: (
            v["ruler_correlation"] < 0.2
            or (v["ruler_correlation"] < 0.5 and v["ruler_slope"] < ROOT)
        ),
        ("ruler_correlation", "ruler_slope"),
    ),
    Rule("variance-for-sigma", _variance, ("ruler_slope", "price_ratio", "heard")),
    Rule("root-for-sigma", _root, ("ruler_slope", "price_ratio", "radius")),
    Rule(
        "weak-rate",
        lambda v: v["price_ratio"] < 1 / 3 and _by_noise(v) < 0.5,
        ("price_ratio", "heard", "sigma_median", "rate"),
    ),
    Rule(
        "strong-rate",
        lambda v: _by_noise(v) > 3 and (v["price_ratio"] > 3 or v["rate"] < 0.1),
        ("price_ratio", "heard", "rate", "dead"),
    ),
    Rule(
        "untrained-channel",
        _untrained,
        ("wiring", "misread", "answer", "contract", "price_ratio"),
    ),
)
LAST = Rule("strangers", lambda v: v.fails("fit"), ("fit", "reply", "wiring"))
"""What is left where nothing comes back, and no other rule says why."""
