"""What a tensor that is given to a function must be, said in one way for all of them.

Type, dtype, shape and device are always checked. *Values* (finite, positive, in a range) are
looked at in eager mode only: where ``torch.compile`` or ``torch.export`` traces, where tensors are
fake, and inside ``torch.func`` transforms there is nothing to look at, and the check is skipped.
"""

from collections.abc import Callable
from numbers import Integral, Real

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


def visible(*values: Tensor) -> bool:
    """Whether the numbers in these tensors can be looked at: see the module's first lines."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or any(isinstance(value, FakeTensor) or value.is_meta for value in values)
    )


def check_tensor(name: str, value: object) -> Tensor:
    """The tensor itself; TypeError for what is none, with the way to make one of it."""
    if isinstance(value, Tensor):
        return value
    how = f"give torch.as_tensor({name}, dtype=torch.float32)"
    raise TypeError(f"{name} must be a tensor, got {type(value).__name__}: {how}")


def check_real(name: str, value: object, shape: str | None = None) -> Tensor:
    """The tensor itself, if it holds real floating-point numbers and is ``(…)`` as ``shape`` says.

    ``shape`` is a line of words, as in ``"batch d"`` or ``"... d"``: each a size of at least 1 of
    any length, ``...`` for any number of axes (also none) in front. TypeError or ValueError else.
    """
    value = check_tensor(name, value)
    if not value.is_floating_point():
        raise TypeError(
            f"{name} must hold floating-point numbers, got {value.dtype}: give {name}.float()"
        )
    if shape is not None:
        axes = shape.split()
        free = axes[:1] == ["..."]
        least = len(axes) - free
        if value.ndim < least or (value.ndim > least and not free):
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}: it must be ({', '.join(axes)})"
            )
    if 0 in value.shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: it is empty")
    return value


def check_alike(**values: Tensor) -> None:
    """ValueError unless all share a dtype and a device with the first."""
    (first, like), *others = values.items()
    for name, value in others:
        if value.dtype != like.dtype:
            raise ValueError(
                f"{name} is {value.dtype} and {first} {like.dtype}: give {name}.to({first})"
            )
        if value.device != like.device:
            raise ValueError(
                f"{name} is on {value.device} and {first} on {like.device}: give {name}.to({first})"
            )


def check_broadcast(**values: Tensor) -> torch.Size:
    """The common shape of all; ValueError with every shape where there is none."""
    try:
        return torch.broadcast_shapes(*(value.shape for value in values.values()))
    except RuntimeError:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in values.items())
        raise ValueError(f"shapes that do not go together: {shapes}") from None


def check_values(
    name: str, value: Tensor, allowed: Callable[[Tensor], Tensor], must: str, remedy: str = ""
) -> None:
    """ValueError with the first number that ``allowed`` refuses; skipped unless ``visible``."""
    if visible(value) and not (fine := allowed(value)).all():
        worst = value[~fine].flatten()[0].item()
        raise ValueError(f"{name} must be {must}, got {worst:.6g}" + (remedy and f": {remedy}"))


def check_finite(**values: Tensor) -> None:
    """ValueError for a NaN or an infinity; skipped unless ``visible``."""
    for name, value in values.items():
        check_values(name, value, torch.isfinite, "finite")


def check_number(name: str, value: object, low: float | None = None) -> float:
    """A real number as a float, above ``low`` if one is given; TypeError or ValueError else."""
    if isinstance(value, Tensor) and value.ndim == 0 and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    number = float(value)
    if not (-torch.inf < number < torch.inf and (low is None or number > low)):
        above = "" if low is None else f" and greater than {low:g}"
        raise ValueError(f"{name} must be finite{above}, got {number:.6g}")
    return number


def check_whole(name: str, value: object, least: int = 1) -> int:
    """A whole number of at least ``least``, as an int; TypeError or ValueError else."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)
