"""The peers' training loops: pythae 0.1.2, and the loop of PyTorch's VAE example.

Each is given the course's network, 784-400-20 say, with ReLU: an encoder layer, one head for mu and
one for log variance, two decoder layers with a sigmoid at the end.
"""

import logging
import math
import tempfile
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import CallbackHandler, TrainingCallback
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

logging.getLogger("pythae.trainers.base_trainer.base_trainer").setLevel(logging.WARNING)


class _Encoder(BaseEncoder):
    def __init__(self, n: int, hidden: int, d: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n, hidden)
        self.mu, self.log_var = nn.Linear(hidden, d), nn.Linear(hidden, d)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.hidden(x.flatten(1)).relu()
        return ModelOutput(embedding=self.mu(h), log_covariance=self.log_var(h))


class _Decoder(BaseDecoder):
    def __init__(self, shape: Sequence[int], hidden: int, d: int) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.hidden, self.out = nn.Linear(d, hidden), nn.Linear(hidden, math.prod(shape))

    def forward(self, z: Tensor) -> ModelOutput:
        output = self.out(self.hidden(z).relu()).sigmoid()
        return ModelOutput(reconstruction=output.view(-1, *self.shape))


class Pythae:
    """pythae's ``BaseTrainer``, an epoch at a time by its own ``train_step``.

    Left out, in its favour: the progress bar, and what its ``train`` does once an epoch (a copy of
    the best model), under one per cent.
    """

    def __init__(
        self, images: Tensor, hidden: int, d: int, *, lr: float, batch: int, seed: int, loss: str
    ) -> None:
        shape = tuple(images.shape[1:])
        torch.manual_seed(seed)
        config = VAEConfig(input_dim=shape, latent_dim=d, reconstruction_loss=loss)
        n = math.prod(shape)
        self.model = VAE(config, _Encoder(n, hidden, d), _Decoder(shape, hidden, d))
        with tempfile.TemporaryDirectory() as folder:
            training = BaseTrainerConfig(
                output_dir=folder,
                learning_rate=lr,
                per_device_train_batch_size=batch,
                no_cuda=True,
                seed=seed,
            )
            data = BaseDataset(images, torch.zeros(len(images)))
            self.trainer = BaseTrainer(self.model, data, training_config=training)
            self.trainer.prepare_training()
        handler = CallbackHandler(callbacks=[TrainingCallback()], model=self.model)
        self.trainer.callback_handler = handler

    def epoch(self, number: int) -> None:
        self.trainer.train_step(number)

    @torch.no_grad()
    def loss(self, x: Tensor) -> float:
        """Mean loss per image."""
        return float(self.model(DatasetOutput(data=x)).loss)


class _ImageFiles(Dataset):
    """What torchvision's MNIST with ToTensor does for one image: uint8, PIL, float in [0, 1]."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.targets = images, torch.zeros(len(images), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[i].numpy())
        pixels = torch.from_numpy(np.array(picture, copy=True))
        pixels = pixels.view(picture.height, picture.width, 1).permute(2, 0, 1).contiguous()
        return pixels.to(torch.float32).div(255), int(self.targets[i])


class _ExampleVAE(nn.Module):
    def __init__(self, n: int, hidden: int, d: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n, hidden)
        self.mu, self.log_var = nn.Linear(hidden, d), nn.Linear(hidden, d)
        self.expand, self.out = nn.Linear(d, hidden), nn.Linear(hidden, n)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.hidden(x).relu()
        mu, log_var = self.mu(h), self.log_var(h)
        std = torch.exp(0.5 * log_var)
        z = mu + torch.randn_like(std) * std
        return self.out(self.expand(z).relu()).sigmoid(), mu, log_var


class Example:
    """The loop of PyTorch's VAE example, of the same structure, in our own words.

    A DataLoader without workers over one image at a time, the default collate, Adam without
    ``fused``, binary cross-entropy of probabilities, summed, and the loss read at every step. Its
    torchvision data set is stood in for by ``_ImageFiles``; its log line, every ten steps, is left
    out. ``images``: uint8, (N, height, width).
    """

    def __init__(
        self, images: Tensor, hidden: int, d: int, *, lr: float, batch: int, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.model = _ExampleVAE(math.prod(images.shape[1:]), hidden, d)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=lr)
        self.loader = DataLoader(_ImageFiles(images), batch_size=batch, shuffle=True)

    def epoch(self, number: int) -> None:
        self.model.train()
        total = 0.0
        for images, _ in self.loader:
            self.optimiser.zero_grad()
            loss = self._loss(images.flatten(1))
            loss.backward()
            total += loss.item()
            self.optimiser.step()

    def _loss(self, x: Tensor) -> Tensor:
        output, mu, log_var = self.model(x)
        distortion = F.binary_cross_entropy(output, x, reduction="sum")
        return distortion - 0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())

    @torch.no_grad()
    def loss(self, x: Tensor) -> float:
        """Mean loss per image."""
        return float(self._loss(x.flatten(1))) / len(x)
