"""The spectra of pull-back metrics, as a quadrature: any mean over eigenvalues, and how sure."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_number
from vae_course.evaluation.intervals import Estimate

# Times what the last third of the steps has moved an answer: twice covers .88 where a floor is far
# below what the steps resolve.
CUT = 3

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Spectrum:
    r"""One quadrature of the spectra of :math:`A = J^\top G J`, for any function of λ afterwards.

    .. math:: \tfrac1d \operatorname{tr} f(A) = E_v\, v^\top f(A)\, v
              \approx \Big\langle \sum_i w_i\, f(\lambda_i) \Big\rangle_{\text{probes}},
              \qquad v \text{ uniform on the sphere}

    Made by ``spectrum``. Codes are the sample: errors are over codes (delete-one jackknife, t with
    n - 1 degrees of freedom), and intervals are wider by the truncation, three times what the last
    third of the steps has moved the answer. One code alone has the error of its probes, infinite
    where these are too few to show one.

    What it can't see: eigenvalues below 1e-12 of the largest in float32 (1e-7 under a ``metric``),
    one small eigenvalue among d (its weight in a probe is 1/d), and kinks.
    """

    nodes: Float[Tensor, "batch probes k"]
    weights: Float[Tensor, "batch probes k"]
    coarse_nodes: Float[Tensor, "batch probes k"]
    """The same from the first two thirds of the steps; once more the fine ones where those were
    all there is."""
    coarse_weights: Float[Tensor, "batch probes k"]
    d: int
    """Latents a code."""
    exact: bool
    """Whether the nodes are all eigenvalues, each of weight 1/d."""
    products: int
    """Products with J or its transpose, over all codes."""

    @property
    def n(self) -> int:
        """Number of codes."""
        return len(self.nodes)

    @property
    def largest(self) -> Float[Tensor, "batch"]:
        """The largest eigenvalue seen at each code, a lower bound; see ``isometry.largest``."""
        return self.nodes.amax((1, 2))

    def per_code(self, f: Function) -> Float[Tensor, "batch"]:
        """The mean of f over the eigenvalues at each code, float64; f works elementwise."""
        return self._means(f)[0].mean(1)

    def mean(self, f: Function) -> Estimate:
        """The mean of f over the eigenvalues, (1/d) tr f(A), averaged over codes."""
        return self._estimate(lambda q, pair, square: q.mean(1), f)

    def rate(self, price: float) -> Estimate:
        r"""Nats a latent that the best code of any axes would spend, for small balls.

        .. math:: \frac1{2d} \sum_i \log\big(1 + \tfrac2\beta \lambda_i\big)
        """
        price = check_number("price", price, 0)
        return self.mean(lambda value: torch.log1p(2 / price * value) / 2)

    def log_det(self, floor: float) -> Estimate:
        r"""Twice the log of what a volume grows by, a latent.

        .. math:: \frac1d \sum_i \log(\lambda_i + \text{floor} \cdot \lambda_{\max})

        The ``floor`` (0 for none) is a share of the code's largest eigenvalue. Steps needed grow
        with its inverse root: 1e-2 takes about 16, 1e-3 about 48, 1e-4 about 115.
        """
        return self.mean(self._log(floor))

    def log_variance(self, floor: float) -> Estimate:
        r"""How uneven the directions at one point are: :math:`\mathrm{Var}_i \log(\lambda_i +
        \text{floor} \cdot \lambda_{\max})`, averaged over codes; unbiased in the probes."""
        return self._estimate(lambda q, pair, square: square - pair, self._log(floor))

    def used(self) -> Estimate:
        r"""Share of the directions that carry the metric: the participation ratio over d,
        :math:`\langle \bar\lambda^2 \rangle / \langle \overline{\lambda^2} \rangle`, pooled over
        codes; 1 for an isometry up to scale."""
        self._check_moves()

        def moments(q: Tensor, pair: Tensor, square: Tensor) -> Tensor:
            return torch.stack([pair, square], 1)

        return self._estimate(
            moments, lambda value: value, lambda mean, n: mean[..., 0] / mean[..., 1]
        )

    def volume_spread(self, floor: float) -> Estimate:
        r"""How uneven the points are: the standard deviation over codes of ``log_det``'s summand,
        with the probes' own noise taken out; 0 where that explains all of it."""
        f = self._log(floor)
        if self.n < 3:
            raise ValueError(f"a spread over codes needs 3 of them, got {self.n}")

        def moments(q: Tensor, pair: Tensor, square: Tensor) -> Tensor:
            probes = q.shape[1]
            noise = q.var(1) / probes if probes > 1 else torch.zeros_like(square)
            return torch.stack([q.mean(1), q.mean(1).square(), noise], 1)

        def variance(mean: Tensor, n: int) -> Tensor:
            return (mean[..., 1] - mean[..., 0].square()) * (n / (n - 1)) - mean[..., 2]

        found = self._estimate(moments, f, variance)
        value, low, high = (math.sqrt(max(0.0, v)) for v in (found.value, found.low, found.high))
        # The spread of a few cases is skewed: its logarithm has the better interval, but cannot
        # hold 0. Of the probes' noise alone the other one is right: the wider of both.
        log = self._estimate(moments, f, lambda mean, n: variance(mean, n).log())
        if math.isfinite(log.low):
            ends = math.exp(log.low / 2), math.exp(log.high / 2)
            low, high = ends if self.exact else (min(low, ends[0]), max(high, ends[1]))

        def of_root(error: float) -> float:  # half of it over the root, or its root near 0
            return error / max(2 * value, math.sqrt(error)) if error else 0.0

        return Estimate(
            value, of_root(found.error), low, high, of_root(found.truncation), found.n,
            found.products,
        )  # fmt: skip

    def unseen(self, floor: float) -> float:
        """Share of the spectrum within ten times the floor: what a smaller floor would change."""
        low = 10 * self._floor(floor)[:, None, None]
        return (self.weights * (self.nodes < low)).sum(2).mean().item()

    def _floor(self, floor: float) -> Tensor:
        if check_number("floor", floor) < 0 or floor >= 1:
            raise ValueError(f"floor={floor}: a share of the largest eigenvalue, from 0 to below 1")
        self._check_moves()
        return floor * self.largest

    def _log(self, floor: float) -> Function:
        low = self._floor(floor)[:, None, None]

        def log(value: Tensor) -> Tensor:
            # What rounding leaves of a zero eigenvalue has a log too; without a floor it counts.
            return (value + low).log()

        return log

    def _check_moves(self) -> None:
        still = int((self.largest <= 0).sum())
        if still:
            raise ValueError(
                f"the pull-back metric is 0 at {still} of {self.n} codes: the decoder does not "
                "move with its code there (a collapsed VAE), and 0 has no logarithm; mean and rate "
                "are defined"
            )

    def _means(self, f: Function, coarse: bool = False) -> tuple[Tensor, Tensor]:
        """Of f and of its square over the spectrum as each probe sees it, (batch, probes) each."""
        nodes = self.coarse_nodes if coarse else self.nodes
        weights = self.coarse_weights if coarse else self.weights
        values = f(nodes)
        if not isinstance(values, Tensor) or values.shape != nodes.shape:
            gave = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise ValueError(
                f"f gave {gave} for eigenvalues {tuple(nodes.shape)}: it must work elementwise"
            )
        values = values.where(weights > 0, 0)  # what has no weight need not be defined
        if not values.isfinite().all():
            raise ValueError(
                "f is not finite at some eigenvalue: where f has no value at 0, as a logarithm, "
                "add a floor"
            )
        return (weights * values).sum(2), (weights * values.square()).sum(2)

    def _moments(self, f: Function, coarse: bool) -> tuple[Tensor, Tensor, Tensor]:
        """q (batch, probes), and unbiased at each code (mean f)² and mean f², (batch,) each."""
        q, squares = self._means(f, coarse)
        probes = q.shape[1]
        if self.exact:
            pair = q[:, 0].square()
        elif probes > 1:
            pair = (q.sum(1).square() - q.square().sum(1)) / (probes * (probes - 1))
        else:
            pair = torch.full_like(q[:, 0], math.nan)
        return q, pair, squares.mean(1)

    def _estimate(
        self,
        moments: Callable[[Tensor, Tensor, Tensor], Tensor],
        f: Function,
        value: Callable[[Tensor, int], Tensor] = lambda mean, n: mean[..., 0],
    ) -> Estimate:
        """``value`` of the ``moments``' mean over n codes, with its error."""
        fine, coarse = (moments(*self._moments(f, c)).reshape(self.n, -1) for c in (False, True))
        if fine.isnan().any():
            raise ValueError("this takes two probes at each code: spectrum(..., probes=2)")
        n = self.n
        found, before = value(fine.mean(0), n).item(), value(coarse.mean(0), n).item()
        if n > 1:
            without_one = value((fine.sum(0) - fine) / (n - 1), n - 1)
            units, error = n, math.sqrt((n - 1) * without_one.var(correction=0).item())
        elif self.exact:
            units, error = 1, 0.0
        else:  # how the probes differ, which for a mean over them is all there is to know
            q = self._means(f)[0][0]
            units, error = len(q), math.inf
            if units > 1 and found == q.mean().item():
                error = q.std().item() / math.sqrt(units)
        return Estimate.t(
            found, error, units, truncation=CUT * abs(found - before), products=self.products
        )
