"""Vector quantisation: each vector is replaced by the nearest centre of a learned codebook."""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from vae_course.arguments import check_number, check_whole, visible
from vae_course.quantization.nearest import search
from vae_course.quantization.result import (
    Quantized,
    check_finite,
    check_indices,
    check_vectors,
    straight_through,
)
from vae_course.quantization.revival import beside, cost_of_merging, draw, seeds, spread_out


class VectorQuantizer(nn.Module):
    r"""The nearest of K centres stands for each vector; the centres follow the vectors.

    .. math:: e(z) = \arg\min_{e_k} \|z - e_k\|, \qquad
              \mathrm{loss} = c\, \|z - \mathrm{sg}(e)\|^2 \;[\, + \|\mathrm{sg}(z) - e\|^2 ]

    with sg the stop-gradient and c the ``commitment``. The centres learn in one of two ways:

    * ``decay`` = γ: each is the running mean of the vectors it stood for, a vector of t batches ago
      weighing :math:`\gamma^t`. With n_k vectors in the batch, whose residuals sum to r_k,
      :math:`N_k \leftarrow \gamma N_k + (1 - \gamma) n_k` and
      :math:`e_k \leftarrow e_k + (1 - \gamma)\, r_k / N_k`. It starts from N = 0: the random
      centres that begin have no weight, and a centre that stands for nothing stays where it is.
    * ``decay=None``: by gradient descent on the term in brackets; ``codebook`` is a parameter.

    Only calls in train mode teach the codebook, as in a batch normalisation; in eval mode, and by
    ``quantize``, nothing changes. Works untrained, and on a single vector (D,). float32: for
    distances from 1e-18 to 1e18; beyond, squares vanish or the loss is infinite.

    Args:
        num_codes: K.
        dim: D.
        decay: γ in [0, 1), or None.
        commitment: c ≥ 0, the pull of the centre on the encoder.
        revive: a centre that stood for no vector of so many batches, or never for any, is dead. It
            moves to a vector of the batch, drawn in proportion to the squared distance to its
            nearest centre, and starts anew; the next one's draw knows of it (k-means++). The first
            batch begins in this way, with all centres where that is better than to keep those it
            used. Running means also move, every so many batches, a centre that is worth less than
            one elsewhere, such as two that share a cluster: if merging it with its nearest centre
            costs less than the batch gains by one on a vector so drawn. None or 0: none of this.
        chunk: vectors compared with all centres at a time: memory chunk · K. Raise it on a GPU.
        seed: of the first centres, uniform in ±1/K, and of the revivals. All else that these
            depend on is in ``state_dict``, so that a resumed run repeats them.

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, and its appendix A.1 for the running mean.
    """

    codebook: Tensor
    counts: Tensor
    idle: Tensor
    batches: Tensor

    def __init__(
        self,
        num_codes: int,
        dim: int,
        *,
        decay: float | None = 0.99,
        commitment: float = 0.25,
        revive: int | None = 50,
        chunk: int = 512,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, whole in (("num_codes", num_codes), ("dim", dim), ("chunk", chunk)):
            check_whole(name, whole)
        check_whole("seed", seed, -(2**63))
        if decay is not None and not 0 <= check_number("decay", decay) < 1:
            raise ValueError(f"decay={decay}: must be in [0, 1), or None for a gradient codebook")
        if check_number("commitment", commitment) < 0:
            raise ValueError(f"commitment={commitment}: must not be negative")
        if revive is not None:
            check_whole("revive", revive, 0)
        self.num_codes, self.dim, self.decay, self.commitment = num_codes, dim, decay, commitment
        self.revive, self.chunk, self.seed = revive or 0, chunk, seed
        codebook = torch.empty(num_codes, dim)
        if not codebook.is_meta:  # drawn on the CPU, whatever the default device
            cpu = Generator(device="cpu").manual_seed(seed)
            uniform = torch.rand(num_codes, dim, generator=cpu, dtype=codebook.dtype, device="cpu")
            codebook.copy_((2 * uniform - 1) / num_codes)
        if decay is None:
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
            self.register_buffer("counts", torch.zeros(num_codes))  # N, running
        # Batches since the last use; a centre never used is dead from the start.
        self.register_buffer("idle", torch.full((num_codes,), self.revive))
        self.register_buffer("batches", torch.tensor(0))  # batches learned from

    def forward(self, z: Float[Tensor, "*batch d"], *, check: bool = True) -> Quantized:
        """Quantise and, in train mode, learn from z: (\\*batch, D) to ``Quantized``.

        ``check``: look at the values first, in eager mode. ``VQVAE`` switches it off, so that a NaN
        reaches the loss, where ``fit`` reports it; and on a GPU each look waits for the device.

        Raises:
            ValueError: z is not (..., D), on another device, or holds a NaN or infinite value.
            TypeError: z is no tensor, or has not the codebook's dtype.
        """
        result = self.quantize(z, check=check)
        if self.training and z.numel():
            flat, centre = (t.detach().reshape(-1, self.dim) for t in (z, result.quantized))
            self._learn(flat, centre, result.indices.flatten())
        return result

    def quantize(self, z: Float[Tensor, "*batch d"], *, check: bool = True) -> Quantized:
        """What a call returns, learning nothing in either mode."""
        check_vectors(z, self.dim, self.codebook)
        flat = z.detach().reshape(-1, self.dim)
        indices = search(flat, self.codebook.detach(), self.chunk).view(z.shape[:-1])
        centre = nn.functional.embedding(indices, self.codebook)
        loss = self.commitment * (z - centre.detach()).square().sum(-1)
        if self.decay is None:
            loss = loss + (z.detach() - centre).square().sum(-1)
        if check and visible(loss) and not loss.isfinite().all():  # D times fewer numbers than z
            check_finite(z)
        return Quantized(straight_through(z, centre), indices, loss)

    def lookup(self, indices: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d"]:
        """The centres of these numbers. Raises ValueError for one outside 0 … K - 1."""
        check_indices(indices, self.num_codes)
        return nn.functional.embedding(indices, self.codebook)

    @torch.no_grad()
    def initialise(self, z: Float[Tensor, "*batch d"], seed: int = 0) -> None:
        """Start from the k-means centres of z (k-means++, 4 starts, scikit-learn).

        The running means go on as if z had been the first batch. Raises ValueError if z holds
        fewer than K vectors, and as a call does.
        """
        from sklearn.cluster import KMeans

        check_vectors(z, self.dim, self.codebook)
        check_finite(z)
        flat = z.reshape(-1, self.dim)
        if len(flat) < self.num_codes:
            raise ValueError(
                f"z holds {len(flat)} vectors, fewer than the {self.num_codes} centres that "
                f"k-means is to find: give more vectors, or num_codes={len(flat)} at most"
            )
        means = KMeans(self.num_codes, n_init=4, random_state=seed).fit(flat.cpu().double().numpy())
        self.codebook.copy_(torch.from_numpy(means.cluster_centers_))
        self.idle.zero_()
        self.batches.fill_(1)
        if self.decay is not None:
            sizes = torch.bincount(torch.from_numpy(means.labels_), minlength=self.num_codes)
            self.counts.copy_((1 - self.decay) * sizes)

    @torch.no_grad()
    def _learn(self, z: Tensor, centre: Tensor, indices: Tensor) -> None:
        n = torch.bincount(indices, minlength=self.num_codes)  # (K,)
        residual = z - centre  # (N, D)
        if self.decay is not None:
            rate = 1 - self.decay
            self.counts.lerp_(n.to(self.counts), rate)
            pull = torch.zeros_like(self.codebook).index_add_(0, indices, residual)
            # A centre of count 0 has pull 0: the bound on the count only keeps 0/0 out.
            self.codebook.addcdiv_(pull, self.counts.clamp_min(1e-30).unsqueeze(1), value=rate)
        self.idle.add_(1).masked_fill_(n > 0, 0)
        self.batches.add_(1)
        if self.revive:
            dead = (self.idle >= self.revive).nonzero().squeeze(1)
            distance = self._revive(dead, z) if len(dead) else None
            if self.decay is not None and int(self.batches) % self.revive == 0:
                distance = residual.square().sum(1) if distance is None else distance
                self._regroup(n, z, distance)

    def _revive(self, dead: Tensor, z: Tensor) -> Tensor:
        """Put dead centres on vectors of the batch; the squared distances that are left."""
        live = torch.ones(self.num_codes, dtype=torch.bool, device=z.device)
        live[dead] = False
        centres, generator = self.codebook[live], self._generator()
        distance = (z - centres[search(z, centres, self.chunk)]).square().sum(1)
        chosen, left = spread_out(z, distance, len(dead), generator)
        if int(self.batches) == 1:  # no centre has earned its place: all move, if that is better
            alone, without = seeds(z, self.num_codes, generator)
            if without.sum() < left.sum():
                dead, chosen, left = live.new_ones(len(live)).nonzero().squeeze(1), alone, without
        self._move(dead[: len(chosen)], z[chosen])  # the vectors may run out
        return left

    def _regroup(self, n: Tensor, z: Tensor, distance: Tensor) -> None:
        """Move centres that are worth less than one elsewhere, the cheapest first."""
        # In vectors a batch. The count of a young centre is too low: then the batch knows better.
        mass = torch.maximum(n, self.counts * (len(z) / self.counts.sum()))
        cost, other = cost_of_merging(self.codebook, mass, chunk=self.chunk)
        young = self.counts == 0  # just placed: nobody knows what it will stand for
        cost[young | young[other]] = torch.inf
        generator = self._generator()
        while (least := cost.min()) < torch.inf:
            k, chosen = int(cost.argmin()), draw(distance, generator)
            fallen = beside(z, distance, chosen)
            gain = distance - fallen
            gain[chosen] = 0  # alone, any vector gains by a centre of its own
            if not gain.sum() > least:
                break
            cost[k] = cost[other[k]] = torch.inf  # the one that gets its vectors has to stay
            distance = fallen
            self._move(k, z[chosen])

    def _move(self, k: int | Tensor, vectors: Tensor) -> None:
        self.codebook[k] = vectors
        self.idle[k] = 0
        if self.decay is not None:
            self.counts[k] = 0

    def _generator(self) -> Generator:
        # From what state_dict holds, on the CPU: the same on every machine and on resuming.
        seed = (self.seed * 1_000_003 + int(self.batches)) % 2**32
        return Generator(device="cpu").manual_seed(seed)
