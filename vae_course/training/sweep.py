"""Many betas and seeds: one batched ensemble, or runs over workers; each equal to its run alone."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_course.training.ensemble import Ensemble
from vae_course.training.loop import Images, describe, train
from vae_course.training.plan import Plan
from vae_course.training.state import History
from vae_course.training.worker_runs import train_each


@dataclass(frozen=True)
class Sweep:
    """Trained models on a grid of betas and seeds: ``members[i][j]`` has betas[i] and seeds[j].

    In a sweep over families too, rows are the first family's betas, then the second's, and so on.
    """

    betas: tuple[float, ...]
    seeds: tuple[int, ...]
    members: list[list[Any]]
    history: History  # arrays (steps, row, seed)
    families: tuple[str, ...] = ()

    def member(
        self, beta: float | None = None, seed: int | None = None, family: str | None = None
    ) -> Any:
        """The one model of that beta, seed and family; what the sweep has one of may be left out.

        ValueError for one that the sweep has not.
        """
        row = _position(self.betas, beta, "beta")
        if self.families or family is not None:
            row += _position(self.families, family, "family") * max(len(self.betas), 1)
        return self.members[row][_position(self.seeds, seed, "seed")]

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "batch *image"]) -> Any:
        """Every member's code of the same images: what ``member.encode`` gives (a ``Posterior``
        for a VAE, ``Codes`` for a VQ-VAE), its tensors (row, seed, batch, d). Without gradients.
        """
        codes = [[member.encode(x) for member in row] for row in self.members]
        first = codes[0][0]
        if isinstance(first, torch.distributions.Distribution):
            raise TypeError(
                f"these models' codes are {type(first).__name__} distributions, which don't stack: "
                "take sweep.member(beta, seed, family).encode(x), one by one"
            )
        if isinstance(first, Tensor):
            return _stack(codes)
        fields = range(len(first))
        return type(first)(*(_stack([[c[i] for c in row] for row in codes]) for i in fields))

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "row seed batch d"]) -> Float[Tensor, "..."]:
        """Every member's images of its own codes: (row, seed, batch, \\*image_shape)."""
        grid = len(self.members), len(self.seeds)
        if tuple(z.shape[:2]) != grid:
            raise ValueError(
                f"z has shape {tuple(z.shape)}; this sweep's codes are {grid} + (batch, d)"
            )
        rows = zip(self.members, z, strict=True)
        return _stack([[m.decode(codes) for m, codes in zip(*row, strict=True)] for row in rows])


def sweep(
    build: Callable[..., Any],
    config: dict[str, Any],
    data: Images | Tensor,
    *,
    betas: Sequence[float] | None,
    seeds: Sequence[int],
    families: Sequence[str] | None = None,
    steps: int,
    device: str | torch.device | None = None,
    workers: int | None = None,
    folder: str | Path | None = None,
    **options: Any,
) -> Sweep:
    """Train ``build(**config, beta=beta, seed=seed)`` for every beta and seed, and every family.

    Each member is the model that ``fit(model, data, steps=steps, seed=seed, ...)`` alone would
    give: same weights to start with, same batches, same noise. Members of one seed and family
    share those, whatever their beta. All at once as one ensemble, which is fastest for small
    models, they agree up to rounding (within 1e-5 in float32 where training is not chaotic); with
    ``workers``, for larger models, for many machines and for days of work, each is a run of its
    own.

    Args:
        build: makes a model, for example ``VAE.mlp``. Models of ``vae_course.models`` made of
            linear layers run as batched products; the networks of any other are carried over its
            copies by ``torch.func.vmap``, and must keep to what that allows.
        config: the arguments of ``build`` that all share.
        data: as in ``fit``.
        betas: values of beta, each once; None for models without one (then one row of members).
        seeds: seeds, each once, of the weights and of the training.
        families: for ``SphericalVAE``: laws of the code, each once, given to ``build`` as
            ``family``. They start alike and share the first epoch's batches; as some need more
            noise than others, later ones are each family's own. None: what ``config`` names.
        steps: number of batches each member sees.
        device: where to train; None: where ``build`` puts the models.
        workers: None: one ensemble. A number, or -1 for one on each core: that many processes of
            one thread, and a file for each finished run; see ``train_each`` of
            ``vae_course.training.worker_runs``.
        folder: with ``workers``: where the files are. The same call again reads what is there
            and runs what is missing, whatever was killed before.
        options: the other arguments of ``fit``: lr, batch_size, schedule, precision, clip,
            checkpoint (of the whole ensemble), checkpoint_every, progress, target_rate. With a
            target each member's beta starts at the grid's and ends where that member's rate is
            the target: ``member.beta`` is its own, ``Sweep.betas`` are the starts.

    Raises:
        ValueError: no or repeated betas, seeds or families, or what ``fit`` refuses.
        NonFiniteLossError: a member's loss was not finite; the message names it. The others are
            untouched by it: leave it out and sweep again.
        vae_course.training.WorkerKilledError: with ``workers``: one was killed, for the fourth
            time.
    """
    if (workers is None) != (folder is None):
        raise ValueError(f"workers={workers}, folder={folder}: give both, or neither")
    plan = Plan(steps=steps, **options)
    seeds = _distinct(seeds, "seeds", int)
    betas = () if betas is None else _distinct(betas, "betas", float)
    families = () if families is None else _distinct(families, "families", str)
    laws = [{"family": family} for family in families] or [{}]
    prices = [{"beta": beta} for beta in betas] or [{}]
    rows: list[dict[str, Any]] = [law | price for law in laws for price in prices]
    members = [build(**config, **row, seed=seed) for row in rows for seed in seeds]
    names = [
        ", ".join(f"{k}={v}" for k, v in (*row.items(), ("seed", seed)))
        for row in rows
        for seed in seeds
    ]
    if workers is not None and folder is not None:
        histories = train_each(
            members,
            data,
            plan,
            seeds=seeds * len(rows),
            names=names,
            folder=folder,
            workers=workers,
            device=device,
        )
        curves = [
            np.stack([getattr(history, name) for history in histories], 1)
            for name in ("loss", "distortion", "rate")
        ]
    else:
        ensemble = Ensemble(members)
        # Members that differ in beta alone share a stream. Families can't: one draws more numbers
        # for its noise than another, and so comes to other batches after the first epoch.
        own_noise = [members[i] for i in range(len(members)) if i // len(seeds) % len(prices) == 0]
        history = train(
            ensemble,
            data,
            plan,
            seeds=seeds * len(laws),
            device=device,
            identity=[describe(member) for member in members],
            members=names,
            gather=lambda each: _for_every_beta(each, len(laws), len(prices)),
            noises=[member.draw_noise for member in own_noise],
        )
        ensemble.write_back(members)
        curves = [history.loss, history.distortion, history.rate]
    grid = (steps, len(rows), len(seeds))
    return Sweep(
        betas,
        seeds,
        [members[i : i + len(seeds)] for i in range(0, len(members), len(seeds))],
        History(np.arange(steps), *(curve.reshape(grid) for curve in curves)),
        families,
    )


def _for_every_beta(each: Sequence[Tensor], laws: int, prices: int) -> Tensor:
    """What the streams give, (law, seed) of (batch, ...), for all members, (members, batch, ...).

    Noise of fewer numbers than another family's is filled up with zeros.
    """
    width = max(part.shape[-1] for part in each)
    even = [
        nn.functional.pad(p, (0, width - p.shape[-1])) if p.shape[-1] < width else p for p in each
    ]
    stacked = torch.stack(even).unflatten(0, (laws, 1, -1))
    return stacked.expand(-1, prices, *stacked.shape[2:]).flatten(0, 2)


def _stack(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row) for row in rows])


def _distinct(values: Sequence[Any], name: str, kind: Callable[[Any], Any]) -> tuple[Any, ...]:
    result = tuple(kind(value) for value in values)
    if not result or len(set(result)) < len(result):
        raise ValueError(f"{name}={list(result)}: give at least one value, and each only once")
    return result


def _position(values: tuple[Any, ...], wanted: Any, name: str) -> int:
    if wanted is None and len(values) <= 1:
        return 0
    for i, value in enumerate(values):
        number = wanted is not None and not isinstance(wanted, str)
        if value == wanted or (number and math.isclose(value, wanted, rel_tol=1e-9)):
            return i
    raise ValueError(f"{name}={wanted} is not in this sweep; it has {name} in {list(values)}")
