"""What a decoder must be, said once for all who call one."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.arguments import check_finite, check_real

Decoder = Callable[[Tensor], Tensor]


def check_codes(name: str, z: object) -> Tensor:
    """The codes themselves, (batch, *code), floating-point, finite, not empty; raises else."""
    codes = check_real(name, z)
    if codes.ndim < 2:
        raise ValueError(
            f"{name} has shape {tuple(codes.shape)}: codes are (batch, d) or (batch, *code); for "
            f"one code give {name}[None]"
        )
    check_finite(**{name: codes})
    return codes


def check_decoder(decoder: object) -> None:
    """Raises for what can't be called, and for a module, or a method of one, that mixes the rows
    of a batch or draws at random.

    Such layers would also be changed by a look at them: running means, random state.
    """
    if not callable(decoder):
        raise TypeError(
            f"decoder must be a callable or a module, got {type(decoder).__name__}: give the "
            "function that maps codes (batch, d) to (batch, *output)"
        )
    module = _module(decoder)
    for name, layer in module.named_modules() if module is not None else ():
        mixing = nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd
        if isinstance(layer, mixing) and layer.training:
            raise ValueError(
                f"decoder holds {type(layer).__name__} ({name!r}) in training mode, so that its "
                "output is not a function of one code; call decoder.eval() first"
            )


def decode(decoder: Decoder, z: Tensor) -> Tensor:
    """The decoder's output at codes (batch, *code): one tensor (batch, *output); raises else."""
    try:
        x: Any = decoder(z)
    except NotImplementedError as error:
        if "forward AD" not in str(error):
            raise
        what = str(error).split(" that does not")[0]
        raise ValueError(
            f"decoder uses an operation that has no forward mode in PyTorch {torch.__version__} "
            f"({what}): write it in other operations; as a last resort torch.func.jacrev takes its "
            "outputs one by one"
        ) from error
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(_why(decoder, z, error)) from error
    if not isinstance(x, Tensor):
        raise TypeError(f"decoder gave {type(x).__name__}, not a tensor: {_remedy(x)}")
    if not x.is_floating_point():
        raise TypeError(
            f"decoder gave {x.dtype}: it must put out real floating-point numbers; for complex "
            "ones wrap it, lambda z: torch.view_as_real(decoder(z))"
        )
    if x.ndim < 2 or len(x) != len(z) or 0 in x.shape:
        raise ValueError(
            f"decoder gave shape {tuple(x.shape)} for codes {tuple(z.shape)}; it must map "
            "(batch, d) to (batch, *output)"
        )
    return x


MIXES = (
    "decoder mixes rows, or draws at random: what it gives for one code depends on the others in "
    "the batch, as with batch statistics; call eval(), or decode one code at a time"
)


def decode_each(decoder: Decoder, z: Tensor) -> Tensor:
    """``decode``, and ValueError where a code alone, the first or the last, gives another image."""
    x = decode(decoder, z)
    for row in {0, len(z) - 1} if len(z) > 1 else ():
        apart = (decode(decoder, z[row, None])[0] - x[row]).abs().amax()
        if apart > 1e-3 * x[row].abs().amax():  # kernels differ with the batch by 1e-6
            raise ValueError(MIXES)
    return x


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the memory was too small: a GPU's error has a class, the processor's only words."""
    return isinstance(error, torch.OutOfMemoryError) or "t allocate memory" in str(error)


def _module(decoder: object) -> nn.Module | None:
    owner = getattr(decoder, "__self__", decoder)
    return owner if isinstance(owner, nn.Module) else None


def _why(decoder: Decoder, z: Tensor, error: RuntimeError) -> str:
    """What is wrong with codes at which a decoder fails, as far as it can be told."""
    if "inference tensor" in str(error):
        return "decoder runs in inference mode, which has no derivatives: use torch.no_grad()"
    module = _module(decoder)
    weights = [p for p in module.parameters() if p.is_floating_point()] if module else []
    if weights and (weights[0].dtype, weights[0].device) != (z.dtype, z.device):
        like = weights[0]
        return (
            f"z is {z.dtype} on {z.device} and the decoder's weights {like.dtype} on "
            f"{like.device}: give z.to({like.dtype}).to({str(like.device)!r}), or convert the "
            "decoder"
        )
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"decoder fails at codes z {tuple(z.shape)}, {z.dtype} on {z.device}: {said}"


def _remedy(x: object) -> str:
    """How to get a tensor out of what a decoder gave."""
    if x is None:
        return "it must return its output"
    if isinstance(x, torch.distributions.Distribution):
        return "wrap it, lambda z: decoder(z).mean"
    if isinstance(x, tuple | list):
        at = next((i for i, value in enumerate(x) if isinstance(value, Tensor)), 0)
        return f"wrap it, lambda z: decoder(z)[{at}]"
    fields = x if isinstance(x, Mapping) else getattr(x, "__dict__", {})
    key = next((key for key, value in fields.items() if isinstance(value, Tensor)), None)
    if isinstance(x, Mapping) and not (isinstance(key, str) and hasattr(x, key)):
        return f"wrap it, lambda z: decoder(z)[{'name' if key is None else key!r}]"
    return f"wrap it, lambda z: decoder(z).{key or 'sample'}"
