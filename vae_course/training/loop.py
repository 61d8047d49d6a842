"""The one training loop: the whole data set in memory, resumable, the same numbers every time."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vae_course import files
from vae_course.training.devices import ALONE, Alone, Rank, on_each
from vae_course.training.plan import Plan
from vae_course.training.state import History, NonFiniteLossError, RunState
from vae_course.training.workers import WorkerKilledError

CHECK_EVERY = 100  # steps between looks at the losses; each look waits for the device


@runtime_checkable
class Images(Protocol):
    """Anything with training images, such as a ``Dataset`` of ``vae_course.data``."""

    @property
    def train(self) -> Tensor:
        """(N, \\*image_shape), float32, uint8 (0..255, read as 0..1) or int16 (tokens)."""


def fit(
    model: nn.Module,
    data: Images | Tensor,
    *,
    steps: int,
    lr: float = 2e-3,
    batch_size: int = 128,
    seed: int = 0,
    device: str | torch.device | None = None,
    devices: int = 1,
    schedule: str = "one_cycle",
    precision: str = "float32",
    clip: float | None = None,
    target_rate: float | None = None,
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
            float, uint8 for 0..1 in steps of 1/255, or int16 for tokens, which the model gets as
            they are. It is moved to the device as a whole.
        steps: number of batches, 1 or more.
        lr: the highest learning rate.
        batch_size: at most N.
        seed: of the batches and the noise (the initial weights have their own).
        device: where to train; None: where the model is. The model stays there.
        devices: number of GPUs (or, on the CPU, of processes) of this machine that share each
            batch, by Lightning Fabric: install the extra ``scale``. It must divide ``batch_size``.
            Batches and noise are those of one device, and so are weights and history, up to
            rounding; a model whose training updates buffers (an EMA codebook, batch norm) does so
            on the first device's share. Worth it for large models only, since each step exchanges
            all gradients.
        schedule: ``"one_cycle"`` (of ``vae_course.training.plan``), ``"cosine"`` (lr to 0) or
            ``"constant"``.
        precision: ``"bf16"`` computes layers in bfloat16 (autocast); weights stay float32. Faster
            only on processors made for it (GPUs; CPUs with AVX512-BF16 or AMX), slower on others.
        clip: largest norm of the gradient; None: no limit.
        target_rate: nats that a code should cost, on average over the images, for a model with a
            ``beta``. Beta is then moved after each step, see ``RateControl`` of
            ``vae_course.training.rate_control``, and the model keeps its last value. The rate comes
            within 5 % in runs long enough to converge; how beta got there is
            (loss - distortion) / rate of the history. A start within a factor of ten of the right
            beta saves steps.
        checkpoint: a file, written every ``checkpoint_every`` steps, at the end, on Ctrl-C and on
            SIGTERM. If it exists, the run goes on from it, or returns at once if it was finished:
            weights and history are then the checkpoint's, as if the run had never stopped.
        checkpoint_every: steps between checkpoints.
        progress: show a bar with loss, distortion and rate.

    Raises:
        ValueError: an argument is out of range or doesn't fit the data.
        NonFiniteLossError: the loss, a weight or an Adam average became infinite or NaN, or the
            model raised a FloatingPointError, as a discriminator does. The model then has the last
            weights that were checked (every 100 steps and at checkpoints).
        CheckpointError: the checkpoint can't be read, or belongs to a run with other arguments.
        ImportError: ``devices`` > 1 without Lightning Fabric.
        vae_course.training.WorkerKilledError: ``devices`` > 1, and one of the processes was killed.
            The others are ended, and the model is as before; its checkpoint is kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the step in progress, and after the checkpoint.
    """
    plan = Plan(
        steps, lr, batch_size, schedule, precision, clip, checkpoint, checkpoint_every, progress,
        target_rate,
    )  # fmt: skip
    if devices == 1:
        return train(model, data, plan, seeds=[seed], device=device, identity=describe(model))
    return _fit_on_devices(model, data, plan, seed, device, devices)


def _fit_on_devices(
    model: nn.Module,
    data: Images | Tensor,
    plan: Plan,
    seed: int,
    device: str | torch.device | None,
    devices: int,
) -> History:
    place = torch.device(device or next(model.parameters()).device)
    _check_devices(devices, plan.batch_size, place, device)
    images = training_images(model, data, plan.batch_size).detach().cpu()
    if plan.checkpoint is not None:
        plan = replace(plan, checkpoint=Path(plan.checkpoint).resolve())
    model.cpu()
    try:
        weights, outcome = on_each(
            _train_share, model, images, plan, seed, devices=devices, kind=place.type
        )
        model.load_state_dict(weights)
    except WorkerKilledError as error:
        kept = plan.checkpoint is not None and Path(plan.checkpoint).exists()
        where = (
            f"'{plan.checkpoint}' holds the last checkpoint" if kept else "there is no checkpoint"
        )
        raise WorkerKilledError(
            f"{error}; {where}: call again with the same arguments to go on"
        ) from error.__cause__
    finally:
        model.to(place).eval()
    if isinstance(outcome, History):
        return outcome
    raise outcome


def _check_devices(
    devices: int, batch_size: int, place: torch.device, device: str | torch.device | None
) -> None:
    if int(devices) != devices or devices < 1:
        raise ValueError(f"devices={devices}: must be a whole number, 1 or more")
    if batch_size % devices:
        raise ValueError(
            f"batch_size={batch_size} can't be shared equally by devices={devices}: "
            f"choose {batch_size - batch_size % devices or devices}"
        )
    if place.type not in ("cpu", "cuda") or (device is not None and place.index is not None):
        raise ValueError(f"device='{place}' with devices={devices}: give 'cpu' or 'cuda'")
    if place.type == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(f"devices={devices}: this machine has {torch.cuda.device_count()} GPUs")


def _train_share(
    process: Rank, model: Any, images: Tensor, plan: Plan, seed: int
) -> tuple[dict[str, Tensor], History | BaseException] | None:
    """One process's part in training a model: it draws each batch whole, and takes its share."""
    identity = describe(model)
    outcome: History | BaseException
    try:
        outcome = train(
            model,
            images,
            replace(plan, progress=plan.progress and process.rank == 0),
            seeds=[seed],
            device=process.device,
            identity=identity,
            gather=process.part,
            process=process,
        )
    except (NonFiniteLossError, KeyboardInterrupt) as stop:  # all processes stop alike
        outcome = stop.with_traceback(None)
    if process.rank > 0:
        return None
    return {k: v.detach().cpu() for k, v in model.state_dict().items()}, outcome


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
    noises: Sequence[Callable[[int, torch.Generator], Tensor | None]] = (),
    process: Alone = ALONE,
) -> History:
    """``fit``'s loop, also for an ensemble, whose ``loss_terms`` are (members, batch).

    One stream of batches and noise for each seed; ``gather`` makes one tensor of what they give.
    ``noises`` draw each stream's noise; none given: the model's ``draw_noise``.
    ``members`` are the ensemble's names, ``identity`` is what the checkpoint knows the model by,
    ``process`` is which one this is of those that share the batches.
    """
    images = training_images(model, data, plan.batch_size)
    run = RunState(model, images, plan, seeds, device, members, process)
    run.resume(identity)
    draws = noises or [model.draw_noise] * len(seeds)
    loss_terms = process.objective(model)
    bf16 = torch.autocast(run.device.type, torch.bfloat16) if plan.precision == "bf16" else None
    bar = tqdm(total=plan.steps, initial=run.step, disable=not plan.progress, unit="step")
    with files.Interruption() as interruption, bar, _training_mode(model):
        while run.step < plan.steps and process.agree(interruption.signal) is None:
            for group in run.adam.param_groups:
                group["lr"] = plan.lr_at(run.step)
            x = gather([run.images.index_select(0, stream.batch()) for stream in run.streams])
            x = x.to(run.dtype) / 255 if x.dtype == torch.uint8 else x
            pairs = zip(draws, run.streams, strict=True)
            noise: list[Any] = [draw(plan.batch_size, stream.generator) for draw, stream in pairs]
            eps = None if noise[0] is None else gather(noise)
            try:
                with bf16 or nullcontext():
                    terms = loss_terms(x, eps)
            except FloatingPointError as error:
                run.fail(f"{error} (step {run.step})")
            # Members share no weight: the gradient of the sum over them is each one's own.
            (terms.loss.sum() / terms.loss.shape[-1]).backward()
            if plan.clip is not None:
                clip_gradients(run.parameters, plan.clip, members=len(members) or 1)
            run.adam.step()
            run.control_rate(terms.rate)
            for parameter in run.parameters:
                parameter.grad = None  # adam.zero_grad() does the same, but slowly
            run.note(terms)
            bar.update()
            if run.step % CHECK_EVERY == 0:
                run.check(bar)
            if run.step % plan.checkpoint_every == 0:
                run.write(bar)
        run.write(bar)
    stopped = process.agree(interruption.signal)
    if stopped is not None:
        raise KeyboardInterrupt(
            f"stopped by {signal.Signals(stopped).name} after step {run.step} of {plan.steps}; "
            f"{run.where()}: call again with the same arguments to go on"
        )
    return run.history()


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
        is_module = isinstance(model.distortion, nn.Module)  # tells its settings by extra_repr
        name = getattr(model.distortion, "__qualname__", "unnamed")
        return config | {"distortion": repr(model.distortion) if is_module else name}
    return config


def training_images(model: Any, data: Images | Tensor, batch_size: int) -> Tensor:
    """The images that a model trains on; ValueError says why they don't fit it."""
    images = data if isinstance(data, Tensor) else data.train
    if not (images.is_floating_point() or images.dtype in (torch.uint8, torch.int16)):
        raise ValueError(
            f"data has dtype {images.dtype}; give floats, uint8 for 0..1, or int16 for tokens"
        )
    if hasattr(model, "check_data"):
        model.check_data(images)
    if batch_size > len(images):
        raise ValueError(
            f"batch_size={batch_size} is larger than the data, {len(images)} images; "
            f"choose at most {len(images)}"
        )
    return images
