"""A VAE of strings: recurrent encoder and decoder around a Gaussian or a spherical code."""

import math
from typing import Any, cast

import torch
from jaxtyping import Float, Int16
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from vae_course.data.tokens import Vocabulary
from vae_course.models import LossTerms
from vae_course.models.base import check_beta, check_rate, check_sizes, weights_from
from vae_course.models.spherical import law
from vae_course.models.vae import log_variance_at
from vae_course.sphere import SphericalUniform

FAMILIES = ("gaussian", "vmf", "cauchy")


class SmilesVAE(nn.Module):
    r"""A VAE of token sequences, whose code is Gaussian or lies on a sphere.

    .. math:: L(x) = -\sum_t \log p(x_t | x_{<t}, z) + \beta\, \mathrm{KL}(q(z|x) \| p(z))

    The encoder is a bidirectional GRU. The decoder, a GRU that sees z at every step, is trained by
    teacher forcing: it predicts each token from the true ones before it. Both are the same whatever
    the family, and so, but for a Gaussian's mean, is the rate of the first posteriors. On a sphere
    the decoder's first weights for z are multiplied by :math:`\sqrt d`, once, so that unit vectors
    drive it as draws of N(0, I) would. **Equal rules** are R^n against S^n: ``d=n`` for a Gaussian,
    ``d=n + 1`` on a sphere, n numbers free in each.

    Args:
        vocabulary: of the strings.
        length: of a row of tokens; the decoder stops there.
        family: ``"gaussian"``, with prior N(0, I), or ``"vmf"`` or ``"cauchy"``, on the unit sphere
            of R^d with a uniform prior.
        d: numbers in a code; on a sphere the ambient dimension.
        hidden: units of the decoder; half as many in each direction of the encoder.
        embedding: numbers that stand for a token.
        beta: at least 0, without unit, as both terms are in nats.
        warmup: steps of training over which the weight of the rate grows evenly from 0 to
            ``beta``. Without it a decoder as strong as this one learns to do without the code
            before the code says anything, and on the sphere it never comes back.
        initial_rate: nats, of a posterior whose encoder gives zeros.
        seed: of the initial weights.

    Source: Bowman et al. 2016; for SMILES, Gómez-Bombarelli et al. 2018; on a sphere, Sablica and
    Hornik 2025, who use transformers.
    """

    beta: Tensor
    trained_steps: Tensor

    def __init__(
        self,
        vocabulary: Vocabulary,
        length: int,
        *,
        family: str = "gaussian",
        d: int = 64,
        hidden: int = 256,
        embedding: int = 64,
        beta: float = 0.1,
        warmup: int = 0,
        initial_rate: float = 20.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if family not in FAMILIES:
            raise ValueError(f"family={family!r} is unknown: choose one of {FAMILIES}")
        check_beta(beta)
        check_rate(initial_rate)
        if warmup < 0:
            raise ValueError(f"warmup={warmup}: steps, 0 or more")
        check_sizes(length=(length,), d=(d,), hidden=(hidden,), embedding=(embedding,))
        self.vocabulary, self.length, self.family = vocabulary, length, family
        self.d, self.initial_rate = d, initial_rate
        self.config: dict[str, Any] = dict(
            model="SmilesVAE",
            distortion="cross_entropy",
            tokens=list(vocabulary.tokens),
            length=length,
            family=family,
            d=d,
            hidden=hidden,
            embedding=embedding,
            beta=beta,
            warmup=warmup,
            initial_rate=initial_rate,
            seed=seed,
        )
        self.warmup = warmup
        self._log_variance = log_variance_at(initial_rate / d) if family == "gaussian" else 0.0
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.register_buffer("trained_steps", torch.tensor(0.0))  # saved, so that runs resume
        with weights_from(seed):
            self.embed = nn.Embedding(len(vocabulary) + 1, embedding)
            self.encoder = nn.GRU(embedding, hidden // 2, batch_first=True, bidirectional=True)
            self.head = nn.Linear(hidden, 2 * d if family == "gaussian" else d + 1)
            self.start = nn.Linear(d, hidden)
            self.decoder = nn.GRU(embedding + d, hidden, batch_first=True)
            self.predict = nn.Linear(hidden, len(vocabulary) + 1)
        with torch.no_grad():  # all first posteriors are of one size, whatever the string
            self.head.weight[d:], self.head.bias[d:] = 0, 0
            if family != "gaussian":  # a unit vector's coordinates are of size 1 / sqrt(d)
                self.start.weight *= math.sqrt(d)
                self.decoder.get_parameter("weight_ih_l0")[:, embedding:] *= math.sqrt(d)

    def encode(self, tokens: Int16[Tensor, "batch length"]) -> Distribution:
        """The posterior over codes of each row; a batch of distributions over R^d."""
        self.check_data(tokens)
        words, sizes = tokens.long(), _sizes(tokens)
        packed = pack_padded_sequence(self.embed(words), sizes, True, enforce_sorted=False)
        _, last = self.encoder(packed)  # (2, batch, hidden / 2): the last state each way
        features = self.head(last.transpose(0, 1).flatten(1))
        if self.family != "gaussian":
            return law(features, self.family, self.initial_rate)
        mu, log_variance = features.chunk(2, dim=-1)
        sigma = ((log_variance + self._log_variance).clamp(-20, 20) / 2).exp()
        return Independent(Normal(mu, sigma, validate_args=False), 1, validate_args=False)

    def prior(self, n: int, seed: int) -> Float[Tensor, "n d"]:
        """n codes from the prior: N(0, I), or uniform on the sphere."""
        noise = torch.randn(n, self.d, generator=Generator().manual_seed(seed))
        noise = noise.to(self.beta)
        return noise if self.family == "gaussian" else nn.functional.normalize(noise, dim=-1)

    def draw_noise(self, n: int, generator: Generator) -> Float[Tensor, "n e"]:
        """Standard normal, on the generator's device; a vMF sample takes one number more."""
        size = self.d + (self.family == "vmf")
        device, dtype = generator.device, self.beta.dtype
        return torch.randn(n, size, generator=generator, device=device, dtype=dtype)

    def loss_terms(
        self, tokens: Int16[Tensor, "batch length"], eps: Float[Tensor, "batch e"]
    ) -> LossTerms:
        """Loss, distortion (nats a string, the end included) and rate (nats) of each row."""
        posterior = cast(Any, self.encode(tokens))
        if self.family == "gaussian":
            z, prior = torch.addcmul(posterior.mean, posterior.stddev, eps), self._normal()
        else:
            z, prior = posterior.transport(eps), SphericalUniform(self.d, device=eps.device)
        rate = kl_divergence(posterior, prior)
        distortion = self.surprise(tokens, z)
        weight = self.beta
        if self.training and self.warmup:
            weight = weight * (self.trained_steps / self.warmup).clamp(max=1)
            self.trained_steps += 1
        return LossTerms(distortion + weight * rate, distortion, rate)

    def _normal(self) -> Distribution:
        zero = torch.zeros(self.d, device=self.beta.device)
        return Independent(Normal(zero, 1.0, validate_args=False), 1, validate_args=False)

    def surprise(
        self, tokens: Int16[Tensor, "batch length"], z: Float[Tensor, "batch d"]
    ) -> Float[Tensor, "batch"]:
        """Minus the log probability of each row given its code, in nats, by teacher forcing."""
        words, sizes = tokens.long(), _sizes(tokens)
        before = nn.functional.pad(words[:, :-1], (1, 0))  # a string starts after a 0, too
        inputs = torch.cat([self.embed(before), z.unsqueeze(1).expand(*words.shape, -1)], dim=-1)
        packed = pack_padded_sequence(inputs, sizes, True, enforce_sorted=False)
        states, _ = self.decoder(packed, self.start(z).tanh().unsqueeze(0))
        target = pack_padded_sequence(words, sizes, True, enforce_sorted=False).data
        loss = nn.functional.cross_entropy(self.predict(states.data), target, reduction="none")
        rows, _ = pad_packed_sequence(PackedSequence(loss, *states[1:]), batch_first=True)
        return rows.sum(1)

    @torch.no_grad()
    def strings(
        self, z: Float[Tensor, "n d"], *, temperature: float = 0.0, seed: int = 0
    ) -> list[str]:
        """The string that each code decodes to, token by token.

        Args:
            z: codes.
            temperature: 0 takes the likeliest token at each step; 1 samples from the decoder.
            seed: of the sampling.
        """
        if z.ndim != 2 or z.shape[1] != self.d:
            raise ValueError(f"z has shape {tuple(z.shape)}: this model's codes are (n, {self.d})")
        if not temperature >= 0:
            raise ValueError(f"temperature={temperature}: must be 0 or more")
        generator = Generator(z.device).manual_seed(seed)
        token = torch.zeros(len(z), dtype=torch.long, device=z.device)
        state, going, rows = self.start(z).tanh().unsqueeze(0), torch.ones_like(token), []
        for _ in range(self.length):
            inputs = torch.cat([self.embed(token), z], dim=-1).unsqueeze(1)
            output, state = self.decoder(inputs, state)
            logits = self.predict(output.squeeze(1))
            if temperature:
                shares = (logits / temperature).softmax(-1)
                token = torch.multinomial(shares, 1, generator=generator).squeeze(1)
            else:
                token = logits.argmax(-1)
            rows.append(token)
            going = going * (token > 0)
            if not going.any():
                break
        return self.vocabulary.decode(torch.stack(rows, dim=1))

    def check_data(self, tokens: Tensor) -> None:
        """ValueError unless tokens are rows of int16 that this model has tokens for, each closed by
        a 0."""
        if tokens.dtype != torch.int16 or tokens.ndim != 2:
            raise ValueError(
                f"tokens are {tokens.dtype} of shape {tuple(tokens.shape)}; give int16 rows, as "
                "vocabulary.encode does"
            )
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() <= len(self.vocabulary):
            raise ValueError(f"tokens must lie in 0 to {len(self.vocabulary)}, the vocabulary's")
        if tokens.shape[1] > self.length or (tokens[:, -1:] != 0).any():
            raise ValueError(f"rows must end in 0 and hold at most {self.length} numbers")


def _sizes(tokens: Tensor) -> Tensor:
    """Tokens to predict in each row, its end included."""
    return ((tokens != 0).sum(1) + 1).cpu()
