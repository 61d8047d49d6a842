"""Many betas and seeds: one batched ensemble, or runs over workers; each equal to its run alone."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from vae_course.distortion import Distortion
from vae_course.models import VAE, VQVAE, Autoencoder, LossTerms, SphericalVAE, networks
from vae_course.training.loop import Images, describe, train
from vae_course.training.plan import Plan
from vae_course.training.state import History
from vae_course.training.worker_runs import train_each


@dataclass(frozen=True)
class Sweep:
    """Trained models on a grid of betas and seeds: ``members[i][j]`` has betas[i] and seeds[j]."""

    betas: tuple[float, ...]
    seeds: tuple[int, ...]
    members: list[list[Any]]
    history: History  # arrays (steps, beta, seed)

    def member(self, beta: float | None = None, seed: int | None = None) -> Any:
        """The one model of that beta and seed; either may be left out if the sweep has only one."""
        row = _position(self.betas, beta, "beta")
        return self.members[row][_position(self.seeds, seed, "seed")]

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "batch *image"]) -> Any:
        """Every member's code of the same images: what ``member.encode`` gives (a ``Posterior``
        for a VAE, ``Codes`` for a VQ-VAE), its tensors (beta, seed, batch, d). Without gradients.
        """
        codes = [[member.encode(x) for member in row] for row in self.members]
        first = codes[0][0]
        if isinstance(first, torch.distributions.Distribution):
            raise TypeError(
                f"these models' codes are {type(first).__name__} distributions, which don't stack: "
                "take sweep.member(beta, seed).encode(x), one by one"
            )
        if isinstance(first, Tensor):
            return _stack(codes)
        fields = range(len(first))
        return type(first)(*(_stack([[c[i] for c in row] for row in codes]) for i in fields))

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "beta seed batch d"]) -> Float[Tensor, "..."]:
        """Every member's images of its own codes: (beta, seed, batch, \\*image_shape)."""
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
    steps: int,
    device: str | torch.device | None = None,
    workers: int | None = None,
    folder: str | Path | None = None,
    **options: Any,
) -> Sweep:
    """Train ``build(**config, beta=beta, seed=seed)`` for every beta and seed.

    Each member is the model that ``fit(model, data, steps=steps, seed=seed, ...)`` alone would
    give: same weights to start with, same batches, same noise. Members of one seed share those,
    whatever their beta. All at once as one ensemble, which is fastest for small models, they agree
    up to rounding (within 1e-5 in float32 where training is not chaotic); with ``workers``, for
    larger models, for many machines and for days of work, each is a run of its own.

    Args:
        build: makes a model, for example ``VAE.mlp``. Models of ``vae_course.models`` made of
            linear layers run as batched products; any other is carried over its copies by
            ``torch.func.vmap``, and must keep to what that allows.
        config: the arguments of ``build`` that all share.
        data: as in ``fit``.
        betas: values of beta, each once; None for models without one (then one row of members).
        seeds: seeds, each once, of the weights and of the training.
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
        ValueError: no or repeated betas or seeds, or what ``fit`` refuses.
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
    rows = [{"beta": beta} for beta in betas] or [{}]
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
        history = train(
            ensemble,
            data,
            plan,
            seeds=seeds,
            device=device,
            identity=[describe(member) for member in members],
            members=names,
            # (seed, batch, ...), then the same again for every beta: (members, batch, ...)
            gather=lambda each: torch.stack(each).repeat(len(rows), *[1] * each[0].ndim),
        )
        ensemble.write_back(members)
        curves = [history.loss, history.distortion, history.rate]
    grid = (steps, len(rows), len(seeds))
    return Sweep(
        betas,
        seeds,
        [members[i : i + len(seeds)] for i in range(0, len(members), len(seeds))],
        History(np.arange(steps), *(curve.reshape(grid) for curve in curves)),
    )


class Ensemble(nn.Module):
    """Models of one architecture as one module: each weight is the members' weights, stacked.

    ``loss_terms`` takes and gives (members, batch, ...). Where every layer takes stacked weights
    the model's own code runs on them, a batched product a layer; otherwise vmap carries it over
    the members, at a higher price for small networks.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        super().__init__()
        if isinstance(members[0], SphericalVAE):
            raise ValueError(
                "a SphericalVAE's samples are sought by quadrature, which one ensemble of many "
                "can't do: give each run its own process, sweep(..., workers=2, folder=PATH)"
            )
        if isinstance(members[0], VQVAE):
            raise ValueError(
                "a VQVAE's codebook learns from each batch, which one ensemble of many can't do: "
                "give each run its own process, sweep(..., workers=2, folder=PATH)"
            )
        if getattr(members[0].distortion, "learns", False):
            raise ValueError(
                "this distortion learns from each batch, which one ensemble of many can't do: "
                "give each run its own process, sweep(..., workers=2, folder=PATH), and each model "
                "its own distortion"
            )
        self.size = len(members)
        self.draw_noise = members[0].draw_noise
        self.check_data = getattr(members[0], "check_data", lambda images: None)
        self.batched = _takes_stacked_weights(members[0])
        stack = copy.deepcopy(members[0])
        for name, tensors in _by_name(members):
            owner, _, attribute = name.rpartition(".")
            stacked = torch.stack([t.detach() for t in tensors])
            if isinstance(tensors[0], nn.Parameter):
                stacked = nn.Parameter(stacked, tensors[0].requires_grad)
            setattr(stack.get_submodule(owner), attribute, stacked)
        if self.batched:
            if isinstance(stack, VAE):
                stack.beta = stack.beta.unsqueeze(1)  # (members, 1), against (members, batch)
            stack.distortion = self._memberwise(stack.distortion)
        self.stack = _LossTerms(stack)

    @property
    def beta(self) -> Tensor:
        """The members' prices of a nat, for the control of the rate."""
        return self.stack.model.beta

    def loss_terms(self, x: Tensor, eps: Tensor | None) -> LossTerms:
        """Loss, distortion and rate, (members, batch) each."""
        if self.batched:
            return self.stack(x, eps)
        weights = dict(self.stack.named_parameters()) | dict(self.stack.named_buffers())
        in_dims = (0, 0, None if eps is None else 0)
        return LossTerms(*vmap(self._one, in_dims)(weights, x, eps))

    def _one(self, weights: dict[str, Tensor], x: Tensor, eps: Tensor | None) -> tuple[Tensor, ...]:
        return tuple(functional_call(self.stack, weights, (x, eps)))

    def _memberwise(self, distortion: Distortion) -> Distortion:
        """A distortion of (batch, ...) images, for (members, batch, ...)."""

        def stacked(x: Tensor, output: Tensor) -> Tensor:
            return distortion(x.flatten(0, 1), output.flatten(0, 1)).unflatten(0, x.shape[:2])

        return stacked

    @torch.no_grad()
    def write_back(self, members: Sequence[Any]) -> None:
        """Give each member its weights, on the ensemble's device, and leave it in eval mode."""
        stacked = dict(self.stack.model.named_parameters()) | dict(self.stack.model.named_buffers())
        device = next(iter(stacked.values())).device
        for member in members:
            member.to(device).eval()
        for name, tensors in _by_name(members):
            for tensor, value in zip(tensors, stacked[name], strict=True):
                tensor.copy_(value.view_as(tensor))


class _LossTerms(nn.Module):
    """A model whose call is its ``loss_terms``: functional_call knows no other method."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, eps: Tensor | None) -> LossTerms:
        return self.model.loss_terms(x, eps)


def _takes_stacked_weights(model: nn.Module) -> bool:
    # Exactly these classes: a subclass may sum over dimensions counted from the front.
    return (
        type(model) in (Autoencoder, VAE)
        and not isinstance(model.distortion, nn.Module)
        and all(isinstance(m, networks.Linear) for m in model.modules() if m._parameters)
    )


def _by_name(members: Sequence[nn.Module]) -> list[tuple[str, tuple[Tensor, ...]]]:
    """Each parameter's and buffer's name, with its tensor in every member."""
    tables = [dict(m.named_parameters()) | dict(m.named_buffers()) for m in members]
    return [(name, tuple(table[name] for table in tables)) for name in tables[0]]


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
        if wanted is not None and math.isclose(value, wanted, rel_tol=1e-9):
            return i
    raise ValueError(f"{name}={wanted} is not in this sweep; it has {name} in {list(values)}")
