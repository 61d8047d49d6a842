"""A vector quantizer's training step against that of vector-quantize-pytorch 1.32.

``python -m benchmarks.vq``; see README.md for the environment.
"""

import torch
from torch import Tensor
from vector_quantize_pytorch import VectorQuantize

from benchmarks.rounds import Bar, Contender, Measure, cpu_seconds, interleave, write
from vae_course.quantization import VectorQuantizer

N, DECAY, COMMITMENT = 6272, 0.99, 0.25  # 128 images of 7x7 slots


def vectors(num_codes: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    """Standard normal vectors (N, D), and a codebook of such (K, D)."""
    generator = torch.Generator().manual_seed(seed)
    z, codebook = (torch.randn(n, dim, generator=generator) for n in (N, num_codes))
    return z.requires_grad_(), codebook


class Ours:
    """``VectorQuantizer`` as it is, with everything it does: checks, counts of idle codes."""

    def __init__(self, codebook: Tensor) -> None:
        self.module = VectorQuantizer(*codebook.shape, decay=DECAY, commitment=COMMITMENT)
        self.module.codebook.copy_(codebook)
        self.module.counts.fill_(1)  # the peer's start; ours would be 0,
        self.module.idle.zero_()  # and centres unused by the first batch would be dead

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, indices, loss = self.module(z)
        return quantized, indices, loss.mean()

    @property
    def codebook(self) -> Tensor:
        return self.module.codebook


class Peer:
    """The peer with running means and straight through; its revival of dead codes is off.

    ``eps`` = 0: its smoothing of the counts would move each code by 1e-5 of its length. Its loss is
    a mean over D, ours a sum.
    """

    def __init__(self, codebook: Tensor) -> None:
        num_codes, dim = codebook.shape
        self.module = VectorQuantize(
            dim, num_codes, decay=DECAY, commitment_weight=COMMITMENT * dim, eps=0.0,
            rotation_trick=False,
        )  # fmt: skip
        self.module._codebook.embed.copy_(codebook)
        self.module._codebook.embed_avg.copy_(codebook)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, indices, loss = self.module(z.unsqueeze(0))
        return quantized.squeeze(0), indices.squeeze(0), loss.squeeze()

    @property
    def codebook(self) -> Tensor:
        return self.module._codebook.embed.squeeze(0)


def same_step(num_codes: int, dim: int) -> str:
    """One step of both from the same start: equal up to rounding, or AssertionError."""
    z, codebook = vectors(num_codes, dim, seed=0)

    def step(quantizer: Ours | Peer) -> tuple[Tensor, ...]:
        quantized, indices, loss = quantizer(z)
        (gradient,) = torch.autograd.grad(quantized.square().sum() + loss, z)
        return indices, quantized, gradient, loss, quantizer.codebook

    indices, *ours = step(Ours(codebook))
    peers_indices, *theirs = step(Peer(codebook))
    both = torch.stack([indices, peers_indices])  # (2, N)
    same = both[0] == both[1]
    # Where they differ, both centres are equally near, up to rounding.
    distance = (z.detach().double() - codebook.double()[both]).square().sum(-1)
    torch.testing.assert_close(distance[0], distance[1], rtol=1e-5, atol=0.0)
    for mine, others in zip(ours[:2], theirs[:2], strict=True):  # output and gradient
        torch.testing.assert_close(mine[same], others[same], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours[2], theirs[2], rtol=1e-5, atol=0.0)
    alike = torch.ones(num_codes, dtype=torch.bool)
    alike[both[:, ~same].flatten()] = False  # these stood for other vectors
    apart = (ours[3] - theirs[3])[alike].abs().max().item()
    assert apart <= 1e-6, f"codebooks differ by {apart}"
    return (
        f"after one step: {int(same.sum())} of {N} indices equal, the others near-ties; "
        f"codebooks apart by {apart:.1e} at most"
    )


def compare(num_codes: int, dim: int, at_least: float, steps: int, rounds: int = 7) -> Measure:
    """Forward, running means and backward, ``steps`` times a round."""

    def training(cls: type[Ours] | type[Peer]) -> Contender:
        def contender(seed: int) -> tuple[float, dict[str, float]]:
            z, codebook = vectors(num_codes, dim, seed)
            quantizer = cls(codebook)

            def work() -> None:
                for _ in range(steps):
                    quantized, _, loss = quantizer(z)
                    torch.autograd.backward([quantized, loss], [z.detach(), torch.ones(())])
                    z.grad = None

            return cpu_seconds(work), {}

        return contender

    def distances(seed: int) -> tuple[float, dict[str, float]]:
        z, codebook = vectors(num_codes, dim, seed)
        z, chunk = z.detach(), 512
        product = torch.empty(chunk, num_codes)

        def work() -> None:
            for _ in range(steps):
                for rows in z.split(chunk):
                    torch.mm(rows, codebook.T, out=product[: len(rows)])

        return cpu_seconds(work), {}

    contenders = {"vector-quantize-pytorch": training(Peer), "VectorQuantizer": training(Ours)}
    contenders["distance GEMM alone"] = distances
    bar = Bar("VectorQuantizer", "vector-quantize-pytorch", at_least)
    measure = Measure(f"N = {N}, D = {dim}, K = {num_codes}, {steps} training steps", [bar])
    interleave(measure, contenders, rounds)
    measure.note_shares("VectorQuantizer", ["distance GEMM alone"])
    measure.notes.append(same_step(num_codes, dim))
    return measure


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(
        "vq",
        [compare(512, 64, 4.0, 10), compare(256, 32, 2.7, 30), compare(4096, 64, 5.0, 2)],
        "vector-quantize-pytorch",
    )
