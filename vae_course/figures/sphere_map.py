"""Equal-area maps of a latent sphere: where codes are, where none are, what is decoded there."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor, nn

from vae_course.figures.base import Figure, export_decoder
from vae_course.figures.codes import check_finite, check_labels, check_shape, decoder_ends
from vae_course.sphere.geometry import check_loc, normalise

_CSS = """
.vf-sphere-map canvas { touch-action: manipulation; }
.vf-sphere-map .vf-map canvas { cursor: crosshair; }
.vf-sphere-map .vf-handle::before { inset: 15px; border-color: var(--vf-ink); }
.vf-sphere-map .vf-controls { flex: 1.4 1 280px; min-width: 0; display: flex;
  flex-direction: column; gap: .5rem; }
.vf-sphere-map .vf-checks { display: flex; flex-wrap: wrap; gap: 0 1.25rem; }
.vf-sphere-map .vf-shots { display: grid; gap: .75rem; grid-template-columns: repeat(2, 1fr);
  max-width: 17rem; }
.vf-sphere-map figcaption { font-size: 13px; line-height: 1.3; color: var(--vf-muted);
  margin-top: .25rem; }
.vf-sphere-map .vf-cards { grid-template-columns: 1fr 1fr; }
.vf-sphere-map .vf-legend { display: flex; flex-wrap: wrap; gap: 0 1rem; margin-top: .5rem;
  font-size: 13px; color: var(--vf-muted); }
.vf-sphere-map .vf-legend i { display: inline-block; position: relative; width: 1.3em; height: 1em;
  margin-right: .35em; vertical-align: -.15em; border: 1px solid var(--vf-line); }
.vf-sphere-map .vf-legend i::before { content: ""; position: absolute; inset: 0;
  background: var(--vf-ink); opacity: var(--shade); }
.vf-sphere-map .vf-readout { min-height: 2.8em; }
"""


class SphereMap(Figure, js="sphere_map.js", css=_CSS):
    r"""Both hemispheres of a latent sphere S² in Lambert's equal-area map, with the decoder behind.

    A unit vector y at height :math:`w = y^\top f` above the hemisphere's centre f is drawn at

    .. math:: (p, q) = \frac{(y^\top e_1, y^\top e_2)}{\sqrt{1 + w}},

    so that equal areas of the maps are equal areas of the sphere: the uniform prior is an even grey
    and a gap is as large as it looks. Shades are the density of the codes over the uniform one, a
    mean of von Mises-Fisher kernels of concentration :math:`1/h^2`, h the bandwidth. Dropping a
    class takes its codes out of the aggregate; the figure then shows the hole that was located
    and, if asked, the codes that are gone. Nothing is fitted in the browser: holes are given.

    After the reader's last touch the traits ``point`` (a unit vector) and ``dropped`` (a class, -1
    for none) hold where she is; setting them from Python moves the figure.

    Args:
        codes: Unit vectors of R³, one an image, (N, 3); 300 to 2,000 are enough. Draws from the
            posteriors show the aggregate posterior, their modes only where it is centred.
        labels: Classes 0 to 9, (N,); C is the largest one plus 1.
        decoder: From 3 numbers to h·w, see ``export_decoder``. Append ``nn.Sigmoid()`` to one that
            gives logits.
        image_shape: (h, w) of an image in [0, 1].
        hole_centres: Unit vectors, (C, 3) or (C + 1, 3): row c is the centre of the hole located
            with class c left out, row C with none. Default: no holes are drawn. Of a
            ``sphere.coverage``, for instance: of ``codes[labels != c]`` with all codes as the
            reference, and of all codes against the uniform law.
        hole_angles: Angular radii of the holes in radians, from 0 to π, one a centre.
        names: Names of the C classes; default: their numbers.
        dropped: The class that is left out first, -1 for none.
        centre: The middle of the first map, a vector of R³; default: the first hole drawn, else
            the densest class's middle.
        bandwidth: h, the kernel's width in degrees, from 5 to 45.
        dtype: Precision of the decoder in the browser; one that "int8" would put off by more than
            1e-2 in a pixel goes as "float16".

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
        TypeError: For a decoder with an unsupported layer.
    """

    spec = traitlets.Dict().tag(sync=True)
    codes = traitlets.Bytes().tag(sync=True)  # float32: codes (N, 3), then rows (x, y, z, angle)
    labels = traitlets.Bytes().tag(sync=True)  # uint8 (N,)
    weights = traitlets.Bytes().tag(sync=True)  # the decoder, see export_decoder
    point = traitlets.List(traitlets.Float()).tag(sync=True)
    dropped = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        codes: Float[Tensor, "N 3"],
        labels: Int[Tensor, "N"],
        decoder: nn.Module,
        image_shape: tuple[int, int],
        hole_centres: Float[Tensor, "holes 3"] | None = None,
        hole_angles: Float[Tensor, "holes"] | None = None,
        *,
        names: Sequence[str] | None = None,
        dropped: int = -1,
        centre: Float[Tensor, "3"] | None = None,
        bandwidth: float = 10.0,
        dtype: Literal["float16", "int8"] = "float16",
    ) -> None:
        codes, labels = codes.detach().cpu().float(), labels.detach().cpu()
        _check(codes, labels, decoder, image_shape)
        classes = int(labels.max()) + 1
        holes = _holes(hole_centres, hole_angles, classes)
        names = [str(c) for c in range(classes)] if names is None else list(names)
        if len(names) != classes:
            raise ValueError(f"names must be {classes}, one a class, got {len(names)}")
        if not -1 <= dropped < classes:
            raise ValueError(f"dropped must be in -1..{classes - 1}, got {dropped}")
        if not 5 <= bandwidth <= 45:
            raise ValueError(f"bandwidth must be from 5 to 45 degrees, got {bandwidth}")
        shown = dropped if dropped >= 0 else classes  # the hole drawn first
        first = holes[shown, :3] if shown < len(holes) else _middle(codes, labels)
        centre = first if centre is None else centre.detach().cpu().float()
        check_shape("centre", centre, (3,), "x, y, z")
        check_finite(centre=centre)
        if centre.norm() == 0:
            raise ValueError("centre must not be 0: it has no direction")
        looked_at = torch.cat([codes, normalise(_lattice(2000))])
        decoder_spec, weights = export_decoder(decoder, dtype, looked_at)
        if dtype == "int8" and decoder_spec["error"] > 1e-2:
            decoder_spec, weights = export_decoder(decoder, "float16", looked_at)
        super().__init__(
            spec={
                "count": len(codes),
                "holes": len(holes),
                "names": names,
                "shape": list(image_shape),
                "centre": normalise(centre).tolist(),
                "bandwidth": float(bandwidth),
                "decoder": decoder_spec,
            },
            codes=torch.cat([codes.flatten(), holes.flatten()]).numpy().astype("<f4").tobytes(),
            labels=labels.numpy().astype(np.uint8).tobytes(),
            weights=weights,
            point=normalise(first).tolist(),
            dropped=dropped,
        )


def _check(codes: Tensor, labels: Tensor, decoder: nn.Module, image_shape: tuple[int, int]) -> None:
    n = len(labels)
    if n == 0:
        raise ValueError("labels must not be empty")
    check_shape("codes", codes, (n, 3), "images, 3")
    check_loc(codes, "codes")
    check_labels(labels, n)
    ends, expected = decoder_ends(decoder), (3, math.prod(image_shape))
    if ends != expected:
        raise ValueError(f"decoder must map 3 to {expected[1]} numbers, got {ends}")


def _holes(centres: Tensor | None, angles: Tensor | None, classes: int) -> Float[Tensor, "holes 4"]:
    if centres is None and angles is None:
        return torch.zeros(0, 4)
    if centres is None or angles is None:
        raise ValueError("hole_centres and hole_angles go together: give both or neither")
    centres, angles = centres.detach().cpu().float(), angles.detach().cpu().float()
    if len(centres) not in (classes, classes + 1):
        raise ValueError(
            f"hole_centres must have {classes} rows, one a class left out, or one more for none "
            f"left out, got {len(centres)}"
        )
    check_shape("hole_centres", centres, (len(centres), 3), "holes, 3")
    check_loc(centres, "hole_centres")
    check_shape("hole_angles", angles, (len(centres),), "holes,")
    if not ((angles >= 0) & (angles <= math.pi)).all():
        raise ValueError(f"hole_angles must be in [0, π] radians, got {angles.tolist()}")
    return torch.cat([centres, angles[:, None]], dim=1)


def _middle(codes: Float[Tensor, "N 3"], labels: Int[Tensor, "N"]) -> Float[Tensor, "3"]:
    """The direction of the class whose codes agree most on one."""
    means = torch.stack([codes[labels == c].mean(0) for c in labels.unique()])
    return normalise(means[means.norm(dim=1).argmax()])


def _lattice(n: int) -> Float[Tensor, "n 3"]:
    """Points spread evenly over the sphere, along a spiral that turns by the golden angle."""
    k = torch.arange(n) + 0.5
    z, turn = 1 - 2 * k / n, math.pi * (3 - 5**0.5) * k
    ring = (1 - z.square()).sqrt()
    return torch.stack([ring * turn.cos(), ring * turn.sin(), z], dim=1)
