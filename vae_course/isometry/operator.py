"""The pull-back metric as an operator: products with vectors, and never a matrix."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_real
from vae_course.isometry.decoder import (
    MIXES,
    Decoder,
    check_codes,
    check_decoder,
    decode,
    is_out_of_memory,
)
from vae_course.isometry.forward_mode import forward_derivatives
from vae_course.isometry.metrics import Metric, apply_metric, check_metric
from vae_course.isometry.parts import in_memory
from vae_course.isometry.reverse_mode import recording
from vae_course.spd.precision import full_precision

Mode = Literal["auto", "reverse", "forward"]


class Pullback:
    r"""The metric that a decoder pulls back, :math:`A(z) = J^\top G J`, one for each code.

    .. math:: v \mapsto J v, \qquad u \mapsto J^\top u, \qquad v \mapsto J^\top G\, J v

    A product costs about three passes through the decoder, whatever the number d of the latents,
    and no matrix is made: codes may be images. :math:`J^\top u` is linear in u, and the derivative
    of :math:`\langle J^\top u, v \rangle` by u is :math:`J v`: with both graphs kept, two reverse
    passes are a product, and the decoder itself runs once.

    Args:
        decoder: as in ``jacobian``, and with its restrictions; it must let gradients through.
        z: codes, (batch, \*code), finite, all held at once. Their graphs stay in memory as long as
            the object: ``spectrum`` and its relatives take big batches apart.
        metric: the quadratic form G of the distortion, as in ``pullback_metric``.
        mode: how :math:`J v` is computed: by two reverse passes (``"reverse"``), by forward mode,
            which runs the decoder again (``"forward"``), or by the former where the decoder has
            second derivatives in reverse mode, else by the latter (``"auto"``).

    Attributes:
        x: the decoded points, (batch, \*output).
        z: the codes, without a gradient.
        products: how many products with J or with its transpose each code has had.

    Raises:
        TypeError: as ``jacobian``.
        ValueError: as ``jacobian``; for a decoder that has no derivative by the code (``no_grad``,
            ``detach`` or rounding inside), or whose rows depend on each other.
        MemoryError: where the codes don't fit the memory; it says how many to take.

    In the dtype of z under autocast too; not for ``torch.func``, ``torch.compile`` or
    ``torch.export``. float32: as accurate as the decoder, 1e-5 of the largest entry for the
    course's networks.

    Example:

    >>> import torch
    >>> from vae_course.isometry import Pullback
    >>> z = torch.randn(2, 4, 8, 8)
    >>> A = Pullback(torch.nn.ConvTranspose2d(4, 3, 4, stride=4), z)
    >>> A.push(z).shape, A(z).shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2, 4, 8, 8]))

    Source: the double reverse pass is Townsend 2017; derived in chapter 06.
    """

    @full_precision
    def __init__(
        self,
        decoder: Decoder,
        z: Float[Tensor, "batch *code"],
        metric: Metric | Tensor | None = None,
        *,
        mode: Mode = "auto",
    ) -> None:
        check_decoder(decoder)
        check_metric(metric)
        if mode not in ("auto", "reverse", "forward"):
            raise ValueError(f"mode={mode!r}: choose 'auto', 'reverse' or 'forward'")
        self.z = check_codes("z", z).detach()
        self.products = 0
        self._decoder, self.metric = decoder, metric
        with in_memory(len(z)):
            self._record(mode)
            self._check_rows()

    def _record(self, mode: Mode) -> None:
        """Both graphs: of the decoder, and of its transposed derivative."""
        self._code = self.z.clone().requires_grad_()
        with recording():
            x = decode(self._decoder, self._code)
            if not x.requires_grad:
                raise ValueError(
                    "decoder has no derivative by the code: its output does not depend on z, or a "
                    "no_grad, detach or rounding inside cuts it off"
                )
            self._x, self.x = x, x.detach()
            self._u: Tensor | None = None
            self._pulled: Tensor | None = None
            why = None if mode == "forward" else self._transpose()
        if self._pulled is None:
            if mode == "reverse":
                raise ValueError(
                    f"decoder has no second derivative in reverse mode ({why}): take mode='forward'"
                )
            self._try_forward(why)

    def _transpose(self) -> str | None:
        """The graph of u -> J'u, if there is one; else why not."""
        u = torch.zeros_like(self.x, requires_grad=True)
        try:
            (pulled,) = torch.autograd.grad(self._x, self._code, u, create_graph=True)
            torch.autograd.grad(pulled, u, torch.zeros_like(self.z), retain_graph=True)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            return str(error).splitlines()[0]
        self._u, self._pulled = u, pulled
        return None

    def _try_forward(self, why: str | None) -> None:
        """ValueError for a decoder without forward mode; ``why`` it has not the other, if so."""
        try:
            self.push(torch.zeros_like(self.z))
        except (RuntimeError, ValueError) as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            remedy = "take mode='reverse'"
            if why is not None:
                remedy = f"and no second derivative in reverse mode ({why}): write it in other ones"
            said = str(error).splitlines()[0]
            raise ValueError(
                f"decoder has no derivative in forward mode ({said}): {remedy}"
            ) from error

    @full_precision
    def push(self, v: Float[Tensor, "batch *code"]) -> Float[Tensor, "batch *output"]:
        """J v, (batch, \\*output); ValueError for a v that is not of the codes' shape and dtype."""
        self._check("v", v, self.z)
        self.products += 1
        if self._pulled is not None and self._u is not None:
            with recording():
                return torch.autograd.grad(self._pulled, self._u, v, retain_graph=True)[0]
        with forward_derivatives():
            return torch.func.vmap(self._forward)(self.z, v)

    @full_precision
    def pull(self, u: Float[Tensor, "batch *output"]) -> Float[Tensor, "batch *code"]:
        """The transpose, J'u, (batch, \\*code); ValueError as ``push``."""
        self._check("u", u, self.x)
        self.products += 1
        with recording():
            return torch.autograd.grad(self._x, self._code, u, retain_graph=True)[0]

    def weigh(self, u: Float[Tensor, "batch *output"]) -> Float[Tensor, "batch *output"]:
        """G u at the decoded points."""
        return apply_metric(self.metric, self.x, u)

    def __call__(self, v: Float[Tensor, "batch *code"]) -> Float[Tensor, "batch *code"]:
        """J'G J v, (batch, \\*code)."""
        return self.pull(self.weigh(self.push(v)))

    def _forward(self, z: Tensor, v: Tensor) -> Tensor:
        def one(code: Tensor) -> Tensor:
            return decode(self._decoder, code[None])[0]

        return torch.func.jvp(one, (z,), (v,))[1]

    def _check(self, name: str, vector: Tensor, like: Tensor) -> None:
        if check_real(name, vector).shape != like.shape:
            raise ValueError(
                f"{name} has shape {tuple(vector.shape)}: it must be {tuple(like.shape)}"
            )
        check_alike(z=self.z, **{name: vector})

    def _check_rows(self) -> None:
        """A vector at one point pulls at no other code, exactly, if rows don't mix: asked of the
        first and of the last, for what looks back or ahead only."""
        generator = torch.Generator("cpu").manual_seed(0)
        for row in sorted({0, len(self.x) - 1}):
            u = torch.zeros_like(self.x)
            u[row] = 1 + torch.rand(u[row].shape, generator=generator, device="cpu").to(u)
            pulled = self.pull(u)
            if not pulled.isfinite().all():
                raise ValueError(
                    "the decoder's Jacobian is not finite: look at its weights, and at where its "
                    "functions have no derivative"
                )
            if (pulled[:row] != 0).any() or (pulled[row + 1 :] != 0).any():
                raise ValueError(MIXES)
        self.products = 0
