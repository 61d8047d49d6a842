"""Plain callables: a pair, an object with two methods, or what a function of yours returns."""

import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from torch import nn

from vae_course.report.adapters import Adapted, adapted, evaluated, place


def adapt(model: Any) -> Adapted:
    """A pair (encode, decode), or an object that has both."""
    if isinstance(model, Sequence) and len(model) == 2 and all(map(callable, model)):
        return Adapted(*model)
    encode, decode = (getattr(model, name, None) for name in ("encode", "decode"))
    if not (callable(encode) and callable(decode)):
        raise TypeError(
            f"adapted knows no {type(model).__name__}: it has no encode and decode. Give the pair "
            "(encode, decode), where encode gives (mu, sigma), or call report(encode, decode, "
            "images)"
        )
    declared: dict[str, Any] = {"name": type(model).__name__}
    if isinstance(model, nn.Module):
        encode, decode = evaluated(model, encode), evaluated(model, decode)
        declared["device"] = place(model)[0]
    return Adapted(encode, decode, declared=declared)


def opened(name: str) -> Adapted:
    """What ``module:function`` returns, or is: a pair, a model, or an ``Adapted``."""
    module_name, _, attribute = name.partition(":")
    parts = module_name.split(".")
    if not all(map(str.isidentifier, parts)) or parts[-1] == "py":
        raise ValueError(f"{name!r}: give package.module:function, without slashes and endings")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _raised(name, error) from error  # the module's own import
        raise ImportError(
            f"{name!r}: there is no module {error.name!r}: run in the folder where it lies, or "
            "add that to PYTHONPATH"
        ) from error
    except Exception as error:
        raise _raised(name, error) from error
    made = getattr(module, attribute, None)
    if made is None:
        raise ValueError(f"{name!r}: {module_name} has no {attribute!r}")
    is_model = isinstance(made, nn.Module) or (hasattr(made, "encode") and hasattr(made, "decode"))
    if isinstance(made, type) or (callable(made) and not is_model):
        try:
            made = made()
        except Exception as error:
            raise _raised(name, error) from error
    try:
        return adapted(made)
    except TypeError as error:
        raise ValueError(
            f"{name!r} gave {type(made).__name__}: it must give (encode, decode), a model, or "
            "adapted(model)"
        ) from error


def _raised(name: str, error: Exception) -> ValueError:
    """An error of the user's own code in one sentence, with the place."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = "" if last.filename == __file__ else f" ({last.filename}, line {last.lineno})"
    return ValueError(f"{name!r} raised {type(error).__name__}: {error}{place}")
