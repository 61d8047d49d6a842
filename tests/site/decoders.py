"""Decoders for figures: with weights as training leaves them."""

import functools

import torch
from sklearn.datasets import load_digits
from torch import nn


@functools.cache
def trained(activation: type[nn.Module]) -> nn.Sequential:
    """A 2-64-128-64 decoder after 200 steps towards real digits laid out on the plane."""
    digits = load_digits()
    images = torch.tensor(digits.data[::6] / 16, dtype=torch.float32)  # 300 shape the weights too
    torch.manual_seed(0)
    angle = torch.tensor(digits.target[::6]) * 0.628
    z = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.5 * torch.randn(len(angle), 2)
    layers = [nn.Linear(2, 64), activation(), nn.Linear(64, 128), activation()]
    decoder = nn.Sequential(*layers, nn.Linear(128, 64))
    optimizer = torch.optim.Adam(decoder.parameters(), lr=4e-3)
    for _ in range(200):
        optimizer.zero_grad()
        (decoder(z) - images).square().sum(1).mean().backward()
        optimizer.step()
    return decoder
