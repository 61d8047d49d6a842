"""Codes of several slots, drawn one slot at a time, as whole tuples, or from a learned prior."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor, nn

from vae_course.figures.base import Figure, export_decoder
from vae_course.figures.codes import check_finite, decoder_ends

_CSS = """
.vf-slots .vf-left { flex: 1 1 320px; min-width: 0; }
.vf-slots .vf-choice { display: grid; gap: .5rem 1.25rem; margin-bottom: .75rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 200px), 1fr)); }
.vf-slots .vf-side { flex: 1 1 200px; max-width: 15rem; margin: 0 auto; }
.vf-slots .vf-side button { width: 100%; }
.vf-slots .vf-bars { height: 64px; }
.vf-slots .vf-grids { display: grid; gap: 1rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); }
.vf-slots .vf-grid { display: grid; gap: 4px; grid-template-columns: repeat(4, 1fr); }
.vf-slots .vf-grid .vf-image { border: 2px solid transparent; }
.vf-slots .vf-grid .vf-unseen { border: 2px dashed var(--vf-warn); }
.vf-slots .vf-name { font-weight: 600; }
.vf-slots .vf-share { font-size: 13px; color: var(--vf-muted); margin-bottom: .4rem !important; }
.vf-slots .vf-again { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; }
.vf-slots .vf-seed { display: flex; gap: .5rem; align-items: center; }
.vf-slots .vf-seed input { width: 6.5rem; min-height: 44px; padding: 0 .5rem; font: inherit;
  color: var(--vf-ink); background: transparent; border: 1px solid var(--vf-muted);
  border-radius: 6px; }
.vf-slots[data-scheme=dark] .vf-seed input { color-scheme: dark; }
.vf-slots .vf-readout { min-height: 4.2em; }
"""


class SlotSampling(Figure, js="slot_sampling.js", css=_CSS):
    r"""Tuples of codes and their images: each slot drawn alone against whole tuples.

    The recorded tuples :math:`(k_1, \dots, k_S)` are those of training images. *Alone* draws each
    slot from its own marginal, which is to take each slot from another random image; *together*
    takes the whole tuple of one. The share of tuples drawn alone that no image has is exact,

    .. math:: 1 - \sum_{k \text{ recorded}} \prod_{s=1}^S p_s(k_s),

    over the distinct recorded tuples. Bars show :math:`p(k_s \mid k_1, \dots, k_{s-1})` among the
    images (filled) and :math:`p_s(k_s)` (outlined). Draws depend on the seed alone.

    After the reader's last touch the traits ``chosen`` and ``seed`` hold where she is; setting them
    from Python moves the figure.

    Args:
        codebook: Centres, (K, d), one codebook for all slots; K at most 256.
        tuples: Codes of the training images, (N, S), in 0..K-1; S from 2 to 8.
        decoder: A module from S·d numbers to h·w, see ``export_decoder``.
        image_shape: (h, w) or (1, h, w).
        prior: Draws of a learned prior, (M, S): a third way to sample.
        seed: Of the samples that are shown first, from 0 to 999,999.
        dtype: Precision of the decoder in the browser. One that "int8" would put off by more than
            1e-2 in a pixel goes as "float16".

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
        TypeError: For a decoder with an unsupported layer.
    """

    spec = traitlets.Dict().tag(sync=True)
    codes = traitlets.Bytes().tag(sync=True)  # float32: the codebook (K, d)
    tuples = traitlets.Bytes().tag(sync=True)  # uint8: recorded (N, S), then the prior's (M, S)
    weights = traitlets.Bytes().tag(sync=True)  # the decoder, see export_decoder
    chosen = traitlets.List(traitlets.Int()).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        codebook: Float[Tensor, "K d"],
        tuples: Int[Tensor, "N S"],
        decoder: nn.Module,
        image_shape: Sequence[int],
        *,
        prior: Int[Tensor, "M S"] | None = None,
        seed: int = 0,
        dtype: Literal["float16", "int8"] = "float16",
    ) -> None:
        prior = tuples[:0] if prior is None else prior
        codebook, tuples, prior = (t.detach().cpu() for t in (codebook, tuples, prior))
        _check(codebook, tuples, prior, decoder, image_shape)
        if not 0 <= seed <= 999_999:
            raise ValueError(f"seed must be in 0..999999, got {seed}")
        codebook = codebook.float()
        # The reader sees tuples that no image has: the int8 weights are fitted at both kinds.
        generator = torch.Generator().manual_seed(0)
        rows = torch.randint(len(tuples), tuples.shape, generator=generator)
        looked_at = codebook[torch.cat([tuples, tuples.gather(0, rows)]).long()].flatten(1)
        spec, weights = export_decoder(decoder, dtype, looked_at)
        if dtype == "int8" and spec["error"] > 1e-2:
            spec, weights = export_decoder(decoder, "float16", looked_at)
        super().__init__(
            spec={
                "num_codes": len(codebook),
                "slots": tuples.shape[1],
                "recorded": len(tuples),
                "drawn": len(prior),
                "shape": list(image_shape)[-2:],
                "decoder": spec,
            },
            codes=codebook.numpy().tobytes(),
            tuples=torch.cat([tuples, prior]).to(torch.uint8).numpy().tobytes(),
            weights=weights,
            chosen=tuples[0].tolist(),
            seed=seed,
        )


def _check(
    codebook: Tensor,
    tuples: Tensor,
    prior: Tensor,
    decoder: nn.Module,
    image_shape: Sequence[int],
) -> None:
    if codebook.ndim != 2 or not 2 <= len(codebook) <= 256:
        raise ValueError(f"codebook must be (2 to 256, d), got {tuple(codebook.shape)}")
    check_finite(codebook=codebook)
    if tuples.ndim != 2 or len(tuples) == 0 or not 2 <= tuples.shape[1] <= 8:
        raise ValueError(f"tuples must be (images, 2 to 8 slots), got {tuple(tuples.shape)}")
    if prior.ndim != 2 or prior.shape[1] != tuples.shape[1]:
        raise ValueError(f"prior must be (draws, {tuples.shape[1]}), got {tuple(prior.shape)}")
    for name, value in (("tuples", tuples), ("prior", prior)):
        if not ((value >= 0) & (value < len(codebook))).all():
            raise ValueError(
                f"{name} must be in 0..{len(codebook) - 1}, got {value.min()} to {value.max()}"
            )
    if len(image_shape) not in (2, 3) or math.prod(image_shape[:-2]) != 1:
        raise ValueError(f"image_shape must be (h, w) or (1, h, w), got {tuple(image_shape)}")
    ends = decoder_ends(decoder)
    expected = tuples.shape[1] * codebook.shape[1], math.prod(image_shape)
    if ends != expected:
        raise ValueError(f"decoder must map {expected[0]} to {expected[1]} numbers, got {ends}")
