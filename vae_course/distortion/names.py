"""Distortions by name, for models that a file describes."""

from vae_course.distortion.perceptual import edge, ssim
from vae_course.distortion.pixel import Distortion, bernoulli, squared_error

NAMED: dict[str, Distortion] = {
    "squared_error": squared_error,
    "bernoulli": bernoulli,
    "ssim": ssim,
    "edge": edge,
}


def named(name: str) -> Distortion:
    """The distortion of that name, as it comes; ValueError lists the names there are."""
    if name not in NAMED:
        raise ValueError(
            f"distortion={name!r} is unknown; choose one of {sorted(NAMED)} "
            "or pass a callable (x, output) -> (batch,)"
        )
    return NAMED[name]
