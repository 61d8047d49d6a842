"""Distortions pixel by pixel: squared error and cross-entropy, in nats when divided by beta.

A *distortion* is any callable ``(x, output) -> (batch,)`` that compares images with what the
decoder put out, summed over an image and separate for each image of the batch.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from vae_course.arguments import check_alike, check_real

Distortion = Callable[[Tensor, Tensor], Tensor]


def squared_error(
    x: Float[Tensor, "batch *image"], x_hat: Float[Tensor, "batch *image"]
) -> Float[Tensor, "batch"]:
    r"""Squared error of each image: a sum over its pixels, without the factor ½.

    .. math:: D(x, \hat x) = \|x - \hat x\|^2

    As the distortion of ``D + beta * KL`` it is a Gaussian decoder of variance β/2. Any real
    values; unit: the square of the pixels' unit. float32: exact to 1e-6 relative up to
    10^5 pixels, overflows to inf beyond differences of 1e19.
    A NaN or an infinity makes its own image's distortion one, and no other's.

    TypeError or ValueError for what are not two float tensors of one shape, dtype and device.
    Source: the course's convention; other conventions are a factor in beta away.
    """
    check_images(x=x, x_hat=x_hat)
    return (x_hat - x).square().flatten(1).sum(1)


def bernoulli(
    x: Float[Tensor, "batch *image"], logits: Float[Tensor, "batch *image"]
) -> Float[Tensor, "batch"]:
    r"""Negative log likelihood, in nats, of images under independent Bernoulli pixels.

    .. math:: D(x, \ell) = -\sum_i x_i \log s(\ell_i) + (1 - x_i) \log(1 - s(\ell_i)),
              \qquad s(\ell) = 1/(1 + e^{-\ell})

    The decoder puts out logits ℓ; the image it means is s(ℓ). Finite for all finite logits.
    Pixels x lie in [0, 1]: grey ones make it a cross-entropy, positive even at s(ℓ) = x; outside
    the interval it is unbounded below, which is not checked here at each step but once by
    ``training.fit``. NaN, infinities and errors as in ``squared_error``.
    Source: Kingma and Welling 2014, appendix C.1.
    """
    check_images(x=x, logits=logits)
    return binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def check_images(*, axes: str = "batch ...", **pair: Tensor) -> None:
    """Raise unless all are float tensors of one shape, (batch, …), dtype and device, not empty."""
    (first, x), *others = pair.items()
    check_real(first, x)
    if x.ndim < 1 + axes.count("height") + axes.count("width"):
        raise ValueError(f"{first} has shape {tuple(x.shape)}: give ({axes.replace(' ', ', ')})")
    for name, value in others:
        if check_real(name, value).shape != x.shape:
            raise ValueError(
                f"shapes differ: {first} {tuple(x.shape)} and {name} {tuple(value.shape)}"
            )
    check_alike(**pair)
