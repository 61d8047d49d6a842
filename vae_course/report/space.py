"""Codes that are images: do they move with the image, and how fine are they?"""

import math

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vae_course.report.errors import ratio
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.study import Study

ALIKE = "all images have the same code"
MARGIN = 4
"""One place in so many is left out at each edge, where padding and the wrapped rows are seen."""


def shift(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Does the code of a moved image move as well?

    .. math:: \frac{\langle \|\mu(Sx) - S\mu(x)\|^2 \rangle}
              {\langle \|\mu(Sx) - S\mu(x')\|^2 \rangle}

    with all other images x' below. S moves an image by one place of its code along one axis, round
    the edge; a quarter of the places is left out at each edge. ``flip`` is the same for images
    turned left to right, over all places.

    Raises ``Unmeasured`` for flat codes, or images whose sides are no multiples of their codes'.
    """
    places, sides = study.places, tuple(study.images.shape[2:])
    if not places:
        raise Unmeasured("codes are flat: they have no places to move")
    if len(sides) != len(places):
        raise Unmeasured(f"images have {len(sides)} axes and codes {len(places)}: which is which?")
    if any(side % p for side, p in zip(sides, places, strict=True)):
        raise Unmeasured(f"image sides {sides} are no multiples of the code's {places}")
    n = min(study.sizes.shifted, study.n)
    x, mu = study.images[:n], study.mu[:n]
    if not mu.std(0).any():
        raise Unmeasured(ALIKE)
    axes = [axis for axis, p in enumerate(places) if p >= 3]
    inner = (slice(None), slice(None), *(_inner(p) for p in places))
    found: dict[str, Found | Unmeasured] = {
        "shift": Unmeasured(f"codes of {places} places have none away from the edges")
    }
    if axes:
        sums = [
            _against(
                study.mean_code(x.roll(sides[axis] // places[axis], axis + 2))[inner],
                mu.roll(1, axis + 2)[inner],
            )
            for axis in axes
        ]
        estimate, each = ratio(*torch.stack(sums).mean(0))
        found["shift"] = Found(
            estimate,
            "the code of an image that moves by one place differs from its own moved code by "
            f"{estimate.value:.2g} of what another image's does",
            1.0,
            each,
        )
    estimate, each = ratio(*_against(study.mean_code(x.flip(-1)), mu.flip(-1)))
    found["flip"] = Found(
        estimate,
        "the code of an image turned left to right differs from its own turned code by "
        f"{estimate.value:.2g} of what another image's does",
        1.0,
        each,
    )
    return found


def _against(a: Tensor, b: Tensor) -> Tensor:
    """‖aᵢ − bᵢ‖² of each image, and what it brings to the mean of ‖aᵢ − bⱼ‖² over i ≠ j."""
    a, b = a.double().flatten(1), b.double().flatten(1)
    pairs = torch.cdist(a, b).square()
    own, n = (a - b).square().sum(1), len(a)
    of_a, of_b = ((pairs.sum(axis) - own) / (n - 1) for axis in (1, 0))
    return torch.stack([own, of_a + of_b - of_a.mean()])


def _inner(places: int) -> slice:
    margin = max(1, places // MARGIN) if places >= 3 else 0
    return slice(margin, places - margin)


def spectrum(study: Study) -> dict[str, Found]:
    r"""How much of the variance of z, over images, is of high frequency, beside that of images?

    .. math:: \frac{\sum_{\|f\| > 1/4} \langle |\hat z_c(f)|^2 \rangle}
              {\sum_f \langle |\hat z_c(f)|^2 \rangle}

    f in cycles a place, so that 1/4 is half the Nyquist frequency; over all channels. Images are
    averaged down to the code's size first. White noise: the share of such frequencies on the grid.

    Raises ``Unmeasured`` unless codes have two axes of places, 4 or more in all.
    """
    places = study.places
    if len(places) != 2 or math.prod(places) < 4:
        raise Unmeasured("codes have no two axes of places: they have no frequencies")
    rows, columns = (torch.fft.fftfreq(p, dtype=torch.float64, device="cpu") for p in places)
    f = (rows[:, None].square() + columns.square()).sqrt()
    high = f > 0.25 + 1e-9
    white = high.double().mean().item()
    # Rings one lowest frequency wide.
    ring = (f * max(places)).round().long()
    count = torch.bincount(ring.flatten()).double()
    kept = count > 0
    rings = torch.arange(len(count), dtype=torch.float64, device="cpu")[kept]
    study.tables["radial_frequency"] = rings / max(places)

    def power(values: Tensor) -> Tensor:
        away = values.double() - values.double().mean(0)
        return torch.fft.fft2(away).abs().square()  # (n, C, h, w)

    def radial(of: Tensor) -> Tensor:
        """(C, rings), 1 on average over the grid."""
        mean = of.mean(0)
        mean = mean / mean.mean((-2, -1), keepdim=True).clamp_min(1e-300)
        sums = torch.zeros(len(mean), len(count), dtype=mean.dtype, device="cpu")
        return sums.index_add_(1, ring.flatten(), mean.flatten(1))[:, kept] / count[kept]

    found = {}
    images = study.images[: study.n]
    of = {"high_frequencies": study.z}
    if images.ndim == 4:
        of["high_frequencies_images"] = adaptive_avg_pool2d(images, places)
    for key, values in of.items():
        p = power(values)
        if not p.any():
            raise Unmeasured(ALIKE)
        estimate, each = ratio(p[..., high].sum((1, 2)), p.flatten(1).sum(1))
        name = "latents" if key == "high_frequencies" else "images"
        study.tables[f"radial_{name}"] = radial(p)
        found[key] = Found(
            estimate,
            f"{100 * estimate.value:.0f} % of the variance of {name} lies above half the Nyquist "
            f"frequency; {100 * white:.0f} % of white noise",
            white,
            each,
        )
    return found
