"""A learned prior over code tuples: one slot after the other."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from vae_course.arguments import check_tensor
from vae_course.models.base import LossTerms, check_sizes, weights_from
from vae_course.quantization.result import check_indices


class CodePrior(nn.Module):
    r"""An autoregressive prior over codes of several slots: p(k_1) p(k_2 | k_1) …

    .. math:: \log p(k) = \sum_s \log \mathrm{softmax}(V_s h_s + b_s)_{k_s}, \qquad
              h_s = \mathrm{silu}\Big(c_s + \sum_{t < s} E_{t, k_t}\Big)

    A small network for each slot, whose input are the codes before it; the first layers share
    their weights, so that one cumulative sum serves all slots. ``width`` is the size of h.
    Train it by ``fit(prior, indices.float(), steps=...)`` on the codes (N, slots) of the training
    images: its loss is :math:`-\log p` in nats, per image, and so is its rate.
    Source: Larochelle and Murray 2011, *NADE*, here with K values a slot.
    """

    def __init__(self, slots: int, num_codes: int, *, width: int = 128, seed: int = 0) -> None:
        super().__init__()
        check_sizes(slots=(slots,), num_codes=(num_codes,), width=(width,))
        self.slots, self.num_codes = slots, num_codes
        with weights_from(seed):
            # A sum of up to ``slots`` embeddings then has a variance near 1.
            self.embedding = nn.Parameter(
                torch.randn(slots, num_codes, width) / math.sqrt(max(slots, 2))
            )
            self.hidden_bias = nn.Parameter(torch.randn(slots, width) / 2)
            self.readout = nn.Parameter(torch.randn(slots, width, num_codes) / (4 * width) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(slots, num_codes))

    def log_prob(self, indices: Int64[Tensor, "*batch slots"]) -> Float[Tensor, "*batch"]:
        """Log probability, in nats, of each tuple; over all tuples the probabilities sum to 1."""
        self._check(indices)
        check_indices(indices, self.num_codes)
        return self._log_prob(indices)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> Int64[Tensor, "n slots"]:
        """n tuples, slot after slot; ``model.decode_indices`` makes images of them."""
        generator = Generator(self.bias.device).manual_seed(seed)
        codes = torch.empty(n, self.slots, dtype=torch.int64, device=self.bias.device)
        before = self.embedding.new_zeros(n, self.embedding.shape[-1])
        for s in range(self.slots):
            logits = self._logits(before.unsqueeze(1), slice(s, s + 1)).squeeze(1)  # (n, K)
            codes[:, s] = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)
            before += self.embedding[s, codes[:, s]]
        return codes

    def draw_noise(self, n: int, generator: Generator) -> None:
        """Nothing: a log probability is exact."""

    def check_data(self, x: Tensor) -> None:
        """Raise ValueError unless x is (N, slots), whole numbers from 0 to K - 1."""
        self._check(x)
        if x.is_floating_point() and not torch.equal(x, x.round()):
            raise ValueError("data holds numbers that are not whole: give indices.float()")
        check_indices(x.long(), self.num_codes)

    def loss_terms(self, x: Float[Tensor, "batch slots"], eps: None = None) -> LossTerms:
        """Loss and rate, both -log p in nats, and a distortion of 0, of each tuple."""
        rate = -self._log_prob(x.long())
        return LossTerms(rate, torch.zeros_like(rate), rate)

    def _log_prob(self, indices: Tensor) -> Tensor:
        slot = torch.arange(self.slots, device=indices.device)
        embedded = self.embedding[slot, indices]  # (*batch, slots, width)
        first = torch.zeros_like(embedded[..., :1, :])
        before = torch.cat([first, embedded[..., :-1, :]], -2).cumsum(-2)  # of earlier slots alone
        log_p = self._logits(before, slice(None)).log_softmax(-1)
        return log_p.gather(-1, indices.unsqueeze(-1)).squeeze(-1).sum(-1)

    def _logits(self, before: Tensor, slots: slice) -> Tensor:
        h = nn.functional.silu(self.hidden_bias[slots] + before)  # (*batch, slots, width)
        return torch.einsum("...sw,swk->...sk", h, self.readout[slots]) + self.bias[slots]

    def _check(self, indices: Tensor) -> None:
        check_tensor("indices", indices)
        if indices.ndim < 1 or indices.shape[-1] != self.slots:
            raise ValueError(
                f"indices has shape {tuple(indices.shape)}; this prior takes (batch, {self.slots})"
            )
