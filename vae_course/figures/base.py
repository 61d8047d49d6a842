"""What every interactive figure shares in Python: its class and its decoder.

A figure is an anywidget: one ES module that draws, with all its data in traits. It needs no
kernel: ``Figure.save`` records the widget's state, and ``book/static/widgets-static.js`` mounts it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import anywidget
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_course.figures.saved import dump, state
from vae_course.lab import ledger

_HERE = Path(__file__).parent

# Colours come from the page where it has a theme (the book, JupyterLab), else from data-scheme.
STYLE = """
/* What the page says of lists, captions or buttons ends at the figure's border. */
.vae-figure, .vae-figure *, .vae-figure *::before, .vae-figure *::after { all: revert; }
.vae-figure [hidden] { display: none !important; }
.vae-figure {
  --vf-paper: var(--pst-color-background, var(--jp-layout-color0, #ffffff));
  --vf-ink: var(--pst-color-text-base, var(--jp-ui-font-color0, #1d242c));
  --vf-muted: #5a6573; --vf-line: #b4bcc6; --vf-accent: #0072b2; --vf-warn: #b3400a;
  display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; margin: 1rem 0; padding: 1rem;
  border: 1px solid var(--vf-line); border-radius: 8px; box-sizing: border-box; max-width: 54rem;
  background: var(--vf-paper); color: var(--vf-ink);
  font: 15px/1.4 system-ui, sans-serif; text-align: left; white-space: normal;
  letter-spacing: normal; word-spacing: normal; text-transform: none; text-indent: 0; }
.vae-figure[data-scheme=dark] {
  --vf-paper: var(--pst-color-background, var(--jp-layout-color0, #14181e));
  --vf-ink: var(--pst-color-text-base, var(--jp-ui-font-color0, #dfe5ec));
  --vf-muted: #a3adba; --vf-line: #4d5866; --vf-accent: #6ab7ee; --vf-warn: #f0935a; }
.vae-figure *, .vae-figure *::before { box-sizing: border-box; }
.vae-figure :is(p, dl, dt, dd, figure, label) { margin: 0 !important; }
.vae-figure figcaption { text-align: left !important; }
/* :where() counts for nothing: a figure's own rule beats this one, and its later copies. */
.vae-figure .vf-wide { flex: 1 1 100%; min-width: 0; }
.vae-figure :where(.vf-plane) { flex: 1.5 1 300px; min-width: 0; max-width: 30rem; margin: 0 auto; }
.vae-figure :where(.vf-side) { flex: 1 1 240px; min-width: 0;
  display: flex; flex-direction: column; gap: .75rem; }
.vae-figure .vf-canvas { position: relative; }
.vae-figure .vf-canvas canvas { display: block; width: 100%; }
.vae-figure .vf-note { font-size: 13px; color: var(--vf-muted); }
.vae-figure .vf-heard { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
.vae-figure .vf-slider { position: relative; }
.vae-figure .vf-slider label { display: block; margin: 0; }
.vae-figure .vf-slider input { display: block; width: 100%; height: 28px; margin: 0;
  accent-color: var(--vf-accent); cursor: pointer; }
.vae-figure .vf-value { position: absolute; top: 0; right: 0; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.vae-figure .vf-buttons { display: flex; flex-wrap: wrap; gap: .5rem; }
.vae-figure .vf-buttons button[aria-pressed=true] { background: var(--vf-ink);
  color: var(--vf-paper); font-weight: 700; }
.vae-figure .vf-chart-name { font-size: 13px; color: var(--vf-muted); }
.vae-figure .vf-cards { margin-bottom: .5rem !important; }
.vae-figure :where(.vf-cards) { display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fit, minmax(110px, 1fr)); }
.vae-figure .vf-cards dt { font-size: 13px; font-weight: 400; color: var(--vf-muted); }
.vae-figure .vf-cards dd { font-weight: 600; font-variant-numeric: tabular-nums; }
.vae-figure .vf-check { display: flex; gap: .5rem; align-items: center; min-height: 36px;
  cursor: pointer; }
.vae-figure .vf-check input { width: 24px; height: 24px; flex: none; margin: 0;
  accent-color: var(--vf-accent); cursor: pointer; }
.vae-figure[data-scheme=dark] .vf-check input { color-scheme: dark; }
.vae-figure .vf-check:has(:disabled) { opacity: .5; cursor: default; }
.vae-figure :where(.vf-handle) { position: absolute; width: 44px; height: 44px;
  margin: -22px 0 0 -22px; border-radius: 50%; cursor: grab; touch-action: none; }
.vae-figure :where(.vf-handle:active) { cursor: grabbing; }
.vae-figure :where(.vf-handle)::before { content: ""; position: absolute; inset: 13px;
  border-radius: 50%; border: 3px solid var(--vf-accent);
  box-shadow: 0 0 0 2px var(--vf-paper), inset 0 0 0 2px var(--vf-paper); }
.vae-figure button { font: inherit; color: var(--vf-ink); background: transparent; cursor: pointer;
  border: 1px solid var(--vf-muted); border-radius: 6px; min-height: 44px; padding: 0 .75rem; }
.vae-figure button:hover { border-color: var(--vf-accent); }
.vae-figure :focus-visible { outline: 3px solid var(--vf-accent); outline-offset: 2px; }
.vae-figure input:focus-visible { outline-width: 2px; outline-offset: -1px; border-radius: 6px; }
.vae-figure .vf-image { display: block; width: 100%; height: auto; image-rendering: pixelated;
  border: 1px solid var(--vf-line); border-radius: 3px; }
@media (max-width: 420px) { .vae-figure { padding: .75rem; } }
.anywidget-note { font-style: italic; }
"""


class Figure(anywidget.AnyWidget):
    """An interactive figure; a subclass names its module, ``class Shell(Figure, js="shell.js")``.

    ``base.js`` is joined in front of the module, so that no figure imports anything.
    """

    _css = STYLE

    def __init_subclass__(cls, *, js: str = "", css: str = "", **arguments: Any) -> None:
        if js:  # without: the class that traitlets makes of a subclass when it adds traits
            sources = [(_HERE / name).read_text(encoding="utf-8") for name in ("base.js", js)]
            # Comments are for readers of the source: a page needs none.
            cls._esm = re.sub(r"^[ \t]*//.*\n", "", "\n".join(sources), flags=re.MULTILINE)
            cls._css = _above_the_page(re.sub(r"/\*.*?\*/\n", "", STYLE + css))
        super().__init_subclass__(**arguments)

    @property
    def nbytes(self) -> int:
        """Bytes that the figure adds to a page, of code, style and data."""
        return len(dump(state(self)))

    def save(self, name: str) -> "Figure":
        """Record the figure under ``name``, from where a chapter's page takes it."""
        ledger.record("interactive", name, state(self))
        return self


def _above_the_page(css: str) -> str:
    """The rules of a figure, each counting for more than any rule of the page that names no id.

    JupyterLab, for one, floats every ``dt`` and ``dd`` of an output. No element has the id, but
    ``:is`` counts as the most specific of what it lists.
    """
    roots = {"vae-figure", *re.findall(r"^\.(vf-[\w-]+)", css, flags=re.MULTILINE)[:1]}
    return re.sub(rf"\.({'|'.join(roots)})(?![\w-])", r":is(.\1,#vf)", css)


# ------------------------------------------------------------------------------- the decoder
_ACTIVATIONS = {nn.SiLU: "silu", nn.Tanh: "tanh", nn.ReLU: "relu", nn.Sigmoid: "sigmoid"}
_SKIPPED = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout)  # they change no number in use


def export_decoder(
    decoder: nn.Module,
    dtype: Literal["float16", "int8"] = "float16",
    z: Float[Tensor, "points d"] | None = None,
) -> tuple[dict[str, Any], bytes]:
    r"""A trained decoder for the browser: what its layers are, and their numbers.

    Each linear layer is stored as float32 biases and float16 or int8 weights. An int8 row
    :math:`w \approx s\,q` has its own float32 scale :math:`s = \max|w| / 127`; its integers are
    rounded one column after the other, each column making up for the rounding of those before it
    on the activations seen at ``z``. Plain rounding errs four times as much. Layers of fewer than
    16 inputs stay float16: there the scales would cost more than they save.

    Args:
        decoder: ``nn.Sequential`` (nested or not) of Linear, SiLU, Tanh, ReLU, Sigmoid; Identity,
            Flatten, Unflatten and Dropout are skipped.
        dtype: "float16" (2 bytes a weight, error about 5e-4) or "int8" (1 byte, below 1e-2).
        z: Where the figure will look, (points, d); the int8 weights are fitted there.
            Default: 4,096 points of the ball of radius 4.

    Returns:
        The specification (JSON) and the bytes. ``spec["error"]`` is the largest error of a
        decoded pixel over ``z``, ``spec["nbytes"]`` the size.

    Raises:
        TypeError: For a layer that the browser cannot evaluate.
        ValueError: For an unknown ``dtype``, or weights that are not finite.

    Source of the rounding: Frantar et al. 2022, *GPTQ* (arXiv 2210.17323).
    """
    if dtype not in ("float16", "int8"):
        raise ValueError(f'dtype must be "float16" or "int8", got {dtype!r}')
    layers = _flat(decoder)
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear:
        raise TypeError("decoder must contain at least one Linear layer")
    z = _ball(linear[0].in_features, radius=4.0) if z is None else z.detach().cpu()
    spec: list[dict[str, Any]] = []
    blocks, at = [], 0
    exact = approximate = z.double()
    for layer in layers:
        if not isinstance(layer, nn.Linear):
            exact, approximate = layer(exact), layer(approximate)
            spec.append({"kind": _ACTIVATIONS[type(layer)]})
            continue
        weight = layer.weight.detach().cpu().double()
        bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach().cpu()
        bias = bias.float()
        kind = "int8" if dtype == "int8" and layer.in_features >= 16 else "float16"
        if kind == "int8":
            scale = (weight.abs().amax(1) / 127).clamp_min(1e-30).float()
            whole = _round(weight, scale.double(), approximate)
            stored = scale.double()[:, None] * whole
            block = [bias, scale, whole.to(torch.int8)]
        else:
            stored = weight.half().double()
            block = [bias, weight.half()]
        if not (stored.isfinite().all() and bias.isfinite().all()):
            raise ValueError(f"decoder must have weights that are finite in {kind}")
        exact = nn.functional.linear(exact, weight, bias.double())
        approximate = nn.functional.linear(approximate, stored, bias.double())
        sizes = {"inputs": layer.in_features, "outputs": layer.out_features}
        spec.append({"kind": "linear", "dtype": kind, "at": at, **sizes})
        blocks += [part.numpy().tobytes() for part in block]
        at = sum(map(len, blocks))
    error = float((approximate - exact).abs().max())
    return {"layers": spec, "error": error, "nbytes": at}, b"".join(blocks)


def _flat(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.Sequential):
        return [layer for child in module for layer in _flat(child)]
    if isinstance(module, _SKIPPED):
        return []
    if isinstance(module, nn.Linear) or type(module) in _ACTIVATIONS:
        return [module]
    known = [kind.__name__ for kind in (nn.Linear, *_ACTIVATIONS, *_SKIPPED)]
    raise TypeError(
        f"decoder has a layer {type(module).__name__}, which the browser cannot evaluate; "
        f"supported are nn.Sequential of {', '.join(known)}"
    )


def _ball(d: int, radius: float, points: int = 4096) -> Float[Tensor, "points d"]:
    generator = torch.Generator().manual_seed(0)
    direction = nn.functional.normalize(torch.randn(points, d, generator=generator), dim=1)
    return radius * direction * torch.rand(points, 1, generator=generator) ** (1 / d)


def _round(
    weight: Float[Tensor, "outputs inputs"],
    scale: Float[Tensor, "outputs"],
    activations: Float[Tensor, "points inputs"],
) -> Float[Tensor, "outputs inputs"]:
    """Integers q with scale * q close to weight *on these activations*, column by column."""
    weight, q = weight.clone(), torch.zeros_like(weight)
    moment = activations.T @ activations / len(activations)
    # The damping keeps the inverse tame where the activations span less than the whole space.
    damping = 1e-5 * moment.diagonal().mean().clamp_min(1e-12)
    inverse = torch.linalg.inv(moment + damping * torch.eye(len(moment), dtype=moment.dtype))
    factor = torch.linalg.cholesky(inverse, upper=True)
    for j in range(weight.shape[1]):
        q[:, j] = (weight[:, j] / scale).round().clamp(-127, 127)
        rest = (weight[:, j] - scale * q[:, j]) / factor[j, j]
        weight[:, j:] -= rest[:, None] * factor[j, j:]
    return q


def export_decoders(
    decoders: Sequence[nn.Module], dtype: Literal["float16", "int8"], z: Float[Tensor, "k points d"]
) -> tuple[list[dict[str, Any]], bytes]:
    """``export_decoder`` for several decoders, each at its own ``z``, their bytes in one block.

    Where int8 errs by more than 1e-2 in a pixel, that decoder goes as float16.
    """
    specs, blocks, start = [], [], 0
    for decoder, points in zip(decoders, z, strict=True):
        spec, block = export_decoder(decoder, dtype, points)
        if dtype == "int8" and spec["error"] > 1e-2:
            spec, block = export_decoder(decoder, "float16", points)
        for layer in spec["layers"]:
            if "at" in layer:
                layer["at"] += start
        specs.append(spec)
        blocks.append(block)
        start += len(block)
    return specs, b"".join(blocks)
