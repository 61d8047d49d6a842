"""Distortions that look at structure: similarity of windows, edges, features of a network."""

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_course.distortion.pixel import check_images, squared_error

IMAGES = "batch *channels height width"


def ssim(
    x: Float[Tensor, "batch *image"], x_hat: Float[Tensor, "batch *image"],
    *, window: int = 11, sigma: float = 1.5, data_range: float = 1.0,
) -> Float[Tensor, "batch"]:  # fmt: skip
    r"""Structural dissimilarity of each image, times its number of values (pixels x channels).

    .. math:: D(x, \hat x) = n \, (1 - \overline{\mathrm{SSIM}}), \qquad \mathrm{SSIM} =
              \frac{(2\mu_x\mu_{\hat x} + C_1)(2\,\mathrm{Cov}(x, \hat x) + C_2)}
                   {(\mu_x^2 + \mu_{\hat x}^2 + C_1)(\sigma_x^2 + \sigma_{\hat x}^2 + C_2)}

    averaged over one Gaussian window around every pixel, the image mirrored at its border;
    C1 = (0.01 range)², C2 = (0.03 range)². As a *sum* over pixels its price in nats is of the size
    of a squared error's; between 0 (equal) and 2 n. ``isometry.ssim_distortion`` is the mean, with
    even windows inside the image.

    Args:
        x: images (batch, \*channels, height, width), any finite values.
        x_hat: as x.
        window: side of the window, odd and at most 2 x height - 1 and 2 x width - 1.
        sigma: of the Gaussian, in pixels, positive.
        data_range: largest minus smallest value a pixel can have, positive.

    Raises:
        ValueError: for shapes that differ, and for a window, sigma or range out of bounds.

    The windows are two products with (height, height) and (width, width) matrices: fast for images
    up to some 100 pixels a side. float32: within 1e-4 of n for values within the range, also under
    autocast, which it leaves.
    Source: Wang, Bovik, Sheikh and Simoncelli 2004; borders as in torchmetrics.
    """
    check_images(axes=IMAGES, x=x, x_hat=x_hat)
    _check_windows(x, window, sigma, data_range)
    rows, columns = (_mirrored_gaussian(n, window, sigma, x) for n in x.shape[-2:])
    moments = x, x_hat, x * x_hat, x.square() + x_hat.square()
    with torch.autocast(x.device.type, enabled=False):  # variances are differences
        mean_x, mean_hat, mean_product, mean_squares = (rows @ m @ columns.mT for m in moments)
    product, squares = mean_x * mean_hat, mean_x.square() + mean_hat.square()
    covariance = mean_product - product
    variances = (mean_squares - squares).clamp_min(0)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return (1 - similarity).flatten(1).sum(1)


def _check_windows(x: Tensor, window: int, sigma: float, data_range: float) -> None:
    largest = 2 * min(x.shape[-2:]) - 1  # what mirroring once, without the border pixel, can fill
    if window % 2 == 0 or not 1 <= window <= largest:
        raise ValueError(
            f"window={window}: must be odd and at most {largest} for images of "
            f"{x.shape[-2]} x {x.shape[-1]} pixels"
        )
    for name, value in (("sigma", sigma), ("data_range", data_range)):
        if not value > 0:
            raise ValueError(f"{name}={value}: must be positive")


def _mirrored_gaussian(n: int, window: int, sigma: float, like: Tensor) -> Tensor:
    """The (n, n) matrix of a Gaussian mean along a line that is mirrored at its ends."""
    # On the CPU in float64, which not every device has; kept, it could be one of a trace.
    offsets = torch.arange(window, dtype=torch.float64, device="cpu") - window // 2
    weights = torch.softmax(-(offsets / sigma).square() / 2, 0)
    source = torch.arange(n, device="cpu").unsqueeze(1) + offsets.long()  # (n, window)
    source = (n - 1) - ((n - 1) - source.abs()).abs()  # mirrored at 0, then at n - 1
    matrix = weights.new_zeros(n, n).scatter_add(1, source, weights.expand(n, -1))
    return matrix.to(like)


def edge(
    x: Float[Tensor, "batch *image"], x_hat: Float[Tensor, "batch *image"], *, pixel: float = 0.05
) -> Float[Tensor, "batch"]:
    r"""Squared error of an image's edges, and a little of its pixels.

    .. math:: D(x, \hat x) = \|\nabla_h \delta\|^2 + \|\nabla_w \delta\|^2
              + \varepsilon \|\delta\|^2, \qquad \delta = \hat x - x

    with ∇ the differences of neighbours inside the image. A quadratic form: what it measures of a
    wave grows with the square of its frequency, from ``pixel`` for a constant up to below
    8 + ``pixel`` for a chessboard. Without ``pixel`` the mean grey would be free.

    Images (batch, \*channels, height, width), any real values; unit: the pixels' squared.
    ValueError for fewer dimensions or a negative or infinite ``pixel``. float32: relative 1e-6.
    Source: derived, see chapter 11.
    """
    check_images(axes=IMAGES, x=x, x_hat=x_hat)
    if not 0 <= pixel < float("inf"):
        raise ValueError(f"pixel={pixel}: must be finite and not negative")
    delta = x_hat - x
    steps = (delta.diff(dim=-2), delta.diff(dim=-1))
    differences = sum(step.square().flatten(1).sum(1) for step in steps)
    return differences + pixel * squared_error(x, x_hat)


class Feature(nn.Module):
    r"""Squared distance of a network's activations, in the layers you name.

    .. math:: D(x, \hat x) = \sum_\ell \frac1{P_\ell} \sum_p
              \big\| \phi_{\ell p}(\hat x) - \phi_{\ell p}(x) \big\|^2, \qquad
              \phi_{\ell p} = \frac{a_{\ell p}}{\sqrt{\|a_{\ell p}\|^2 + \epsilon^2}}

    with :math:`a_{\ell p}` the activations of layer ℓ at place p, a vector over channels, and
    :math:`P_\ell` the number of its places, or 1 for ``reduction="sum"``. With
    ``normalise=False``, φ = a. The network is a frozen copy: it stays in eval mode, its weights get
    no gradient, and no gradient flows to x. Normalised, at most 4 for each place ("sum") or each
    layer ("mean"); without unit.

    Args:
        network: any module that takes the images; a trained classifier, usually.
        layers: names of its modules, as in ``network.named_modules()`` ("0", "block.conv", ...);
            their outputs are (batch, channels, \*places).
        normalise: compare directions, not lengths, as LPIPS does.
        epsilon: length below which an activation counts as absent; without it, the direction of
            next to nothing would decide. Positive.
        reduction: over the places of a layer, "sum" or "mean"; layers are summed. LPIPS takes the
            mean, in which each layer counts alike; in a sum those with more places count more. The
            sum stays the default because models and prices β from before there was a choice mean
            it; ``perceptual`` takes the mean.

    Raises:
        ValueError: for no layers, an unknown name, a layer that a call doesn't reach, an epsilon
            that is not positive, or another reduction.

    Source: Zhang et al. 2018: with "mean" it is LPIPS with all its learned weights 1.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        *,
        normalise: bool = True,
        epsilon: float = 1e-2,
        reduction: Literal["sum", "mean"] = "sum",
    ) -> None:
        super().__init__()
        names = dict(network.named_modules())
        missing = [name for name in layers if name not in names]
        if not layers or missing:
            raise ValueError(
                f"layers={list(layers)}: {f'no module {missing[0]!r}' if missing else 'none given'}"
                f"; choose from {[name for name in names if name]}"
            )
        if not epsilon > 0:
            raise ValueError(f"epsilon={epsilon}: must be positive")
        if reduction not in ("sum", "mean"):
            raise ValueError(f'reduction={reduction!r}: choose "sum" or "mean"')
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.layers, self.normalise, self.epsilon = tuple(layers), normalise, epsilon
        self.reduction = reduction
        modules: list[Any] = list(self.network.modules())
        for module in modules:
            if hasattr(module, "inplace"):  # a ReLU that overwrites the activations before it
                module.inplace = False

    def train(self, mode: bool = True) -> "Feature":
        """Nothing but the flag changes: the network stays in eval mode."""
        super().train(mode)
        self.network.eval()
        return self

    def extra_repr(self) -> str:
        """What tells one from another in print and in a checkpoint."""
        return (
            f"layers={self.layers}, normalise={self.normalise}, epsilon={self.epsilon}, "
            f"reduction={self.reduction!r}"
        )

    def features(self, x: Float[Tensor, "batch *image"]) -> list[Float[Tensor, "batch _"]]:
        """For each layer a vector of each image: their squared distances, summed, are D."""
        found: dict[str, list[Tensor]] = {name: [] for name in self.layers}
        handles = [
            self.network.get_submodule(name).register_forward_hook(
                lambda module, inputs, output, name=name: found[name].append(output)
            )
            for name in self.layers
        ]
        try:
            self.network(x)
        finally:
            for handle in handles:
                handle.remove()
        for name, outputs in found.items():
            if not outputs:
                raise ValueError(f"layers: the network's forward doesn't call {name!r}")
        return [self._phi(a).flatten(1) for outputs in found.values() for a in outputs]

    def _phi(self, a: Tensor) -> Tensor:
        places = a.shape[2:].numel() if self.reduction == "mean" else 1
        if not self.normalise:
            return a / places**0.5
        # The number of places goes into the factor, which is smaller than a by the channels.
        return a * (places * (a.square().sum(1, keepdim=True) + self.epsilon**2)).rsqrt()

    def forward(
        self, x: Float[Tensor, "batch *image"], x_hat: Float[Tensor, "batch *image"]
    ) -> Float[Tensor, "batch"]:
        """The distance of each image from its reconstruction."""
        check_images(x=x, x_hat=x_hat)
        with torch.no_grad():
            targets = self.features(x)
        pairs = zip(targets, self.features(x_hat), strict=True)
        return torch.stack([(b - a).square().sum(1) for a, b in pairs]).sum(0)


def feature(
    network: nn.Module,
    layers: Sequence[str],
    *,
    normalise: bool = True,
    epsilon: float = 1e-2,
    reduction: Literal["sum", "mean"] = "sum",
) -> Feature:
    """The distortion that compares a network's activations; see ``Feature``."""
    return Feature(network, layers, normalise=normalise, epsilon=epsilon, reduction=reduction)
