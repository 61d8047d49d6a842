"""Reports that were never measured: numbers as given, judged by the registry's conditions."""

import torch
from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.figures.name_the_bug import Exhibit
from vae_course.report.card import Measure, Report, Suspect
from vae_course.report.measures import MEASURES

HEALTHY = {
    "rows": 1e-6, "repeats": 0.0, "range": 0.001, "range_offset": 0.01, "gain": 1.02,
    "scale": 1.007, "scale_declared": 1.0, "rate": 1.9, "dead": 0.0, "sigma_max": 0.9,
    "sigma_median": 0.14, "fit": 0.93, "contract": 0.05, "spread": 0.93, "wiring": 1.0,
    "orientation": 0.2, "samples_prior": 0.2, "ruler_slope": 0.86, "ruler_correlation": 0.95,
}  # fmt: skip
SUSPECTS = {
    "healthy": "nothing is wrong",
    "variance": "variance for σ",
    "range": "wrong range",
    "scale": "factor on one side",
}


def card(*suspects: str, **changed: float) -> Report:
    """A healthy model's numbers, some changed; ``gain`` and ``fit`` have an interval of ± 0.06."""
    measures = {}
    for key, value in (HEALTHY | changed).items():
        q = MEASURES[key]
        interval = Estimate.t(value, 0.03, 60) if key in ("gain", "fit") else None
        measures[key] = Measure(
            key, q.question, value, interval, q.unit, q.condition.verdict(value), q.condition,
            1.0 if key == "gain" else None, f"{key} is {value}", q.chapter, 0.0,
        )  # fmt: skip
    named = tuple(Suspect(key, f"It is {key}.", "Mend it.", (), "") for key in suspects)
    return Report({}, measures, named)


def pictures(seed: int) -> Tensor:
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


IMAGES = pictures(9)[0]


def exhibits() -> list[Exhibit]:
    """A healthy one; one that its rules name; one that they miss; one named in other words."""
    squared = card("variance", ruler_slope=1.56)
    return [
        Exhibit(card(), "healthy", ["ruler_slope"], "All is well.", pictures(0)),
        Exhibit(squared, "variance", ["ruler_slope"], "A slope of 2.", pictures(1)),
        Exhibit(card("scale", range=0.9, fit=-1.0), "range", ["range"], "(x + 1)/2.", pictures(2)),
        Exhibit(card("moved", gain=5.5), "scale", ["gain"], "1 / 0.18.", pictures(3)),
    ]
