"""How many codes at once: graphs and Krylov bases must fit the memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vae_course.arguments import check_whole
from vae_course.isometry.decoder import Decoder, check_codes, decode, is_out_of_memory

HELD = 2**30  # bytes of graphs and vectors at once
GRAPHS = 3  # the decoder's graph, that of its transposed derivative, and what a product holds


def parts(
    decoder: Decoder, z: Tensor, chunk: int | None, vectors: int = 2
) -> tuple[tuple[Tensor, ...], int]:
    """The codes in parts of equal size, and the size: ``chunk``, or what the memory should hold.

    ``vectors`` of the size of a code and of an output are kept for each code.
    """
    if chunk is not None:
        chunk = check_whole("chunk", chunk, 1)
    elif len(z) == 1:
        chunk = 1
    else:
        with in_memory(1):
            chunk = max(1, HELD // _bytes_for_one(decoder, z[:1], vectors))
    return z.tensor_split(math.ceil(len(z) / chunk)), chunk


def _bytes_for_one(decoder: Decoder, z: Tensor, vectors: int) -> int:
    """About what one code takes, from what autograd keeps of one pass."""
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # itself it would hold its own graph

    code = z.detach().clone().requires_grad_()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
        x = decode(decoder, code)
    return GRAPHS * sum(kept.values()) + vectors * (z.nbytes + x.nbytes)


@contextmanager
def in_memory(codes: int) -> Iterator[None]:
    """What does not fit the memory says how many codes to take instead."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        remedy = (
            f"give chunk={codes // 2}"
            if codes > 1
            else "one code alone does not: take fewer steps, smaller codes, or another device"
        )
        raise MemoryError(f"{codes} codes at once do not fit the memory: {remedy}") from error


def check_single(z: object) -> None:
    """Raises unless z are codes in float32 or float64: half has no digits for a spectrum."""
    if (dtype := check_codes("z", z).dtype) not in (torch.float32, torch.float64):
        raise ValueError(f"z is {dtype}: give codes and decoder in float32, decoder.float()")
