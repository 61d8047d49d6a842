"""Decoder Jacobians and pull-back metrics, to 784 outputs, against what is usually written.

``python -m benchmarks.jacobian``; see README.md. The rivals: the usual loop, one ``autograd.grad``
an output, each for the whole batch at once; the two lines ``vmap(jacfwd(...))`` and ``J.mT @ J``;
and latent-geometry's metric. ``python -m benchmarks.jacobian metric`` measures the last two alone.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import product
from statistics import geometric_mean, median

import torch
from torch import Tensor, nn

from benchmarks.rounds import Bar, Contender, Measure, cpu_seconds, interleave, write
from vae_course.isometry import jacobian, pullback_metric
from vae_course.models import networks

D, IMAGE, HIDDEN, WIDTH = 20, (1, 28, 28), 400, 32


def by_outputs(decoder: nn.Module, z: Tensor) -> Tensor:
    """The loop: (batch, 784, 20)."""
    z = z.clone().requires_grad_()
    x = decoder(z).flatten(1)
    rows = [torch.autograd.grad(x[:, i].sum(), z, retain_graph=True)[0] for i in range(x.shape[1])]
    return torch.stack(rows, 1)


def products(shapes: Sequence[tuple[int, int, int]], repeats: int) -> Contender:
    """The bound: the matrix products (rows, in, out) that push all tangents through the layers."""
    work = [
        (torch.randn(rows, n_in), torch.randn(n_in, n_out), torch.empty(rows, n_out))
        for rows, n_in, n_out in shapes
    ]

    def multiply() -> None:
        for _ in range(repeats):
            for a, w, out in work:
                torch.matmul(a, w, out=out)

    return lambda number: (cpu_seconds(multiply) / repeats, {})


def compare(kind: str, batch: int, at_least: float, rounds: int, repeats: int) -> Measure:
    torch.manual_seed(0)
    tangents = batch * D
    if kind == "MLP":
        decoder = networks.mlp_decoder(D, IMAGE, (HIDDEN,))
        # A tangent of the first layer is a column of its weights: no product.
        shapes = [(tangents, HIDDEN, 784)]
    else:
        decoder = networks.conv_decoder(D, IMAGE, WIDTH)
        shapes = [(tangents * 7 * 7, 2 * WIDTH, WIDTH * 16), (tangents * 14 * 14, WIDTH, 16)]
        # One image's worth at a time, as a convolution would do it: the whole would not fit.
        part = 16 * D
        shapes = [(rows * part // tangents, n_in, n_out) for rows, n_in, n_out in shapes]
    codes = torch.randn(batch, D)
    found: dict[str, Tensor] = {}

    def timed(name: str, function: Callable[[], Tensor], repeats: int = 1) -> Contender:
        def run(number: int) -> tuple[float, dict[str, float]]:
            def work() -> None:
                for _ in range(repeats):
                    found[name] = function()

            return cpu_seconds(work) / repeats, {}

        return run

    def bound(number: int) -> tuple[float, dict[str, float]]:
        seconds, extra = products(shapes, repeats)(number)
        return seconds * (1 if kind == "MLP" else tangents / part), extra

    loop, ours, metric = "loop over outputs", "jacobian", "pullback_metric"
    contenders = {
        loop: timed(loop, lambda: by_outputs(decoder, codes)),
        ours: timed(ours, lambda: jacobian(decoder, codes), repeats),
        metric: timed(metric, lambda: pullback_metric(decoder, codes), repeats),
        "GEMM alone": bound,
    }
    network = f"20-{HIDDEN}-784 MLP" if kind == "MLP" else f"conv, {2 * WIDTH} and {WIDTH} channels"
    bars = [Bar(ours, loop, at_least), Bar(metric, loop, at_least)]
    measure = Measure(f"{network}, batch {batch}", bars)
    for name in (ours, metric):
        contenders[name](0)  # the first call loads forward mode
    interleave(measure, contenders, rounds)
    apart = (found[ours].flatten(1, -2) - found[loop]).abs().max() / found[loop].abs().max()
    measure.notes.append(f"largest difference, relative to the largest entry: {apart:.1e}")
    measure.note_shares(ours, ["GEMM alone"])
    return measure


def two_lines(decoder: nn.Module, z: Tensor) -> Tensor:
    """What PyTorch's manual suggests; without a graph of the weights, which would cost it more."""
    with torch.no_grad():
        j = torch.func.vmap(torch.func.jacfwd(lambda code: decoder(code[None])[0].flatten()))(z)
        return j.mT @ j


def latent_geometry(decoder: nn.Module, d: int) -> Callable[[Tensor], Tensor]:
    """Its pull-back of the Euclidean metric; NumPy in, NumPy out."""
    from latent_geometry.mapping import TorchModelMapping
    from latent_geometry.metric import EuclideanPullbackMetric

    found = EuclideanPullbackMetric(TorchModelMapping(decoder, (d,), IMAGE))
    return lambda z: torch.from_numpy(found.metric_matrix(z.numpy()))


def compare_metric(kind: str, d: int, batch: int, rounds: int) -> Measure:
    torch.manual_seed(0)
    if kind == "MLP":
        decoder = networks.mlp_decoder(d, IMAGE, (HIDDEN,))
    else:
        decoder = networks.conv_decoder(d, IMAGE, WIDTH)
    codes = torch.randn(batch, d)
    calls = {
        "two lines": lambda: two_lines(decoder, codes),
        "pullback_metric": lambda: pullback_metric(decoder, codes),
    }
    bars = [Bar("pullback_metric", "two lines", 0.97)]
    if find_spec("latent_geometry"):
        theirs = latent_geometry(decoder, d)
        calls["latent-geometry"] = lambda: theirs(codes)
        # Its bar is on the mean over all cases.
    measure = Measure(f"{kind}, {d} latents, batch {batch}", bars)
    expected = calls["two lines"]()
    for name, call in calls.items():  # also the first call, which loads what is loaded once
        apart = (call() - expected).abs().max() / expected.abs().max()
        measure.notes.append(f"{name}: largest difference, of the largest entry, {apart:.1e}")
    # About a tenth of a second a turn: a small case would be lost in the clock.
    once = min(cpu_seconds(calls["two lines"]) for _ in range(3))
    repeats = max(1, round(0.1 / once))

    def timed(call: Callable[[], Tensor]) -> Contender:
        def work() -> None:
            for _ in range(repeats):
                call()

        return lambda number: (cpu_seconds(work) / repeats, {})

    return interleave(measure, {name: timed(call) for name, call in calls.items()}, rounds)


def metrics(rounds: int = 15) -> list[Measure]:
    """All cases, and in the notes of the last one the means over them."""
    cases = product(("MLP", "conv"), (2, 8, 20, 64), (16, 64, 512))
    measures = [compare_metric(*case, rounds) for case in cases]
    for peer, bar in (("two lines", 1.0), ("latent-geometry", 1.15)):
        if peer in measures[0].seconds[0]:
            ratios = [median(measure.ratios(peer, "pullback_metric")) for measure in measures]
            mean = geometric_mean(ratios)
            measures[-1].notes.append(
                f"all {len(ratios)} cases, {peer} / pullback_metric: geometric mean {mean:.2f} "
                f"[{min(ratios):.2f}, {max(ratios):.2f}]; bar ≥ {bar}: "
                + ("met" if mean >= bar else "MISSED")
            )
    return measures


if __name__ == "__main__":
    peers = ["latent-geometry"] if find_spec("latent_geometry") else []
    if sys.argv[1:] == ["metric"]:
        write("jacobian-metric", metrics(), *peers)
    else:
        write(
            "jacobian",
            [
                compare("MLP", 64, 20, rounds=7, repeats=10),
                compare("MLP", 512, 20, rounds=7, repeats=3),
                compare("conv", 64, 10, rounds=5, repeats=2),
                compare("conv", 512, 10, rounds=3, repeats=1),
            ],
        )
