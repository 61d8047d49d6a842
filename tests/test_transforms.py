"""PyTorch's transforms over every public function on tensors: they work, or are refused by name.

What can't be transformed says so in its docstring, in words that stand in ``REFUSED``, and is
tried all the same: a refusal that is no longer one is a failing test.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

from tests.surface import ENTRIES, Entry

pytestmark = [
    pytest.mark.usefixtures("unchecked"),  # annotations are no part of what is traced
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # PyTorch's, at the first jvp
]


def parts(result: Any) -> Iterator[Tensor]:
    """What a result holds of floating-point tensors and of numbers."""
    if isinstance(result, Tensor):
        if result.is_floating_point():
            yield result
    elif isinstance(result, float):
        yield torch.tensor(result, dtype=torch.float64, device="cpu")
    elif isinstance(result, tuple | list):
        for part in result:
            yield from parts(part)


def double(entry: Entry) -> dict[str, Tensor]:
    """The arguments in float64; directions are so to its last digit."""

    def exact(value: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(value.double(), dim=-1, keepdim=True) if value.ndim else 0
        unit = value.ndim > 1 and bool(((norm - 1).abs() < 1e-6).all())
        return value.double() / norm if unit else value.double()

    return {name: exact(value) for name, value in entry.tensors.items()}


def total(entry: Entry, names: tuple[str, ...]) -> Callable[..., Tensor]:
    """A number that depends on each entry of the result in its own way."""

    def call(*values: Tensor) -> Tensor:
        found = list(parts(entry(**dict(zip(names, values, strict=True)))))
        weights = (torch.linspace(0.5, 1.5, max(f.numel(), 1), dtype=f.dtype) for f in found)
        return sum(
            ((f.flatten() * w[: f.numel()]).sum() for f, w in zip(found, weights, strict=True)),
            torch.zeros((), dtype=torch.float64),
        )

    return call


def by_autograd(entry: Entry) -> tuple[tuple[str, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
    names = tuple(entry.tensors)
    values = tuple(value.requires_grad_() for value in double(entry).values())
    slopes = torch.autograd.grad(total(entry, names)(*values), values, materialize_grads=True)
    return names, tuple(value.detach() for value in values), slopes


def plain(entry: Entry) -> None:
    """Nothing is changed by a default device where the arguments are not."""
    wanted = list(parts(entry()))
    with torch.device("meta"):
        found = list(parts(entry()))
    for a, b in zip(found, wanted, strict=True):
        assert_close(a, b, rtol=0, atol=0)


def fake(entry: Entry) -> None:
    """Shapes alone go through, and leave nothing behind."""
    wanted = list(parts(entry()))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        shapes = [
            f.shape
            for f in parts(entry(**{n: mode.from_tensor(t) for n, t in entry.tensors.items()}))
        ]
    assert shapes == [f.shape for f in wanted]
    for a, b in zip(parts(entry()), wanted, strict=True):
        assert_close(a, b, rtol=0, atol=0)


def vmap(entry: Entry) -> None:
    names = tuple(entry.tensors)
    pairs = {
        # A Gram matrix stays symmetric.
        n: torch.stack([t, t.flip((0, 1) if t.ndim == 2 and len(t) == t.shape[1] else 0)])
        if t.ndim
        else torch.stack([t, t])
        for n, t in double(entry).items()
    }
    found = torch.func.vmap(lambda *v: tuple(parts(entry(**dict(zip(names, v, strict=True))))))(
        *pairs.values()
    )
    alone = [list(parts(entry(**{n: p[i] for n, p in pairs.items()}))) for i in range(2)]
    for a, b in zip(found, map(torch.stack, zip(*alone, strict=True)), strict=True):
        assert_close(a, b, rtol=1e-9, atol=1e-11)


def derivative(transform: Callable[..., Any]) -> Callable[[Entry], None]:
    def check(entry: Entry) -> None:
        names, values, wanted = by_autograd(entry)
        every = tuple(range(len(values)))
        found = transform(total(entry, names), argnums=every)(*values)
        for a, b in zip(found, wanted, strict=True):
            assert_close(a, b, rtol=1e-8, atol=1e-9)

    return check


def hessian(entry: Entry) -> None:
    """Of the first argument, against the derivative of autograd's gradient along a direction."""
    names, values, _ = by_autograd(entry)
    first, rest = values[0], values[1:]
    call = total(entry, names)
    direction = torch.linspace(-1, 1, first.numel(), dtype=first.dtype).view_as(first)
    found = torch.func.jvp(torch.func.jacrev(lambda v: call(v, *rest)), (first,), (direction,))[1]
    wanted = torch.autograd.functional.hvp(
        lambda v: call(v, *rest), first, direction, strict=False
    )[1]
    assert_close(found, wanted, rtol=1e-7, atol=1e-8)


def compiled(entry: Entry) -> None:
    torch.compiler.reset()
    call = torch.compile(
        lambda **given: tuple(parts(entry(**given))), backend="aot_eager", fullgraph=True
    )
    found = call(**double(entry))
    for a, b in zip(found, parts(entry(**double(entry))), strict=True):
        assert_close(a, b, rtol=1e-10, atol=1e-12)


def exported(entry: Entry) -> None:
    class Wrapped(nn.Module):
        def forward(self, **given: Tensor) -> tuple[Tensor, ...]:
            return tuple(parts(entry(**given)))

    wanted = list(parts(entry()))
    program = torch.export.export(Wrapped(), (), dict(entry.tensors), strict=False)
    for a, b in zip(program.module()(**entry.tensors), wanted, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(parts(entry()), wanted, strict=True):  # and nothing is left behind
        assert_close(a, b, rtol=0, atol=0)


def autocast(entry: Entry) -> None:
    wanted = list(parts(entry()))
    with torch.autocast("cpu", torch.bfloat16):
        found = list(parts(entry()))
    for a, b in zip(found, wanted, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-6)


TRANSFORMS: dict[str, Callable[[Entry], None]] = {
    "default_device": plain,
    "autocast": autocast,
    "fake": fake,
    "vmap": vmap,
    "grad": derivative(torch.func.grad),
    "jacrev": derivative(torch.func.jacrev),
    "jacfwd": derivative(torch.func.jacfwd),
    "hessian": hessian,
    "export": exported,
}
ALWAYS = "default_device", "autocast"
# What measures, searches or draws, and gives numbers: its docstring says in these words that only
# ALWAYS is meant for it.
ALOOF = "not for ``torch.func``, ``torch.compile`` or ``torch.export``"
MEASURES = {
    "distortion": "blahut_arimoto lipschitz_squared mean_metric metric_spectrum null_scale "
    "untrained_features",
    "evaluation": "auroc auroc_gain energy_distance max_t partial_rank_correlation "
    "precision_recall",
    "gaussian": "coverage information nearest_overlap token_gap",
    "isometry": "active_units bend curvature diagonal effective_price geodesic importance "
    "isometric_coordinates isometricity jacobian largest log_density precision_spectrum "
    "price_isometricity pullback_metric spectrum tangent_log_det trace",
    "nulls": "held_out_gap linear_code precision_recall",
    "spd": "gram_report hilbert_coordinates hilbert_dimension numerical_rank pairwise_distances",
    "sphere": "check_loc coverage matched",
}
# Name -> transforms -> words of the docstring that refuse them.
REFUSED: dict[str, dict[str, str]] = {"spd.bures_distance": {"hessian": "Differentiable once"}}
# Networks compute in what precision they are told to.
TESTED = [
    entry
    for entry in ENTRIES
    if entry.name.split(".")[0] in MEASURES and not entry.name.endswith(".forward")
]


def measures(entry: Entry) -> bool:
    package, name = entry.name.split(".")[:2]
    return name in MEASURES[package].split()


CASES = [
    pytest.param(entry, transform, id=f"{entry.name}-{number}-{transform}")
    for number, entry in enumerate(TESTED)
    for transform in (ALWAYS if measures(entry) else TRANSFORMS)
]


@pytest.mark.parametrize("entry, transform", CASES)
def test_a_transform_works_or_is_refused_by_name(entry: Entry, transform: str):
    refused = REFUSED.get(entry.name, {})
    if transform not in refused:
        TRANSFORMS[transform](entry)
        return
    assert refused[transform] in " ".join(entry.public.__doc__.split())
    with pytest.raises(Exception):  # noqa: B017
        TRANSFORMS[transform](entry)


def compiles(package: str) -> Iterator[tuple[str, str]]:
    """The entries of a package that do not compile, each with what went wrong."""
    for entry in TESTED:
        if entry.name.startswith(f"{package}.") and not measures(entry):
            try:
                compiled(entry)
            except Exception as error:
                yield entry.name, f"{type(error).__name__}: {error}"


LONG = pytest.mark.slow(reason="eigendecompositions with their derivatives: 35 s of tracing")


@pytest.mark.parametrize(
    "package", [pytest.param(name, marks=[LONG] if name == "spd" else []) for name in MEASURES]
)
def test_all_but_what_is_refused_compiles_to_one_graph(package: str):
    """In a process of its own: PyTorch's compiler can't read the annotations' checks around us."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.test_transforms", package],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    failed = json.loads(done.stdout)
    refused = {name for name, words in REFUSED.items() if "compile" in words}
    assert failed.keys() == {name for name in refused if name.startswith(f"{package}.")}, failed


@pytest.mark.parametrize("entry", list(filter(measures, TESTED)), ids=lambda entry: entry.name)
def test_what_measures_says_that_it_is_not_for_transforms(entry: Entry):
    assert ALOOF in " ".join(entry.public.__doc__.split())


if __name__ == "__main__":
    print(json.dumps(dict(compiles(sys.argv[1]))))
