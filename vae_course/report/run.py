"""One call, all measures: in stages, within a budget, and never more than was found."""

import hashlib
import math
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

import vae_course
from vae_course.arguments import check_tensor
from vae_course.distortion import Distortion, bernoulli, squared_error
from vae_course.isometry.metrics import Metric, metric_bce
from vae_course.report import conditions as thresholds
from vae_course.report.card import Report
from vae_course.report.conditions import Conditions
from vae_course.report.measures import MEASURES, ROWS, STAGES
from vae_course.report.plan import Sizes
from vae_course.report.stages import Work
from vae_course.report.study import Declared, Study
from vae_course.report.suspects import suspects


def report(
    encode: Callable[[Tensor], Any],
    decode: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    name: str = "",
    factor: float | None = None,
    shift: float | None = None,
    beta: float | None = None,
    distortion: Distortion = squared_error,
    metric: Metric | None = None,
    codes: int | None = None,
    value_range: tuple[float, float] | None = None,
    budget: float = 300.0,
    sizes: Sizes | None = None,
    seed: int = 0,
    conditions: Conditions | None = None,
    only: Collection[str] | None = None,
    stop: bool = True,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Report:
    r"""The geometry of a trained VAE on one page: what is wrong with it, and what it is like.

    Seven stages, each resting on the one before: *wiring* (is it a function of one image?),
    *range* (do images and model speak of the same numbers?), *moments* of the codes, *cycle*
    (what comes back), *samples*, *space* and *geometry* of the decoder. After a stage with a
    failure the rest is skipped: its numbers would mean nothing.

    Args:
        encode: images (batch, \*image) -> ``(mu, sigma)`` of any shape (batch, \*code), a
            ``torch.distributions`` object (Normal, Independent Normal, a law of
            ``vae_course.sphere``), codes without noise, or whole numbers, indices of a codebook.
            Codes that are images are (batch, C, H, W): channels first.
        decode: codes -> images of the same shape and range as ``images``.
        images: (N, \*image), floating-point in the range that the model expects, or uint8, which
            is read as 0..1; two or more, and not those it was trained on.
        name: of the model, for the page.
        factor, shift: what the pipeline does before a second stage, (z - shift) * factor. Checked,
            never assumed.
        beta: the price of a nat in ``distortion``'s unit, where it is known: for another
            convention see ``gaussian.convert_beta``.
        distortion: what the model was trained with; ``bernoulli`` for one whose ``decode`` gives
            pixels' means. Its metric measures lengths; every R² is of squared errors.
        metric: the quadratic form of any other distortion, as in ``isometry.pullback_metric``.
        codes: K, the size of a codebook.
        value_range: (low, high) of the images; by default (0, 1), or (-1, 1) where one is negative.
        budget: seconds, of the clock. Sizes are planned by it after one image was timed, and what
            was left out is said in ``meta``; ``math.inf`` for everything.
        sizes: the most of everything that is looked at; see ``plan.Sizes``.
        seed: of all noise.
        conditions: the thresholds; default ``conditions.DEFAULT``.
        only: names of stages, rows or numbers; default: all.
        stop: whether a failed stage is the last.
        device: where the model lives; default: that of ``images``. Images may stay on the CPU.
        progress: whether a bar names the measure in work.

    Ctrl-C ends the measuring and returns what there is, with ``meta["interrupted"]``.

    Returns:
        A ``Report``: ``print`` it, ``save_html``, ``save_json``, or look at ``.measures``.

    Raises TypeError or ValueError, naming the argument and the remedy, for images that are no
    tensor, fewer than two, not finite or empty, outside a ``value_range`` that was given, and for
    what ``encode`` and ``decode`` give where it is neither codes nor images. A row that can't be
    measured is skipped with its reason instead.

    Example:

    >>> import torch
    >>> from vae_course.report import report
    >>> x = torch.rand(64, 1, 8, 8)
    >>> card = report(
    ...     lambda x: (x.flatten(1) - 0.5, torch.full((len(x), 64), 0.1)),
    ...     lambda z: z.unflatten(1, (1, 8, 8)) + 0.5,
    ...     x, only=["fit"], progress=False,
    ... )
    >>> card.measures["fit"].verdict
    'pass'

    Source: chapter 15; each number's own formula stands in ``report.MEASURES``.
    """
    began = time.perf_counter()
    images, value_range = _checked(images, value_range)
    conditions = thresholds.DEFAULT if conditions is None else conditions
    if not budget > 0:
        raise ValueError(f"budget={budget}: seconds, more than 0; math.inf for everything")
    if metric is None and distortion is bernoulli:
        metric = metric_bce
    most = sizes or Sizes()
    most = replace(
        most, images=min(most.images, len(images)), decoded=min(most.decoded, len(images))
    )
    study = Study(
        encode,
        decode,
        images.cpu(),
        value_range=value_range,
        declared=Declared(factor, shift, beta, codes),
        metric=metric,
        sizes=most,
        seed=seed,
        device=images.device if device is None else device,
    )
    rows = _asked(only, study.kind)
    code = study.encoded(images[:2].cpu()).mu.shape[1:]
    skipped = {}
    if metric is None and distortion is not squared_error:
        why = "the metric of your distortion is not known: give metric="
        skipped = {row: why for row in ("ruler", "isometry")}
    work = Work(study, conditions, budget, began, left_out=skipped)
    work.measure(rows, channels=code[0], stop=stop, progress=progress)
    meta = {
        "name": name,
        "kind": study.kind,
        "image": list(images.shape[1:]),
        "code": list(code),
        "images": len(images),
        "value_range": list(value_range),
        "declared": {"factor": factor, "shift": shift, "beta": beta, "codes": codes},
        "sizes": vars(study.sizes),
        "seed": seed,
        "budget": budget if math.isfinite(budget) else None,
        "seconds": time.perf_counter() - began,
        "left_out": work.left_out,
        "stopped": work.stopped,
        "interrupted": work.interrupted,
        "data": _checksum(images),
        "versions": {"vae_course": vae_course.__version__, "torch": torch.__version__},
    }
    # The registry's order, whatever the order of the work.
    ordered = {key: work.measures[key] for key in MEASURES if key in work.measures}
    return Report(
        MappingProxyType(meta),
        MappingProxyType(ordered),
        suspects(ordered),
        MappingProxyType(study.tables),
    )


def _checked(
    images: Any, value_range: tuple[float, float] | None
) -> tuple[Tensor, tuple[float, float]]:
    """Images as floating-point numbers, and their range; raises for what is none."""
    images = check_tensor("images", images)
    if images.dtype == torch.uint8:
        images = images.float() / 255
    if not images.is_floating_point():
        raise TypeError(f"images holds {images.dtype}: give floating-point numbers, or uint8")
    if images.ndim < 2 or len(images) < 2 or 0 in images.shape:
        raise ValueError(
            f"images has shape {tuple(images.shape)}: give two images or more, (N, *image)"
        )
    if not images.isfinite().all():
        raise ValueError(
            f"images holds {int((~images.isfinite()).sum())} infinite or NaN values: leave such "
            "images out"
        )
    low, high = images.min().item(), images.max().item()
    if low == high:
        raise ValueError(f"images: all numbers are {low:.4g}; give real images")
    if value_range is None:
        return images, (0.0, 1.0) if low >= 0 else (-1.0, 1.0)
    least, most = value_range
    if not least < most:
        raise ValueError(f"value_range={value_range}: give (low, high), low < high")
    slack = 1e-3 * (most - least)
    if low < least - slack or high > most + slack:
        raise ValueError(
            f"images lie in [{low:.4g}, {high:.4g}], outside value_range={value_range}: rescale "
            "them, or give their range"
        )
    return images, (float(least), float(most))


def _asked(only: Collection[str] | None, kind: str) -> list[str]:
    """The rows to measure, by stages; ValueError for a name that is none."""
    defined = [row for row in ROWS.values() if kind in row.kinds]
    rows = [row.name for stage in STAGES for row in defined if row.stage == stage]
    if only is None:
        return rows
    names = {only} if isinstance(only, str) else set(only)
    if unknown := names - {*STAGES, *ROWS, *MEASURES}:
        raise ValueError(
            f"only={sorted(unknown)}: names of stages ({', '.join(STAGES)}), rows or numbers "
            "(report.MEASURES)"
        )
    chosen = {MEASURES[n].row if n in MEASURES else n for n in names}
    return [row for row in rows if row in chosen or ROWS[row].stage in chosen]


def _checksum(images: Tensor) -> str:
    """The sha256 of the images: what ``compare`` asks to be equal."""
    data = images.detach().cpu().float().contiguous()
    return hashlib.sha256(str(tuple(data.shape)).encode() + data.numpy().tobytes()).hexdigest()
