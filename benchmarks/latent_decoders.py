"""Decoders of codes that are images: a small one of any size, and latent diffusion's."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.data import load

WIDTH = 16


def conv_decoder(side: int) -> nn.Module:
    """4 x side x side to 3 x 8 side x 8 side, as decoders of latent diffusion are built."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(4, WIDTH, 3, padding=1)]
    for _ in range(3):
        layers += [nn.GroupNorm(4, WIDTH), nn.SiLU(), nn.Upsample(scale_factor=2)]
        layers += [nn.Conv2d(WIDTH, WIDTH, 3, padding=1)]
    layers += [nn.GroupNorm(4, WIDTH), nn.SiLU(), nn.Conv2d(WIDTH, 3, 3, padding=1)]
    return nn.Sequential(*layers).eval()


def code(side: int) -> Tensor:
    return torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(1))


def autoencoder() -> Any:
    """Of a million weights, two thirds of them the decoder's; diffusers takes seconds to import."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 64, 64),
        latent_channels=4,
    ).eval()


def train(folder: str, codes: int, steps: int = 300, batch: int = 4) -> float:
    """A short training, so that the spectrum is a trained decoder's; gives its PSNR, in dB.

    In the folder: the weights, ``vae.pt``, and the codes of other photographs, ``codes.pt``.
    """
    vae = autoencoder().train()
    patches = load("photographs", size=64, colour=True, n_train=500, n_test=8)
    images = torch.as_tensor(patches.train) * 2 - 1
    optimiser = torch.optim.Adam(vae.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = images[torch.randint(len(images), (batch,), generator=generator)]
        posterior = vae.encode(x).latent_dist
        error = (vae.decode(posterior.sample(generator)).sample - x).square()
        loss = error.sum() + 0.1 * posterior.kl().sum()
        optimiser.zero_grad()
        (loss / batch).backward()
        optimiser.step()
    pictures = load("photographs", size=256, colour=True, stride=32, n_train=1, n_test=codes)
    with torch.no_grad():
        means = vae.eval().encode(torch.as_tensor(pictures.test) * 2 - 1).latent_dist.mean
    torch.save(vae.state_dict(), Path(folder) / "vae.pt")
    torch.save(means, Path(folder) / "codes.pt")
    return -10 * math.log10(error.mean().item() / 4)
