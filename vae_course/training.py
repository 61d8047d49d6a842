"""The one training loop: the whole data set in memory, resumable, the same numbers every time."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm import tqdm

from vae_course import checkpoint as files

CHECK_EVERY = 100  # steps between looks at the losses; each look waits for the device


@runtime_checkable
class Images(Protocol):
    """Anything with training images, such as a ``Dataset`` of ``vae_course.data``."""

    @property
    def train(self) -> Tensor:
        """(N, \\*image_shape), float32, or uint8 (then 0..255 is read as 0..1)."""


class NonFiniteLossError(RuntimeError):
    """Training met a loss, weight or Adam average that is infinite or NaN."""


@dataclass(frozen=True)
class History:
    """What the loop saw: batch means before each step, as NumPy arrays.

    ``step`` is (steps,); ``loss``, ``distortion`` and ``rate`` (nats) are (steps,), or
    (steps, beta, seed) for a sweep.
    """

    step: Int[np.ndarray, "steps"]
    loss: Float[np.ndarray, "steps *members"]
    distortion: Float[np.ndarray, "steps *members"]
    rate: Float[np.ndarray, "steps *members"]


def one_cycle(t: int, steps: int) -> float:
    """The part of lr at step t: from 1/25 to 1 in 30 % of the steps, then to 4e-6, by cosines."""
    peak = max(0.3 * steps - 1, 0)
    if t < peak:
        return _cosine(1 / 25, 1, t / peak)
    return _cosine(1, 1 / 250_000, (t - peak) / max(steps - 1 - peak, 1))


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "one_cycle": one_cycle,
    "cosine": lambda t, steps: _cosine(1, 0, t / steps),
    "constant": lambda t, steps: 1.0,
}


@dataclass(frozen=True)
class Plan:
    """How to train: the arguments that ``fit`` and ``sweep`` share, checked."""

    steps: int
    lr: float = 2e-3
    batch_size: int = 128
    schedule: str = "one_cycle"
    precision: str = "float32"
    clip: float | None = None
    checkpoint: str | Path | None = None
    checkpoint_every: int = 500
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every"):
            value = getattr(self, name)
            if int(value) != value or value < 1:
                raise ValueError(f"{name}={value}: must be a whole number, 1 or more")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr={self.lr}: must be finite and positive; 1e-3 to 4e-3 is usual")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip={self.clip}: must be positive, or None for no clipping")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r}: choose one of {sorted(SCHEDULES)}")
        if self.precision not in ("float32", "bf16"):
            raise ValueError(f"precision={self.precision!r}: choose 'float32' or 'bf16'")


class Stream:
    """All randomness of one run, from one generator in a fixed order: a permutation of the data
    at the start of each epoch, the noise of each batch after it.

    A last part of an epoch that fills no batch is left out; the next epoch shuffles anew.
    """

    def __init__(self, seed: int, n: int, batch_size: int, device: torch.device) -> None:
        self.generator = torch.Generator(device).manual_seed(seed)
        self.n, self.batch_size, self.position = n, batch_size, n
        self.order = torch.empty(0, dtype=torch.int64, device=device)

    def batch(self) -> Int[Tensor, "batch"]:
        """Indices of the next batch."""
        if self.position + self.batch_size > self.n:
            device = self.generator.device
            self.order = torch.randperm(self.n, generator=self.generator, device=device)
            self.position = 0
        self.position += self.batch_size
        return self.order[self.position - self.batch_size : self.position]

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is: enough to go on with the very same numbers."""
        state = self.generator.get_state()
        return {"generator": state, "order": self.order, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where a ``state_dict`` was taken."""
        self.generator.set_state(state["generator"])
        self.order = state["order"].to(self.generator.device)
        self.position = state["position"]


def fit(
    model: nn.Module,
    data: Images | Tensor,
    *,
    steps: int,
    lr: float = 2e-3,
    batch_size: int = 128,
    seed: int = 0,
    device: str | torch.device | None = None,
    schedule: str = "one_cycle",
    precision: str = "float32",
    clip: float | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 500,
    progress: bool = True,
) -> History:
    """Train a model in place by Adam on the mean of its ``loss_terms`` over random batches.

    The same seed gives the same weights, bit for bit on a CPU with the same number of threads;
    global random state is neither read nor changed. The model is left in eval mode.

    Args:
        model: has ``loss_terms(x, eps)``, giving per-example loss, distortion and rate, and
            ``draw_noise(n, generator)``.
        data: a data set, of which ``train`` is used, or the images themselves (N, \\*image_shape);
            float, or uint8 for 0..1 in steps of 1/255. It is moved to the device as a whole.
        steps: number of batches, 1 or more.
        lr: the highest learning rate.
        batch_size: at most N.
        seed: of the batches and the noise (the initial weights have their own).
        device: where to train; None: where the model is. The model stays there.
        schedule: ``"one_cycle"`` (see ``one_cycle``), ``"cosine"`` (lr to 0) or ``"constant"``.
        precision: ``"bf16"`` computes layers in bfloat16 (autocast); weights stay float32. Faster
            only on processors made for it (GPUs; CPUs with AVX512-BF16 or AMX), slower on others.
        clip: largest norm of the gradient; None: no limit.
        checkpoint: a file, written every ``checkpoint_every`` steps, at the end, on Ctrl-C and on
            SIGTERM. If it exists, the run goes on from it, or returns at once if it was finished:
            weights and history are then the checkpoint's, as if the run had never stopped.
        checkpoint_every: steps between checkpoints.
        progress: show a bar with loss, distortion and rate.

    Raises:
        ValueError: an argument is out of range or doesn't fit the data.
        NonFiniteLossError: the loss, a weight or an Adam average became infinite or NaN. The model
            then has the last weights that were checked (every 100 steps and at checkpoints).
        CheckpointError: the checkpoint can't be read, or belongs to a run with other arguments.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the step in progress, and after the checkpoint.
    """
    plan = Plan(
        steps, lr, batch_size, schedule, precision, clip, checkpoint, checkpoint_every, progress
    )
    return train(model, data, plan, seeds=[seed], device=device, identity=describe(model))


def train(
    model: Any,
    data: Images | Tensor,
    plan: Plan,
    *,
    seeds: Sequence[int],
    device: str | torch.device | None,
    identity: Any,
    members: Sequence[str] = (),
    gather: Callable[[list[Tensor]], Tensor] = lambda per_seed: per_seed[0],
) -> History:
    """``fit``'s loop, also for an ensemble, whose ``loss_terms`` are (members, batch).

    One stream of batches and noise for each seed; ``gather`` makes one tensor of what they give.
    ``members`` are the ensemble's names, ``identity`` is what the checkpoint knows the model by.
    """
    run = _Run(model, data, plan, seeds, device, members)
    run.resume(identity)
    schedule = SCHEDULES[plan.schedule]
    bf16 = torch.autocast(run.device.type, torch.bfloat16) if plan.precision == "bf16" else None
    bar = tqdm(total=plan.steps, initial=run.step, disable=not plan.progress, unit="step")
    with files.Interruption() as interruption, bar, _training_mode(model):
        while run.step < plan.steps and interruption.signal is None:
            for group in run.adam.param_groups:
                group["lr"] = plan.lr * schedule(run.step, plan.steps)
            x = gather([run.images.index_select(0, stream.batch()) for stream in run.streams])
            x = x.to(run.dtype) / 255 if x.dtype == torch.uint8 else x
            noise = [model.draw_noise(plan.batch_size, s.generator) for s in run.streams]
            eps = None if noise[0] is None else gather(noise)
            with bf16 or nullcontext():
                terms = model.loss_terms(x, eps)
            # Members share no weight: the gradient of the sum over them is each one's own.
            (terms.loss.sum() / plan.batch_size).backward()
            if plan.clip is not None:
                clip_gradients(run.parameters, plan.clip, members=len(members) or 1)
            run.adam.step()
            for parameter in run.parameters:
                parameter.grad = None  # adam.zero_grad() does the same, but slowly
            run.note(terms)
            bar.update()
            if run.step % CHECK_EVERY == 0:
                run.check(bar)
            if run.step % plan.checkpoint_every == 0:
                run.write(bar)
        run.write(bar)
    if interruption.signal is not None:
        raise KeyboardInterrupt(
            f"stopped by {interruption.signal.name} after step {run.step} of {plan.steps}; "
            f"{run.where()}: call again with the same arguments to go on"
        )
    return run.history()


class _Run:
    """The state of a run: all that a checkpoint holds."""

    def __init__(
        self,
        model: Any,
        data: Images | Tensor,
        plan: Plan,
        seeds: Sequence[int],
        device: str | torch.device | None,
        members: Sequence[str],
    ) -> None:
        trained = [p for p in model.parameters() if p.requires_grad]
        if not trained:
            raise ValueError("model has no parameter that requires a gradient: nothing to train")
        self.model, self.plan, self.members = model, plan, members
        self.dtype = trained[0].dtype
        self.device = torch.device(device or trained[0].device)
        if plan.precision == "bf16" and self.dtype != torch.float32:
            raise ValueError(
                f"precision='bf16' needs float32 weights; this model's are {self.dtype}"
            )
        images = training_images(model, data, plan.batch_size)
        self.images = images.to(self.device, None if images.dtype == torch.uint8 else self.dtype)
        model.to(self.device)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        fused = self.device.type in ("cpu", "cuda")
        self.adam = torch.optim.Adam(self.parameters, lr=plan.lr, fused=fused)
        size = len(images), plan.batch_size
        self.streams = [Stream(seed, *size, self.device) for seed in seeds]
        self.path = None if plan.checkpoint is None else Path(plan.checkpoint)
        self.fingerprint: dict[str, Any] = {"seeds": list(seeds)}
        self.step = 0
        self.written = -1  # the step that the checkpoint file holds
        self.unchecked: list[Tensor] = []  # (3, *members) each
        self.checked: list[Tensor] = []  # (steps, 3, *members) each, on the CPU
        self._keep_good()

    def note(self, terms: Sequence[Tensor]) -> None:
        """Count one step, and its mean loss, distortion and rate, still on the device."""
        self.unchecked.append(torch.stack([term.detach() for term in terms]).mean(-1))
        self.step += 1

    def check(self, bar: tqdm) -> None:
        """Move the noted means to the CPU; restore and raise if anything is not finite."""
        if not self.unchecked:
            return
        block = torch.stack(self.unchecked).cpu()
        adam = [t for state in self.adam.state.values() for t in state.values()]
        tensors = [t for t in (*self.parameters, *adam) if t.is_floating_point()]
        sums = torch.stack([t.sum().to(self.device) for t in tensors])  # much faster than isfinite
        if not (block.isfinite().all() and sums.isfinite().all()):
            self._fail(block[:, 0])
        self.unchecked.clear()
        self.checked.append(block)
        self._keep_good()
        loss, distortion, rate = block.transpose(0, 1).flatten(1).mean(1).tolist()
        bar.set_postfix(
            loss=f"{loss:.4g}", distortion=f"{distortion:.4g}", rate=f"{rate:.4g}", refresh=False
        )

    def write(self, bar: tqdm) -> None:
        """Check, then write the checkpoint, if there is one and it is behind."""
        self.check(bar)
        if self.path is None or self.written == self.step:
            return
        state = {
            "fingerprint": self.fingerprint,
            "step": self.step,
            "model": self.model.state_dict(),
            "adam": self.adam.state_dict(),
            "streams": [stream.state_dict() for stream in self.streams],
            "means": torch.cat(self.checked),
        }
        files.save(self.path, state)
        self.written = self.step

    def resume(self, identity: Any) -> None:
        """Go on from the checkpoint file if there is one; refuse one of another run."""
        if self.path is None:
            return
        self.fingerprint |= {
            "format": 1,
            "model": identity,
            "data": checksum(self.images),
            "device": self.device.type,
            "dtype": str(self.dtype),
            **{k: getattr(self.plan, k) for k in ("steps", "lr", "batch_size", "schedule")},
            **{k: getattr(self.plan, k) for k in ("precision", "clip")},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return
        state = files.load(self.path)
        files.check_fingerprint(self.path, state["fingerprint"], self.fingerprint)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        for stream, saved in zip(self.streams, state["streams"], strict=True):
            stream.load_state_dict(saved)
        self.checked = [state["means"]]
        self.step = self.written = state["step"]
        self._keep_good()

    def where(self) -> str:
        """What is on disk, in words."""
        if self.path is None:
            return "no checkpoint was asked for (checkpoint=PATH)"
        if self.written < 0:
            return f"the checkpoint '{self.path}' was not yet written"
        return f"the checkpoint '{self.path}' holds step {self.written}"

    def history(self) -> History:
        loss, distortion, rate = torch.cat(self.checked).unbind(1)
        step = np.arange(self.step)
        return History(step, loss.numpy(), distortion.numpy(), rate.numpy())

    def _keep_good(self) -> None:
        self.good = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.good_step = self.step

    def _fail(self, losses: Tensor) -> None:
        bad = (~losses.isfinite()).nonzero()
        at = bad[0].tolist() if len(bad) else [len(losses) - 1]  # [row], or [row, member]
        step = self.step - len(losses) + at[0]
        lr = self.plan.lr * SCHEDULES[self.plan.schedule](step, self.plan.steps)
        what = f"loss {losses[*at]:.4g}" if len(bad) else "a weight or Adam average is not finite"
        who = f" of {self.members[at[1]]}" if len(at) > 1 else ""
        self.model.load_state_dict(self.good)
        raise NonFiniteLossError(
            f"{what} at step {step}{who}, lr {lr:.3g}. Try lr={self.plan.lr / 3:.1g}, clip=1.0, "
            "precision='float32', and look at the data's range. The model has its weights of "
            f"step {self.good_step} again; {self.where()}"
            + (": delete it or name another to train with other arguments" if self.path else "")
        )


@contextmanager
def _training_mode(model: nn.Module) -> Iterator[None]:
    model.train()
    try:
        yield
    finally:
        model.eval()


def clip_gradients(parameters: Sequence[Tensor], largest: float, members: int = 1) -> None:
    """Scale each member's gradient, over all parameters, to a norm of at most ``largest``."""
    grads = [p.grad.view(members, -1) for p in parameters if p.grad is not None]
    norm = torch.stack([grad.square().sum(1) for grad in grads]).sum(0).sqrt()  # (members,)
    scale = (largest / (norm + 1e-6)).clamp(max=1)
    for grad in grads:
        grad.mul_(scale.unsqueeze(1))


def describe(model: nn.Module) -> dict[str, Any]:
    """What tells one model from another: its config, or for your own networks class and shapes."""
    config = getattr(model, "config", None)
    if config is None:
        shapes = {name: list(p.shape) for name, p in model.named_parameters()}
        return {"class": type(model).__qualname__, "shapes": shapes}
    if config["distortion"] is None:
        return config | {"distortion": getattr(model.distortion, "__qualname__", "unnamed")}
    return config


def checksum(images: Tensor) -> str:
    """sha256 of the values, in hexadecimal."""
    return hashlib.sha256(images.cpu().contiguous().numpy().data).hexdigest()


def training_images(model: Any, data: Images | Tensor, batch_size: int) -> Tensor:
    """The images that a model trains on; ValueError says why they don't fit it."""
    images = data if isinstance(data, Tensor) else data.train
    if not (images.is_floating_point() or images.dtype == torch.uint8):
        raise ValueError(f"data has dtype {images.dtype}; give floats, or uint8 for 0..1")
    if hasattr(model, "check_data"):
        model.check_data(images)
    if batch_size > len(images):
        raise ValueError(
            f"batch_size={batch_size} is larger than the data, {len(images)} images; "
            f"choose at most {len(images)}"
        )
    return images
