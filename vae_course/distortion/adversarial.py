"""A distortion that learns: how well a critic of small patches tells an image from the real one."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, normalize, relu

from vae_course.arguments import check_alike, check_real
from vae_course.distortion.pixel import check_images

MEMORY = 0.01  # of the running mean of the discriminator's loss, a step
BETAS = 0.5, 0.99  # Adam's, of the discriminator: little momentum, since its opponent moves


class SpectralConv2d(nn.Conv2d):
    r"""A convolution whose kernel, as a matrix (out, in x height x width), has spectral norm 1.

    .. math:: W \leftarrow W / \sigma_1(W), \qquad
              \sigma_1 = u^\top W v, \quad v = W^\top u / \|W^\top u\|

    In training mode each call does one step of the power iteration for u, a buffer. It bounds how
    fast a discriminator can change, and with it the force it can exert on a decoder.
    Source: Miyato et al. 2018.
    """

    u: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, padding=(size - 1) // 2)
        self.register_buffer("u", normalize(torch.randn(outputs), dim=0))
        for _ in range(15):  # so that the norm is about right from the first call on
            self.iterate()

    @torch.no_grad()
    def iterate(self) -> None:
        """One step of the power iteration."""
        w = self.weight.flatten(1)
        self.u.copy_(normalize(w @ normalize(w.T @ self.u, dim=0), dim=0))

    def norm(self) -> Float[Tensor, ""]:
        """The largest singular value of the kernel, as far as the iteration has come."""
        w, u = self.weight.flatten(1), self.u.clone()  # a copy: the next call changes u in place
        return u @ w @ normalize(w.detach().T @ u, dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution by the normalised kernel."""
        if self.training:
            self.iterate()
        weight = self.weight / self.norm()
        return conv2d(x, weight, self.bias, self.stride, self.padding)


def patch_discriminator(
    channels: int = 1, width: int = 32, *, halvings: int = 1, seed: int = 0
) -> nn.Sequential:
    """A convolutional critic: one score for each patch of an image, not one for the whole.

    Images (batch, channels, height, width) to scores (batch, 1, h, w) with h and w a
    2^halvings-th of height and width. ``width`` channels, doubled at each further halving; all
    kernels of spectral norm 1. The weights depend on ``seed`` alone. ValueError for a number
    below 1. Source: Isola et al. 2017 (PatchGAN), smaller.
    """
    for name, value in (("channels", channels), ("width", width), ("halvings", halvings)):
        if value < 1:
            raise ValueError(f"{name}={value}: must be 1 or more")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        layers: list[nn.Module] = []
        for i in range(halvings):
            inputs, outputs = (channels if i == 0 else width * 2 ** (i - 1)), width * 2**i
            layers += [SpectralConv2d(inputs, outputs, 4, stride=2), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, SpectralConv2d(outputs, 1, 3))


def hinge(real: Float[Tensor, "..."], fake: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    r"""A discriminator's loss: 0 once real scores exceed 1 and fake ones fall below -1.

    .. math:: \overline{\max(0, 1 - t(x))} + \overline{\max(0, 1 + t(\hat x))}

    A mean over patches and images, not of none; NaN passes through. TypeError or ValueError for
    scores that are no float tensors of one dtype and device. Source: Lim and Ye 2017.
    """
    check_alike(real=check_real("real", real), fake=check_real("fake", fake))
    return relu(1 - real).mean() + relu(1 + fake).mean()


class Adversarial(nn.Module):
    r"""A discriminator's scores as a distortion; it trains the discriminator itself, as it goes.

    .. math:: D(x, \hat x) = \sum_p t_p(x) - t_p(\hat x)

    over the patches p, with t the scores. To the decoder it is the hinge generator's loss
    :math:`-\sum_p t_p(\hat x)`: the first term only makes it 0 for a perfect reconstruction.
    It can be negative, and has no unit.

    Called in training mode with gradients enabled, it first takes one step of Adam for the
    discriminator on ``hinge``, on the batch at hand. So an ordinary training loop such as
    ``training.fit`` trains both; the weights here ask for no gradient, and the loop's optimizer
    leaves them alone. In eval mode, or under ``torch.no_grad()``, nothing changes. All state is in
    parameters and buffers: a ``state_dict`` goes on exactly. One instance for each model.

    Watch the balance: ``loss`` is a running mean of ``hinge`` over some hundred steps, ``lowest``
    the least it was after the first hundred. A discriminator that knows nothing stays at 2; at 0 it
    has won, and its gradient is that of a judge who sees no way to please.

    Args:
        discriminator: images to scores (batch, \*patches), larger for real ones.
        start: training calls before it wakes up. Until then it is 0 and learns nothing: next to a
            decoder that draws blurs it would win before the game begins.
        lr: learning rate of the discriminator, constant.

    Raises:
        ValueError: for a negative start, an lr that is not positive and finite, or several
            processes that share the batches, whose discriminators would part ways.
        FloatingPointError: the discriminator's loss or gradient is infinite or NaN.
            Its weights are those before; ``training.fit`` makes it a ``NonFiniteLossError``.

    Source: Isola et al. 2017; hinge and delayed start as in Esser et al. 2021 (VQGAN).
    """

    learns = True
    calls: Tensor
    mean: Tensor
    square: Tensor
    loss: Tensor
    lowest: Tensor

    def __init__(self, discriminator: nn.Module, *, start: int = 500, lr: float = 5e-4) -> None:
        super().__init__()
        if start < 0:
            raise ValueError(f"start={start}: must be 0 or more training calls")
        if not 0 < lr < float("inf"):
            raise ValueError(f"lr={lr}: must be finite and positive")
        self.discriminator = discriminator.eval().requires_grad_(False)
        self.start, self.lr = start, lr
        weights = nn.utils.parameters_to_vector(discriminator.parameters())
        # Adam's averages and the calls so far: buffers, so that they are saved and moved.
        self.register_buffer("mean", torch.zeros_like(weights))
        self.register_buffer("square", torch.zeros_like(weights))
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("loss", torch.tensor(2.0))
        self.register_buffer("lowest", torch.tensor(2.0))

    @property
    def active(self) -> bool:
        """Whether its start has passed."""
        return int(self.calls) > self.start

    def train(self, mode: bool = True) -> "Adversarial":
        """Nothing but the flag changes: the discriminator is in training mode in its own step."""
        super().train(mode)
        self.discriminator.eval()
        return self

    def extra_repr(self) -> str:
        """What tells one from another in print and in a checkpoint."""
        return f"start={self.start}, lr={self.lr}"

    def forward(
        self, x: Float[Tensor, "batch *image"], x_hat: Float[Tensor, "batch *image"]
    ) -> Float[Tensor, "batch"]:
        """The distortion of each image, after a step of the discriminator if it is training."""
        check_images(x=x, x_hat=x_hat)
        learning = self.training and torch.is_grad_enabled()
        if learning:
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                raise ValueError("an Adversarial distortion trains on one device only: devices=1")
            self.calls += 1
        if not self.active:
            return 0 * x_hat.flatten(1).sum(1)
        if learning:
            self._step(x.detach(), x_hat.detach())
        with torch.no_grad():
            real = self.discriminator(x)
        return (real - self.discriminator(x_hat)).flatten(1).sum(1)

    def _step(self, x: Tensor, x_hat: Tensor) -> None:
        weights = list(self.discriminator.parameters())
        self.discriminator.train().requires_grad_(True)
        try:
            real, fake = self.discriminator(torch.cat([x, x_hat])).chunk(2)
            loss = hinge(real, fake)
            gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])
        finally:
            self.discriminator.eval().requires_grad_(False)
        t = int(self.calls) - self.start
        if not bool((loss + gradient.sum()).isfinite()):
            raise FloatingPointError(
                f"the discriminator's loss is {loss:.4g} at its step {t}, with lr={self.lr:.3g}"
                + (" (the decoder's images are not finite)" if not x_hat.isfinite().all() else "")
                + f": try Adversarial(..., lr={self.lr / 5:.1g}), a later start, a smaller share"
            )
        self.mean.lerp_(gradient, 1 - BETAS[0])
        self.square.lerp_(gradient.square(), 1 - BETAS[1])
        size = self.lr / (1 - BETAS[0] ** t)
        change = size * self.mean / ((self.square / (1 - BETAS[1] ** t)).sqrt() + 1e-8)
        self.loss.lerp_(loss.detach().to(self.loss), MEMORY)
        if t > 1 / MEMORY:
            self.lowest.clamp_(max=self.loss)
        with torch.no_grad():
            parts = change.split([weight.numel() for weight in weights])
            for weight, part in zip(weights, parts, strict=True):
                weight.sub_(part.view_as(weight))
