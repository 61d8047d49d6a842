"""What may cross the sandbox's wall: JSON in frames of limited size.

Data cross by value, both ways. A student's callable stays inside and its handle comes out; a
test's callable goes in as its code with the values that it closes over, for a student's code may
differentiate it. Code never comes out, and nothing is ever unpickled.
"""

import base64
import builtins
import importlib
import json
import marshal
import math
import types
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

DEPTH = 32
MOST = 1 << 22  # numbers in a tensor
ROWS = 1 << 16  # in a tensor of no numbers: ``tolist`` makes a list of each all the same
OBJECTS = 1 << 20  # in one answer
BITS = 4096  # of an integer: Python's arithmetic with longer ones has no end in time
DTYPES = {
    str(d).removeprefix("torch."): d
    for d in (
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
        torch.complex128,
    )
}
KINDS = "biufc"  # of numpy's arrays: booleans and numbers


class WireError(Exception):
    """A message that breaks the rules of the wire."""


class Opaque:
    """A student's object that stays inside: only what it says of itself came out."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def text_of(value: Any, limit: int = 200) -> str:
    """A short description that never raises."""
    try:
        said = repr(value)
    except BaseException:
        said = f"<{type(value).__name__}>"
    return said if len(said) <= limit else said[: limit - 3] + "..."


def fits(shape: Sequence[int]) -> bool:
    rows = math.prod(max(size, 1) for size in shape)
    return rows <= (MOST if 0 not in shape else ROWS)


class Count:
    """Objects of one message; more than ``OBJECTS``, or deeper than ``DEPTH``, is a WireError."""

    def __init__(self) -> None:
        self.objects = 0

    def __call__(self, depth: int) -> None:
        self.objects += 1
        if depth > DEPTH:
            raise WireError(f"nested deeper than {DEPTH}")
        if self.objects > OBJECTS:
            raise WireError(f"more than {OBJECTS:,} objects")


def bounded(x: Any) -> int:
    """An integer of no endless length."""
    if type(x) is not int:
        raise WireError("no integer where there must be one")
    if x.bit_length() > BITS:
        raise WireError(f"an integer of more than {BITS:,} bits")
    return x


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def names_in(code: types.CodeType) -> set[str]:
    """All global names that a code object, or one inside it, may look up."""
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*(names_in(c) for c in inner))


def text(x: Any) -> str:
    if not isinstance(x, str):
        raise WireError("no text where there must be one")
    return x


class Encoder:
    """Python objects to JSON; ``handle`` says what becomes of an object that has no data form."""

    def __init__(self, handle: Callable[[Any], Any], code: bool = False) -> None:
        self.handle = handle
        self.code = code
        self.count = Count()
        self.tensors: list[Tensor] = []  # those that take part in a gradient, in order

    def __call__(self, x: Any, depth: int = 0) -> Any:
        self.count(depth)
        if type(x) is int:
            return bounded(x)
        if x is None or type(x) in (bool, float, str):
            return x
        if isinstance(x, np.generic | np.ndarray) and x.dtype.kind in KINDS and fits(x.shape):
            tag = {"t": "scalar" if isinstance(x, np.generic) else "array", "dtype": x.dtype.str}
            data = np.ascontiguousarray(x).tobytes()
            return tag | {"shape": list(x.shape), "data": base64_of(data)}
        if isinstance(x, Tensor):
            return self.tensor(x)
        if type(x) is list:
            return [self(value, depth + 1) for value in x]
        for kind in (tuple, list, set, frozenset):
            if isinstance(x, kind):
                values = sorted(x, key=repr) if kind in (set, frozenset) else x
                return {"t": kind.__name__, "v": [self(value, depth + 1) for value in values]}
        if isinstance(x, dict):
            pairs = [[self(k, depth + 1), self(v, depth + 1)] for k, v in x.items()]
            return {"t": "dict", "v": pairs}
        for scalar in (bool, int, float, str):
            if isinstance(x, scalar):
                return self(scalar(x), depth)
        if isinstance(x, Fraction):
            return {"t": "fraction", "v": [bounded(int(n)) for n in (x.numerator, x.denominator)]}
        if isinstance(x, complex):
            return {"t": "complex", "v": [x.real, x.imag]}
        if isinstance(x, bytes):
            return {"t": "bytes", "v": base64_of(x)}
        if isinstance(x, torch.dtype) and str(x).removeprefix("torch.") in DTYPES:
            return {"t": "dtype", "v": str(x).removeprefix("torch.")}
        if x is ...:
            return {"t": "ellipsis"}
        if self.code and isinstance(x, types.ModuleType):
            return {"t": "module", "v": x.__name__}
        if self.code and isinstance(x, types.FunctionType):
            return self.function(x, depth)
        return self.handle(x)

    def tensor(self, x: Tensor) -> Any:
        dtype = str(x.dtype).removeprefix("torch.")
        try:
            dense = x.detach().cpu().resolve_conj().resolve_neg().contiguous()
            raw = dense.view(torch.int16) if dtype == "bfloat16" else dense
            data = raw.numpy().tobytes()
        except (RuntimeError, TypeError, ValueError):
            return self.handle(x)  # sparse, quantised, meta, inside a transform
        if dtype not in DTYPES or not fits(x.shape):
            return self.handle(x)
        made: dict[str, Any] = {"t": "tensor", "dtype": dtype, "shape": list(x.shape)}
        made["data"] = base64_of(data)
        if x.requires_grad:
            made["grad"] = len(self.tensors)
            self.tensors.append(x)
        return made

    def function(self, f: types.FunctionType, depth: int) -> Any:
        looked_up = names_in(f.__code__) & f.__globals__.keys()
        cells = [cell.cell_contents for cell in f.__closure__ or ()]
        return {
            "t": "function",
            "code": base64_of(marshal.dumps(f.__code__)),
            "name": f.__name__,
            "closure": [self(value, depth + 1) for value in cells],
            "defaults": [self(value, depth + 1) for value in f.__defaults__ or ()],
            "keywords": {k: self(v, depth + 1) for k, v in (f.__kwdefaults__ or {}).items()},
            "globals": {k: self(f.__globals__[k], depth + 1) for k in sorted(looked_up)},
        }


class Decoder:
    """JSON to Python objects; ``special`` makes what the other side has kept or sent as code."""

    def __init__(self, special: Callable[[dict[str, Any]], Any]) -> None:
        self.special = special
        self.tensors: list[Tensor] = []  # those marked as part of a gradient
        self.instead: list[Tensor] | None = None  # what stands for them at a second reading
        self.count = Count()

    def __call__(self, x: Any, depth: int = 0) -> Any:
        self.count(depth)
        if isinstance(x, list):
            return [self(value, depth + 1) for value in x]
        if type(x) is int:
            return bounded(x)
        if not isinstance(x, dict):
            return x
        tag = x.get("t")
        if tag in ("tuple", "list", "set", "frozenset"):
            return getattr(builtins, tag)(self(value, depth + 1) for value in x["v"])
        if tag == "dict":
            return {self(key, depth + 1): self(value, depth + 1) for key, value in x["v"]}
        if tag == "tensor":
            return self.tensor(x)
        if tag in ("array", "scalar"):
            if np.dtype(text(x["dtype"])).kind not in KINDS:
                raise WireError("an array of no numbers")
            array = self.array(np.dtype(x["dtype"]), x)
            return array if tag == "array" else array.reshape(())[()]
        if tag == "fraction":
            above, below = x["v"]
            return Fraction(bounded(above), bounded(below))
        if tag == "complex":
            real, imaginary = x["v"]
            return complex(float(real), float(imaginary))
        if tag == "bytes":
            return base64.b64decode(text(x["v"]))
        if tag == "dtype":
            return DTYPES[x["v"]]
        if tag == "ellipsis":
            return ...
        if tag == "opaque":
            return Opaque(text(x["text"])[:200])
        return self.special(x)

    def array(self, dtype: np.dtype, x: dict[str, Any]) -> np.ndarray:
        data = base64.b64decode(text(x["data"]))
        shape = [bounded(size) for size in x["shape"]]
        if len(shape) > DEPTH:
            raise WireError(f"more than {DEPTH} dimensions")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
            raise WireError("a tensor's data do not fit its shape")
        if not fits(shape):
            raise WireError("a tensor of too many rows")
        return np.frombuffer(data, dtype=dtype).reshape(shape).copy()

    def tensor(self, x: dict[str, Any]) -> Tensor:
        dtype = DTYPES[x["dtype"]]
        raw = "int16" if x["dtype"] == "bfloat16" else x["dtype"]
        made = torch.from_numpy(self.array(np.dtype(raw), x)).view(dtype)
        if "grad" in x:
            if self.instead is not None:
                return self.instead[bounded(x["grad"])]
            self.tensors.append(made)
            if dtype.is_floating_point or dtype.is_complex:
                made.requires_grad_()
        return made

    def function(self, x: dict[str, Any]) -> types.FunctionType:
        """A test's function, inside the sandbox only."""
        names = {"__builtins__": builtins} | {k: self(v) for k, v in x["globals"].items()}
        made = types.FunctionType(
            marshal.loads(base64.b64decode(x["code"])),
            names,
            x["name"],
            tuple(self(x["defaults"])),
            tuple(types.CellType(self(value)) for value in x["closure"]),
        )
        made.__kwdefaults__ = {k: self(v) for k, v in x["keywords"].items()}
        return made


def module(name: str) -> types.ModuleType:
    return importlib.import_module(name)


def pack(message: Any, limit: int) -> bytes:
    """A frame, its length in four bytes and then JSON; WireError above the limit."""
    body = json.dumps(message).encode()
    if len(body) > limit:
        raise WireError(f"more than {limit:,} bytes")
    return len(body).to_bytes(4, "big") + body


def unpack(read: Callable[[int], bytes], limit: int) -> Any:
    """The next message; WireError above the limit or where it is no JSON."""
    size = int.from_bytes(read(4), "big")
    if size > limit:
        raise WireError(f"a message of {size:,} bytes")
    try:
        return json.loads(read(size))
    except (ValueError, RecursionError) as error:
        raise WireError("a message that is no JSON") from error
