"""Is the model a function of one image, and does it speak of the same numbers as the images?"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_course.report.measures import Found, Unmeasured
from vae_course.report.numerals import number
from vae_course.report.posterior import Posterior
from vae_course.report.study import Study

TOGETHER = 8
"""Images of the batch that is taken apart."""


def rows(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Is the model a function of one image, the same each time, and finite?

    .. math:: \frac{\|f(\mathrm{batch}) - f(\text{one by one})\|}{\|f(\mathrm{batch})\|}

    of codes (mu and sigma together) and of images, the worse of the two; of indices the share that
    differ. A model that draws at random gives another image the second time, so twice that
    difference is taken off.
    """
    share, said = _finite(study)
    found: dict[str, Found | Unmeasured] = {"finite": Found(share, said)}
    if share < 1:
        why = Unmeasured("not every number is finite")
        return found | {"rows": why, "repeats": why}
    x = study.images[: min(TOGETHER, study.batch)]
    codes = study.encoded(x)
    images = study.decoded(codes.mu)
    again = _codes_apart(codes, study.encoded(x)), apart(images, study.decoded(codes.mu))
    alone = (
        _codes_apart(codes, Posterior.joined(_alone(study.encoded, x))),
        apart(images, torch.cat(_alone(study.decoded, codes.mu))),
    )
    mixed = [max(0.0, a - 2 * b) for a, b in zip(alone, again, strict=True)]
    names = "codes", "decoded images"
    worst, other = max(range(2), key=mixed.__getitem__), max(range(2), key=again.__getitem__)
    where = f": in training mode are {study.watch}; call eval() first" if study.watch.seen else ""
    rows_said = f"{names[worst]} differ by {number(mixed[worst])} of their length when a batch is "
    rows_said += f"taken apart{where if mixed[worst] > 1e-3 else ''}"
    again_said = f"{names[other]} differ by {number(again[other])} of their length when made again"
    again_said += where or ": the model draws at random" if again[other] > 1e-6 else ""
    return found | {
        "rows": Found(mixed[worst], rows_said, 0.0),
        "repeats": Found(again[other], again_said, 0.0),
    }


def _finite(study: Study) -> tuple[float, str]:
    p = study.posterior
    parts = {"codes": p.mu, "σ": p.sigma, "decoded images": study.at_mean}
    bad, numbers, said = 0, 0, []
    for name, part in parts.items():
        if part is None:
            continue
        wrong = ~part.isfinite()
        numbers += wrong.numel()
        if n := int(wrong.sum()):
            bad += n
            images = int(wrong.flatten(1).any(1).sum())
            said.append(f"{name} of {images} of {len(part)} images are infinite or NaN")
    remedy = "; look for a division, a logarithm or an exp without bounds, or half precision"
    reading = " and ".join(said) + remedy if said else "all codes and images are finite"
    return 1 - bad / numbers, reading


def apart(a: Tensor, b: Tensor) -> float:
    """How far b is from a, in lengths of a; the share of places that differ for whole numbers."""
    if not a.is_floating_point():
        return (a != b).double().mean().item()
    return ((a - b).double().norm() / a.double().norm().clamp_min(1e-30)).item()


def _codes_apart(a: Posterior, b: Posterior) -> float:
    """Of centres and σ together: a collapsed model's centres are rounding alone."""
    if a.sigma is not None and b.sigma is not None:
        return apart(torch.cat([a.mu, a.sigma]), torch.cat([b.mu, b.sigma]))
    if a.concentration is not None and b.concentration is not None:
        return max(apart(a.mu, b.mu), apart(a.concentration, b.concentration))
    return apart(a.mu, b.mu)


def _alone(call: Callable[[Tensor], Any], x: Tensor) -> list[Any]:
    """One by one; by halves where one alone is refused, as batch statistics do."""
    try:
        return [call(one) for one in x.split(1)]
    except (RuntimeError, ValueError):
        return [call(half) for half in x.tensor_split(2)]
