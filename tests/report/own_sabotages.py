"""Five sabotages of our own, with the suspect each must raise, fixed before any rule was tuned.

Each takes a healthy model's (encode, decode), of Gaussian codes (batch, C, H, W) and images in
[0, 1], and gives the broken pair with what it declares to the report.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
Decode = Callable[[Tensor], Tensor]


class Broken(NamedTuple):
    encode: Encode
    decode: Decode
    declared: dict[str, Any] = {}


def multiplied_twice(encode: Encode, decode: Decode) -> Broken:
    """A factor of 3 that is multiplied on both sides; the decoder's should divide."""

    def wrong(x: Tensor) -> tuple[Tensor, Tensor]:
        mu, sigma = encode(x)
        return 3 * mu, 3 * sigma

    return Broken(wrong, lambda z: decode(3 * z))


def foreign_sigma(encode: Encode, decode: Decode) -> Broken:
    """Each code has the sigma of the next channel and of the place a row further down."""

    def wrong(x: Tensor) -> tuple[Tensor, Tensor]:
        mu, sigma = encode(x)
        return mu, sigma.roll((1, 1), (1, 2))

    return Broken(wrong, decode)


def dropout_left_on(encode: Encode, decode: Decode) -> Broken:
    """A fifth of the code is dropped at each call, as in training mode."""
    return Broken(encode, lambda z: decode(torch.nn.functional.dropout(z, 0.2)))


def logits_for_images(encode: Encode, decode: Decode) -> Broken:
    """The last sigmoid is missing."""
    return Broken(encode, lambda z: decode(z).clamp(1e-4, 1 - 1e-4).logit())


def shift_on_one_side(encode: Encode, decode: Decode) -> Broken:
    """A mean of 2 is taken off each code, and the decoder does not give it back."""

    def wrong(x: Tensor) -> tuple[Tensor, Tensor]:
        mu, sigma = encode(x)
        return mu - 2, sigma

    return Broken(wrong, decode)


OWN: dict[str, tuple[Callable[[Encode, Decode], Broken], str]] = {
    "multiplied twice": (multiplied_twice, "one-sided-scale"),
    "foreign sigma": (foreign_sigma, "sigma-unrelated"),
    "dropout left on": (dropout_left_on, "random"),
    "logits for images": (logits_for_images, "output-range"),
    "shift on one side": (shift_on_one_side, "one-sided-shift"),
}
