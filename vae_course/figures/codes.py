"""What figures of codes and decoders check before they pack them, with one wording for all."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from vae_course.figures.base import _flat


def check_shape(name: str, value: Tensor, shape: Sequence[int], what: str) -> None:
    """Raise ValueError unless ``value`` has this shape; ``what`` names its axes in words."""
    if tuple(value.shape) != tuple(shape):
        raise ValueError(f"{name} must be ({what}) = {tuple(shape)}, got {tuple(value.shape)}")


def check_finite(**values: Tensor) -> None:
    """Raise ValueError that names the first tensor with NaN or infinity."""
    for name, value in values.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} must be finite")


def check_labels(labels: Tensor, n: int) -> None:
    """Raise ValueError unless there are n labels, classes 0 to 9."""
    check_shape("labels", labels, (n,), "images")
    if not ((labels >= 0) & (labels <= 9)).all():
        raise ValueError(f"labels must be in 0..9, got {labels.unique().tolist()}")


def check_images(images: Tensor, n: int) -> None:
    """Raise ValueError unless there are n images (h, w) with pixels in [0, 1]."""
    if images.ndim != 3 or len(images) != n:
        raise ValueError(f"images must be (images, h, w) = ({n}, h, w), got {tuple(images.shape)}")
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError(f"images must be in [0, 1], got {images.aminmax()}")


def check_decoders(
    decoders: Sequence[nn.Module], count: int, each: str, ends: tuple[int, int]
) -> None:
    """Raise ValueError unless there is one decoder a model or beta, between numbers of ``ends``."""
    if len(decoders) != count:
        raise ValueError(f"decoders must be one a {each}, {count}, got {len(decoders)}")
    for decoder in decoders:
        if decoder_ends(decoder) != ends:
            raise ValueError(
                f"decoders must map {ends[0]} to {ends[1]} numbers, got {decoder_ends(decoder)}"
            )


def decoder_ends(decoder: nn.Module) -> tuple[int, int]:
    """How many numbers the decoder takes and gives; TypeError for a layer the browser lacks."""
    linear = [layer for layer in _flat(decoder) if isinstance(layer, nn.Linear)]
    return (linear[0].in_features, linear[-1].out_features) if linear else (0, 0)


def check_slice(
    decoder: nn.Module,
    mu: Tensor,
    sigma: Tensor,
    beta: float,
    axes: tuple[int, int],
    anchor: Tensor | None,
    labels: Tensor | None,
    image_shape: tuple[int, int] | None,
) -> Tensor:
    """Check codes that are drawn on the plane of two of their latents; return the anchor, (d,)."""
    if mu.ndim != 2 or mu.shape[1] < 2 or len(mu) < 2:
        raise ValueError(
            f"mu must be (images, d), two or more of each, got {tuple(mu.shape)}; "
            "a plane needs two latents"
        )
    n, d = mu.shape
    check_shape("sigma", sigma, (n, d), "images, d")
    check_finite(mu=mu, sigma=sigma)
    if not (sigma > 0).all():
        raise ValueError(f"sigma must be positive, got {sigma.min().item()}")
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(f"beta must be positive and finite, got {beta}")
    if len(set(axes)) != 2 or not all(0 <= k < d for k in axes):
        raise ValueError(f"axes must be two different latents in 0..{d - 1}, got {axes}")
    inputs, outputs = decoder_ends(decoder)
    if inputs != d:
        raise ValueError(f"decoder must take codes of {d} numbers, as mu has, got {inputs}")
    if image_shape is not None and math.prod(image_shape) != outputs:
        raise ValueError(
            f"image_shape must hold the decoder's {outputs} numbers, got {tuple(image_shape)}"
        )
    if labels is not None:
        check_labels(labels, n)
    if anchor is None:
        return mu.median(0).values
    check_shape("anchor", anchor, (d,), "d,")
    check_finite(anchor=anchor)
    return anchor


def frame_limit(mu: Tensor) -> float:
    """Half the width of a frame that holds the prior and 98 % of the codes (points, 2)."""
    # A few stray codes must not shrink all others to a dot.
    reach = mu.abs().amax(1).float().quantile(0.98).item()
    return math.ceil(2 * max(3.3, 1.08 * reach)) / 2
