"""Models of this and other libraries, as the report wants them: one file each, loaded when used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vae_course.distortion import squared_error

if TYPE_CHECKING:
    from vae_course.report.card import Report

LIBRARIES = {"vae_course": "course", "diffusers": "diffusers", "pythae": "pythae"}
"""The package that a model's class comes from → the module here that knows it."""


@dataclass(frozen=True)
class Adapted:
    """A model as the report wants it: two callables, and what is known of it."""

    encode: Callable[[Tensor], Any]
    decode: Callable[[Tensor], Tensor]
    kind: str = ""
    """Of its codes, where that is known (``posterior.Kind``)."""
    declared: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of ``report``, such as name, factor, beta, codes and value_range."""
    shape: tuple[int | None, ...] = ()
    """Of one image; None where any size will do, () where nothing is known."""

    def report(self, images: Tensor, **more: Any) -> "Report":
        """The report on these images; ``more`` goes before what the model declares."""
        from vae_course.report.run import report

        return report(self.encode, self.decode, images, **{**self.declared, **more})

    def seeing(self, value_range: tuple[float, float]) -> "Adapted":
        """The same model for images of another range: the price of a nat is in their unit.

        ValueError where a distortion other than squared error has been declared: it has no unit
        that another range only rescales.
        """
        (low, high), (least, most) = self.declared.get("value_range", (0.0, 1.0)), value_range
        if (low, high) == (least, most):
            return self
        declared = {**self.declared, "value_range": value_range}
        if declared.get("distortion", squared_error) is not squared_error:
            raise ValueError(
                f"{declared.get('name', 'a model')} was trained on images in [{low:g}, {high:g}] "
                "with a distortion that can't be told for others: give images in that range"
            )
        times = (most - least) / (high - low)
        if declared.get("beta") is not None:
            declared["beta"] *= times**2
        return replace(
            self,
            encode=lambda x: self.encode((x - least) / times + low),
            decode=lambda z: (self.decode(z) - low) * times + least,
            declared=declared,
        )


def adapted(model: Any, **how: Any) -> Adapted:
    """A model of this course, of diffusers or of pythae, or an object with encode and decode.

    The model stays as it is: it is put into eval mode for each call, and back. What its library
    declares is taken over; nothing is downloaded.

    Args:
        model: of ``vae_course.models``; ``AutoencoderKL``, ``VQModel`` or another autoencoder of
            diffusers; an autoencoder of pythae whose encoder's codes are those that it decodes;
            a pair (encode, decode); an object with both as methods, which give what ``report``
            wants; or the path of a saved model, as ``python -m vae_course.report`` takes it.
        how: keywords of ``report`` that go before what the model declares, such as ``beta``.

    TypeError for anything else, with the remedy; ValueError for a model of pythae whose codes are
    no balls, points or indices.

    >>> import torch
    >>> from vae_course.models import VAE
    >>> from vae_course.report import adapted
    >>> vae = adapted(VAE.mlp((1, 8, 8), d=2, hidden=(16,), beta=0.1), value_range=(0, 1))
    >>> vae.declared["name"], round(vae.declared["beta"], 3), vae.shape
    ('VAE', 0.1, (1, 8, 8))
    """
    if isinstance(model, str | Path):
        found = opened(model)
    elif isinstance(model, Adapted):
        found = model
    else:
        homes = (c.__module__.split(".")[0] for c in type(model).__mro__)
        home = next((LIBRARIES[h] for h in homes if h in LIBRARIES), "callables")
        found = import_module(f"vae_course.report.adapters.{home}").adapt(model)
    return replace(found, declared={**found.declared, **how})


def opened(
    path: str | Path, *, trust: bool = False, device: torch.device | str | None = None
) -> Adapted:
    """A saved model: a file of ``model.save``, a folder of diffusers or pythae, module:function.

    Nothing is downloaded, and no pickle is read unless ``trust`` says so. ``device``: where the
    model is put; a function has put it somewhere already. ValueError, OSError or ImportError name
    what is wrong and the remedy.
    """
    from vae_course.report.adapters import saved

    return saved.opened(str(path), trust, device)


def evaluated(model: nn.Module, call: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """The call with the model in eval mode, as it was afterwards."""

    def inner(x: Tensor) -> Any:
        training = [module for module in model.modules() if module.training]
        for module in training:
            module.training = False
        try:
            return call(x)
        finally:
            for module in training:
                module.training = True

    return inner


def place(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a model's numbers are, and of what type: those of its first floating-point one."""
    numbers = (p for p in (*model.parameters(), *model.buffers()) if p.is_floating_point())
    first = next(numbers, torch.zeros((), device="cpu"))
    return first.device, first.dtype
