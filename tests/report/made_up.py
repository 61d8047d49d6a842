"""A report that no model made: every number of the registry, every table of the pictures."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.card import Measure, Report, Suspect
from vae_course.report.conditions import Condition
from vae_course.report.measures import MEASURES

NASTY = "<script>alert(1)</script>\"'&</style>"


def generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def inside(condition: Condition, share: float) -> float:
    """A number that passes, ``share`` of the way through the band."""
    low, high = condition.passes or (0.0, 1.0)
    low, high = max(low, -1.0), min(high, max(low, -1.0) + 3)
    return low + share * (high - low)


def measure(key: str, value: float, error: float = 0.0, **changed: Any) -> Measure:
    asked = MEASURES[key]
    made = Measure(
        key,
        asked.question,
        value,
        Estimate.t(value, error, 100) if error else None,
        asked.unit,
        asked.condition.verdict(value),
        asked.condition,
        None,
        f"It is {value:.3g} {asked.unit}, as made up as the rest.",
        asked.chapter,
        0.01,
    )
    return replace(made, **changed)


def tables(channels: int = 4, seed: int = 0, image: tuple[int, ...] = (3, 32, 32)) -> dict:
    """What the pictures are drawn of."""
    g = generator(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=g)

    z = torch.randn(channels, 4000, generator=g) * (0.6 + 0.2 * torch.arange(channels))[:, None]
    edges = torch.linspace(-4, 4, 41)
    counts = torch.stack([torch.histogram(one, edges).hist for one in z])
    smooth = torch.nn.functional.interpolate(rand(8, image[0], 4, 4), image[1:], mode="bicubic")
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    sigma = 0.1 + rand(channels, 1) * 0.5 + 0.3 * levels
    radii = torch.linspace(0, 2, 41)
    frequency = torch.linspace(0.05, 0.7, 12)
    found = {
        "histogram": counts,
        "histogram_edges": edges,
        "covariance": torch.cov(z),
        "rate_places": 2 + rand(8, 8),
        "sigma_profile": sigma,
        "rate_channel": rand(channels),
        "radii": torch.histogram(1 + 0.05 * torch.randn(300, generator=g), radii).hist,
        "radii_edges": radii,
        "response": torch.eye(channels) * 0.9 + 0.05 * rand(channels, channels),
        "response_channels": torch.arange(channels),
        "eigen_log10": torch.linspace(-5, 1, 31),
        "eigen_share": torch.exp(-((torch.linspace(-5, 1, 31) + 1.5) ** 2)),
        "eigen_floor": torch.tensor(-3.0),
        "radial_frequency": frequency,
        "radial_latents": (frequency**-1.0).expand(channels, -1),
        "radial_images": (frequency**-2.5).expand(image[0], -1),
        "shown": smooth,
        "shown_mean": smooth + 0.02,
        "shown_draw": smooth + 0.1 * (rand(*smooth.shape) - 0.5),
    }
    for law in ("prior", "token", "full", "aggregate"):
        found[f"sample_{law}"] = smooth.flip(0) + 0.3 * (rand(*smooth.shape) - 0.5)
    for key in ("rate", "fit"):
        found[f"each.{key}"] = rand(100).double()
    return found


def made_up(
    name: str = "a convolutional VAE", *, broken: bool = False, seed: int = 0, **meta: Any
) -> Report:
    """A healthy report, or one with failures, suspects and what was left out."""
    g = generator(seed)
    share = torch.rand(len(MEASURES), generator=g).tolist()
    measures = {}
    for s, (key, asked) in zip(share, MEASURES.items(), strict=True):
        value = inside(asked.condition, 0.2 + 0.6 * s)
        measures[key] = measure(key, value, 0.02 * (1 + s) if "gaussian" in asked.kinds else 0.0)
        if "gaussian" not in asked.kinds:
            why = "not defined for codes of kind 'gaussian'"
            blank = {"estimate": None, "verdict": "skipped", "reading": why}
            measures[key] = replace(measures[key], value=float("nan"), **blank)
    measures["radius"] = replace(measures["radius"], null=0.9987)
    measures["rows"] = measure("rows", 2.3e-7, null=0.0)
    measures["rate_image"] = measure("rate_image", 484.73, 0.52)
    measures["scale"] = measure("scale", 0.9931, 0.0021)
    measures["holes_near"] = measure("holes_near", 1.31, 0.08, null=0.5)
    suspects: tuple[Suspect, ...] = ()
    if broken:
        measures["gain"] = measure("gain", 5.7)
        measures["fit"] = measure("fit", -0.52, 0.04)
        measures["contract"] = measure("contract", 63.0, 4.0)
        measures["scale_declared"] = measure("scale_declared", 0.18, 0.001)
        measures["sigma_max"] = measure("sigma_max", 1.46)
        suspects = (
            Suspect(
                "one-sided-scale",
                "A scale factor is applied when encoding and not undone when decoding.",
                "Divide codes by .18215 before decode, or take the factor out of encode.",
                ("gain", "fit"),
                "03-kl-contraction",
            ),
            Suspect(
                "foreign-factor",
                "The factor that is declared belongs to another VAE.",
                "Use factor=1.007, that is 1 / SD of z.",
                ("scale_declared",),
                "03-kl-contraction",
            ),
        )
    what = {
        "name": name,
        "kind": "gaussian",
        "image": [3, 32, 32],
        "code": [4, 8, 8],
        "images": 400,
        "value_range": [0.0, 1.0],
        "declared": {"factor": 0.18215 if broken else None, "shift": None, "beta": 0.1},
        "sizes": {"images": 400, "decoded": 256, "codes": 8},
        "seed": 0,
        "budget": 300.0,
        "seconds": 19.4,
        "left_out": {"isometry": "left out: the least of it takes about 200 s; budget=900 would do"}
        if broken
        else {},
        "stopped": "",
        "interrupted": False,
        "data": "0" * 64,
        "versions": {"vae_course": "0.1.0", "torch": "2.9"},
    }
    return Report(
        MappingProxyType(what | meta),
        MappingProxyType(measures),
        suspects,
        MappingProxyType(tables(seed=seed, image=tuple((what | meta)["image"]))),
    )
