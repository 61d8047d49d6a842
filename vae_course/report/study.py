"""One VAE and the images it is looked at with: what several measures need is computed once."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from vae_course.isometry.decoder import is_out_of_memory
from vae_course.isometry.metrics import Metric
from vae_course.report import posterior
from vae_course.report.measures import ROWS, Found, Unmeasured
from vae_course.report.plan import Sizes, Speed
from vae_course.report.posterior import Kind, Posterior
from vae_course.report.tokens import Tokens
from vae_course.report.training_mode import Watch

HELD = 2**17
"""Numbers of images in one batch. Larger ones leave the processor's cache: twice as slow."""
MEMORY = 8  # images that the clock remembers, about
QUICK = 0.1  # seconds below which one timing says little


@dataclass(frozen=True)
class Declared:
    """What a pipeline says of its VAE; checked, never assumed."""

    factor: float | None = None
    """What codes are multiplied by before a second stage."""
    shift: float | None = None
    """What is taken off them before that."""
    beta: float | None = None
    """The price of a nat, in units of the sum of squares over an image."""
    codes: int | None = None
    """K, of a codebook."""


class Study:
    """A VAE, images, and what was computed of them. Codes and images lie on the CPU.

    Args:
        encode, decode: as in ``report``.
        images: (N, \\*image), floating-point.
        value_range: (low, high) of the images.
        declared, metric, sizes, seed, device: as in ``report``.

    Attributes:
        kind: of the codes.
        tables: what the pictures are drawn of, filled by rows.
        watch: what in the model is in training mode.
    """

    def __init__(
        self,
        encode: Callable[[Tensor], Any],
        decode: Callable[[Tensor], Any],
        images: Tensor,
        *,
        value_range: tuple[float, float] = (0.0, 1.0),
        declared: Declared | None = None,
        metric: Metric | None = None,
        sizes: Sizes | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self._encode, self._decode = encode, decode
        self.images, self.value_range = images, value_range
        self.declared, self.metric = declared or Declared(), metric
        self.sizes, self.seed, self.device = sizes or Sizes(), seed, torch.device(device)
        self.tables: dict[str, Tensor] = {}
        self._rows: dict[str, Mapping[str, Found | Unmeasured] | Unmeasured] = {}
        self._seconds: dict[str, float] = {}
        self.watch = Watch()
        held = HELD if self.device.type == "cpu" else 32 * HELD
        self.batch = max(4, min(256, held // images[0].numel()))  # 4, for the row `rows`

    # --- the model -----------------------------------------------------------------------------
    def encoded(self, images: Tensor) -> Posterior:
        """The posterior of images, batch by batch."""
        parts = []
        with torch.no_grad():
            for i, x in enumerate(images.split(self.batch)):
                generator = torch.Generator(self.device).manual_seed(self._number(f"draw {i}"))
                with self._clocked("encode", x):
                    with self.watch.call("encode"), told("encode", "images", x):
                        output = self._encode(x.to(self.device))
                    parts.append(posterior.read(output, len(x), generator).to("cpu"))
        return Posterior.joined(parts)

    def mean_code(self, images: Tensor) -> Tensor:
        """The centres μ of images."""
        return self.encoded(images).mu

    def decoded(self, codes: Tensor) -> Tensor:
        """Images of codes, batch by batch; raises for what is no image."""
        parts = []
        with torch.no_grad():
            for z in codes.split(self.batch):
                with self._clocked("decode", z):
                    with self.watch.call("decode"), told("decode", "codes", z):
                        x = self._decode(z.to(self.device))
                    check_images(x, len(z), self.images)
                    parts.append(x.detach().to("cpu", self.images.dtype))
        return torch.cat(parts)

    @property
    def decoder(self) -> Callable[[Tensor], Any]:
        """The decoder as it is, with gradients and on the study's device, for ``isometry``."""
        return self._decode

    def time(self) -> None:
        """Encode and decode two images for the clock; more where those take next to no time."""
        for few in (2, 8):
            codes = self.mean_code(self.images[:few])  # once more than is timed: a cold cache
            self._seconds.clear()
            self.mean_code(self.images[:few])
            self.decoded(codes)
            if sum(self._seconds.values()) * few > QUICK:
                return

    @property
    def speed(self) -> Speed:
        """Seconds an image to encode and to decode, as of the last few batches."""
        return Speed(self._seconds["encode"], self._seconds["decode"])

    @contextmanager
    def _clocked(self, side: str, batch: Tensor) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds = (time.perf_counter() - began) / len(batch)
        before = self._seconds.get(side, seconds)
        weight = len(batch) / (len(batch) + MEMORY)
        self._seconds[side] = before + weight * (seconds - before)

    # --- codes and images, computed once ---------------------------------------------------------
    @cached_property
    def posterior(self) -> Posterior:
        """Of the first ``sizes.images`` images."""
        return self.encoded(self.images[: self.sizes.images])

    @cached_property
    def kind(self) -> Kind:
        return self.encoded(self.images[:2]).kind

    @property
    def mu(self) -> Tensor:
        """Centres (n, \\*code); indices for a codebook."""
        return self.posterior.mu

    @property
    def sigma(self) -> Tensor:
        """Standard deviations (n, \\*code); ``Unmeasured`` where codes have none."""
        if self.posterior.sigma is None:
            raise Unmeasured("the encoder gives no σ")
        return self.posterior.sigma

    @cached_property
    def z(self) -> Tensor:
        """One draw for each image; μ where there is no noise."""
        p = self.posterior
        if p.drawn is not None:
            return p.drawn
        return p.mu if p.sigma is None else p.mu + p.sigma * self.noise("z", p.mu)

    @property
    def n(self) -> int:
        return len(self.mu)

    @property
    def channels(self) -> int:
        """C, of codes (n, C, \\*places), or (n, C) with one place."""
        return self.mu.shape[1]

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(self.mu.shape[2:])

    @cached_property
    def tokens(self) -> Tokens:
        """What codes are like by channel and place."""
        return Tokens(self.mu, self.posterior.sigma)

    @cached_property
    def x(self) -> Tensor:
        """The images that ``at_mean`` and ``at_draw`` belong to, the first ``sizes.decoded``."""
        return self.images[: min(self.sizes.decoded, self.n)]

    @cached_property
    def at_mean(self) -> Tensor:
        """g(μ) of ``x``."""
        return self.decoded(self.mu[: len(self.x)])

    @cached_property
    def at_draw(self) -> Tensor:
        """g(z) of ``x``."""
        return self.decoded(self.z[: len(self.x)])

    @cached_property
    def power(self) -> Tensor:
        """‖x − mean x‖² of each of ``x``, (decoded,), float64: V is its mean."""
        x = self.x.double().flatten(1)
        n = len(x)
        return (x - x.mean(0)).square().sum(1) * (n / max(n - 1, 1))

    # --- randomness ------------------------------------------------------------------------------
    def generator(self, name: str) -> torch.Generator:
        """A generator of its own for each purpose: the same noise whatever else is measured."""
        return torch.Generator("cpu").manual_seed(self._number(name))

    def noise(self, name: str, like: Tensor) -> Tensor:
        """Standard normal, of the shape and dtype of ``like``."""
        return torch.randn(
            like.shape, generator=self.generator(name), dtype=like.dtype, device="cpu"
        )

    def _number(self, name: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed} {name}".encode()).digest()[:7], "big")

    # --- rows ------------------------------------------------------------------------------------
    def row(self, name: str) -> Mapping[str, Found | Unmeasured]:
        """What a row found, measured once; ``Unmeasured`` again where it was before."""
        if name not in self._rows:
            try:
                self._rows[name] = ROWS[name].measure(self)
            except Unmeasured as why:
                self._rows[name] = why
        found = self._rows[name]
        if isinstance(found, Unmeasured):
            raise found
        return found


@contextmanager
def told(side: str, what: str, given: Tensor) -> Iterator[None]:
    """A model's own error as a ValueError that says at what it happened, and what may mend it."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        first = str(error).partition("\n")[0]
        remedy = {
            "encode": "give images as the model takes them: shape, dtype, device",
            "decode": "encode and decode must belong together, and take codes of one shape",
        }
        raise ValueError(
            f"{side} fails at {what} {tuple(given.shape)}, {given.dtype}: {first}; {remedy[side]}"
        ) from error


def check_images(x: Any, n: int, like: Tensor) -> None:
    """Raise TypeError or ValueError unless x are n images of the same shape as ``like``."""
    if not isinstance(x, Tensor):
        hint = next(
            (f"; take its .{name}" for name in ("sample", "reconstruction") if hasattr(x, name)), ""
        )
        raise TypeError(f"decode gave {type(x).__name__}, not a tensor of images{hint}")
    if not x.is_floating_point():
        raise TypeError(f"decode gave {x.dtype}; images are floating-point numbers")
    if x.shape != (n, *like.shape[1:]):
        raise ValueError(
            f"decode gave {tuple(x.shape)} for {n} codes of images {tuple(like.shape[1:])}: encode "
            "and decode must belong together, and give images of one shape (reshape in decode)"
        )
