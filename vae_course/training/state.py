"""The state of a training run: all that a checkpoint holds, and the looks at its losses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from vae_course import files
from vae_course.training.devices import Alone
from vae_course.training.plan import Plan
from vae_course.training.rate_control import RateControl


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


class RunState:
    """Weights, Adam's averages, streams, step and history of a run; on disk, its checkpoint.

    Of several processes that train one model each has its own, all equal; the first one writes.
    """

    def __init__(
        self,
        model: Any,
        images: Tensor,
        plan: Plan,
        seeds: Sequence[int],
        device: str | torch.device | None,
        members: Sequence[str],
        process: Alone,
    ) -> None:
        trained = [p for p in model.parameters() if p.requires_grad]
        if not trained:
            raise ValueError("model has no parameter that requires a gradient: nothing to train")
        self.model, self.plan, self.members, self.process = model, plan, members, process
        self.dtype = trained[0].dtype
        self.device = torch.device(device or trained[0].device)
        if plan.precision == "bf16" and self.dtype != torch.float32:
            raise ValueError(
                f"precision='bf16' needs float32 weights; this model's are {self.dtype}"
            )
        self.images = images.to(self.device, self.dtype if images.is_floating_point() else None)
        model.to(self.device)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        fused = self.device.type in ("cpu", "cuda")
        self.adam = torch.optim.Adam(self.parameters, lr=plan.lr, fused=fused)
        size = len(images), plan.batch_size
        self.streams = [Stream(seed, *size, self.device) for seed in seeds]
        self.path = None if plan.checkpoint is None else Path(plan.checkpoint)
        self.fingerprint: dict[str, Any] = {"seeds": list(seeds), "devices": process.size}
        target = plan.target_rate
        self.control = None if target is None else RateControl(model, target)
        self.step = 0
        self.written = -1  # the step that the checkpoint file holds
        self.unchecked: list[Tensor] = []  # (3, *members) each
        self.checked: list[Tensor] = []  # (steps, 3, *members) each, on the CPU
        self._keep_good()

    def note(self, terms: Sequence[Tensor]) -> None:
        """Count one step, and its mean loss, distortion and rate, still on the device."""
        self.unchecked.append(torch.stack([term.detach() for term in terms]).mean(-1))
        self.step += 1

    def control_rate(self, rate: Tensor) -> None:
        """With a target rate: move beta, from the rates of the batch of the step in progress."""
        if self.control is not None:
            mean = self.process.mean(rate.detach().mean(-1))
            self.control.move(mean, self.plan.schedule_at(self.step))

    def check(self, bar: tqdm) -> None:
        """Move the noted means to the CPU; restore and raise if anything is not finite."""
        if not self.unchecked:
            return
        block = self.process.mean(torch.stack(self.unchecked)).cpu()
        adam = [t for state in self.adam.state.values() for t in state.values()]
        tensors = [t for t in (*self.parameters, *adam) if t.is_floating_point()]
        sums = torch.stack([t.sum().to(self.device) for t in tensors])  # much faster than isfinite
        if not (block.isfinite().all() and sums.isfinite().all()):
            self._fail_at(block[:, 0])
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
        if self.process.rank == 0:
            state = {
                "fingerprint": self.fingerprint,
                "step": self.step,
                "model": self.model.state_dict(),
                "adam": self.adam.state_dict(),
                "streams": [stream.state_dict() for stream in self.streams],
                "means": torch.cat(self.checked),
            }
            if self.control is not None:
                state["mean_rate"] = self.control.mean
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
        if self.control is not None:
            self.fingerprint["target_rate"] = self.control.target
        files.prepare(self.path)
        if not self.path.exists():
            return
        state = files.load(self.path)
        files.check_fingerprint(self.path, state["fingerprint"], self.fingerprint)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        for stream, saved in zip(self.streams, state["streams"], strict=True):
            stream.load_state_dict(saved)
        if self.control is not None:
            self.control.mean = state["mean_rate"].to(self.device)
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
        """All steps so far."""
        loss, distortion, rate = torch.cat(self.checked).unbind(1)
        step = np.arange(self.step)
        return History(step, loss.numpy(), distortion.numpy(), rate.numpy())

    def _keep_good(self) -> None:
        self.good = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.good_step = self.step

    def fail(self, what: str, step: int | None = None) -> NoReturn:
        """Give the model its last good weights again and raise, with what helps."""
        lr = self.plan.lr_at(self.step if step is None else step)
        self.model.load_state_dict(self.good)
        raise NonFiniteLossError(
            f"{what}, lr {lr:.3g}. "
            f"Try lr={self.plan.lr / 3:.1g}, clip=1.0, precision='float32', and look at the data's "
            f"range. The model has its weights of step {self.good_step} again; {self.where()}"
            + (": delete it or name another to train with other arguments" if self.path else "")
        )

    def _fail_at(self, losses: Tensor) -> NoReturn:
        bad = (~losses.isfinite()).nonzero()
        at = bad[0].tolist() if len(bad) else [len(losses) - 1]  # [row], or [row, member]
        step = self.step - len(losses) + at[0]
        what = f"loss {losses[*at]:.4g}" if len(bad) else "a weight or Adam average is not finite"
        who = f" of {self.members[at[1]]}" if len(at) > 1 else ""
        self.fail(f"{what} at step {step}{who}", step)


def checksum(images: Tensor) -> str:
    """sha256 of the values, in hexadecimal."""
    return hashlib.sha256(images.cpu().contiguous().numpy().data).hexdigest()
