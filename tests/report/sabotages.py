"""Wrong VAEs, with the suspect that a report must name first.

Each sabotage takes a healthy model's (encode, decode), of Gaussian codes (batch, C, h, w) and
images in [0, 1], and gives the broken pair with what it declares. Those that are trained are read
from ``weights/``. Five more stand in ``own_sabotages.py``, held out: no rule was tuned on them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tests.report import bases
from tests.report.own_sabotages import Broken, Decode, Encode
from vae_course.sphere import VonMisesFisher

Ball = tuple[Tensor, Tensor]


class Sabotage(NamedTuple):
    suspect: str
    """What the report must name first; several, by a bar, where each is true."""
    breaks: Callable[[Encode, Decode], Broken]


def coded(change: Callable[[Tensor, Tensor], Ball], **declared: Any) -> Any:
    """Another (mu, sigma)."""
    return lambda encode, decode: Broken(lambda x: change(*encode(x)), decode, declared)


def shown(change: Callable[[Tensor], Tensor]) -> Any:
    """Another image out of the decoder."""
    return lambda encode, decode: Broken(encode, lambda z: change(decode(z)))


def heard(change: Callable[[Tensor], Tensor]) -> Any:
    """Another code into the decoder."""
    return lambda encode, decode: Broken(encode, lambda z: decode(change(z)))


def seen(change: Callable[[Tensor], Tensor]) -> Any:
    """Another image into the encoder."""
    return lambda encode, decode: Broken(lambda x: encode(change(x)), decode)


def masked(z: Tensor, channels: slice, value: float = 0.0) -> Tensor:
    """Some channels set to one value."""
    z = z.clone()
    z[:, channels] = value
    return z


def dead(channel: int) -> Any:
    """One channel at the prior, which the decoder listens to."""
    one = slice(channel, channel + 1)
    return coded(lambda mu, sigma: (masked(mu, one), masked(sigma, one, 1.0)))


HALF = slice(0, bases.CHANNELS // 2)

SABOTAGES: dict[str, Sabotage] = {
    "σ given as log σ²": Sabotage("log-variance", coded(lambda mu, s: (mu, 2 * s.log()))),
    "variance given as σ": Sabotage("variance-for-sigma", coded(lambda mu, s: (mu, s * s))),
    "exp(logvar/4) given as σ": Sabotage("root-for-sigma", coded(lambda mu, s: (mu, s.sqrt()))),
    "× .18215 in encode only": Sabotage(
        "one-sided-scale", coded(lambda mu, s: (0.18215 * mu, 0.18215 * s))
    ),
    "another VAE's factor declared": Sabotage(
        "wrong-factor", coded(lambda mu, s: (mu, s), factor=0.18215)
    ),
    "decoder collapsed": Sabotage("decoder-collapsed", heard(torch.zeros_like)),
    "decoder deaf to half the channels": Sabotage("deaf-decoder", heard(lambda z: masked(z, HALF))),
    "channels permuted": Sabotage("channels-permuted", heard(lambda z: z.roll(1, 1))),
    "height and width swapped": Sabotage("axes-swapped", heard(lambda z: z.mT)),
    "[−1, 1] into a [0, 1] model": Sabotage("input-range", seen(lambda x: 2 * x - 1)),
    "output in another range": Sabotage("output-range", shown(lambda x: (x + 1) / 2)),
    "σ × 30": Sabotage("noise-too-wide", coded(lambda mu, s: (mu, 30 * s))),
    "posterior collapse": Sabotage(
        "posterior-collapse", coded(lambda mu, s: (0.01 * mu, torch.ones_like(s)))
    ),
    "a plain autoencoder, σ = 1e-4": Sabotage(
        "no-noise", coded(lambda mu, s: (mu, torch.full_like(s, 1e-4)))
    ),
    "batch norm in training mode": Sabotage(
        "batch-statistics", coded(lambda mu, s: (mu - mu.mean((0, 2, 3), keepdim=True), s))
    ),
    "a channel set dead in encode": Sabotage("dead-channel", dead(1)),
}
"""Known from public threads; those that are trained, and other kinds of codes, are below."""

TRAINED: dict[str, tuple[str, str]] = {
    "KL as a mean over dimensions": ("weak-rate", "mean"),
    "a channel masked in training only": ("untrained-channel", "masked"),
}
"""Name → the suspect, and the weights of each base that show it."""


def trained(base: str, kind: str) -> bases.Base:
    """The trained sabotage of a base; it declares the β that its author believes in."""
    return bases.base(f"{base}-{kind}")._replace(declared={"beta": bases.BETA})


OWN_TUNED: dict[str, Sabotage] = {
    "images inverted": Sabotage("output-range", shown(lambda x: 1 - x)),
    "codes flipped left to right": Sabotage("flipped", heard(lambda z: z.flip(-1))),
    "σ the same for all": Sabotage(
        "sigma-unrelated", coded(lambda mu, s: (mu, torch.full_like(s, 0.5)))
    ),
    "images standardised for another network": Sabotage(
        "input-range", seen(lambda x: (x - 0.45) / 0.225)
    ),
}
"""Ours, on which rules may be tuned."""

OWN_TRAINED: dict[str, tuple[str, str]] = {
    "KL as a sum over the batch": ("strong-rate|posterior-collapse", "batch"),
}


def concentration_stuck() -> bases.Base:
    """A spherical VAE whose concentration is the same for every image."""
    whole = bases.base("sphere")

    def encode(x: Tensor) -> VonMisesFisher:
        loc = whole.encode(x).mode
        return VonMisesFisher(loc, torch.full_like(loc[..., 0], 10.0))

    return whole._replace(encode=encode)


def codebook_collapsed() -> bases.Base:
    """A codebook of which three entries are in use."""
    whole = bases.base("codebook")
    return whole._replace(encode=lambda x: whole.encode(x) % 3)


OTHER_CODES: dict[str, tuple[str, Callable[[], bases.Base]]] = {
    "vMF stuck at κ = 10": ("concentration-stuck", concentration_stuck),
    "codebook: 3 of 32 in use": ("codebook-collapse", codebook_collapsed),
}
