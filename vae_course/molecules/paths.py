"""Paths between the codes of two molecules, and what the decoded strings along them are worth."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.molecules.chemistry import canonical, logp, qed
from vae_course.sphere.geometry import normalise, slerp


def latent_path(
    a: Float[Tensor, "*batch d"], b: Float[Tensor, "*batch d"], points: int = 11, kind: str = "arc"
) -> Float[Tensor, "points *batch d"]:
    r"""Codes at equal steps from a to b, both ends included.

    ``"line"`` is :math:`(1 - t) a + t b`. Two codes at a right angle and at a distance R from the
    origin, as two draws of a Gaussian prior in high dimension nearly are, have a middle at
    :math:`R / \sqrt 2`: off the shell where all codes of the prior are, and inside the sphere where
    there are none. ``"arc"`` turns the direction at constant speed (``sphere.slerp``) and goes from
    one norm to the other evenly: slerp on the unit sphere, and the path that keeps to the shell for
    Gaussian codes.

    Raises:
        ValueError: for fewer than 3 points, an unknown kind or codes of different shapes.
    """
    if points < 3:
        raise ValueError(f"points={points}: a path has at least one point between its ends")
    if a.shape != b.shape:
        raise ValueError(f"a and b have shapes {tuple(a.shape)} and {tuple(b.shape)}: give pairs")
    t = torch.linspace(0, 1, points, dtype=a.dtype, device=a.device)
    t = t.view(-1, *[1] * (a.ndim - 1))
    if kind == "line":
        return torch.lerp(a, b, t.unsqueeze(-1))
    if kind != "arc":
        raise ValueError(f"kind={kind!r}: choose 'arc' or 'line'")
    start, end = (torch.linalg.vector_norm(x, dim=-1) for x in (a, b))
    return slerp(normalise(a), normalise(b), t) * torch.lerp(start, end, t).unsqueeze(-1)


class Route(NamedTuple):
    """What the decoded strings along one path are; lists are point by point, ends included."""

    strings: list[str]
    valid: list[bool]
    inner_validity: float  # of the points between the ends
    with_ends: float  # of all points, the ends included: what to distrust
    distinct: int  # molecules on the path, ends included
    between: int  # molecules at inner points that are neither end
    qed: list[float]  # NaN where there is no molecule
    logp: list[float]  # NaN where there is no molecule


def judge(strings: Sequence[str]) -> Route:
    r"""What a path from one molecule to another is worth, judged without its ends.

    The ends are reconstructions, and nearly always valid. With both valid, and a share v of the m
    inner points, the share of all points is :math:`v + 2 (1 - v) / (m + 2)`: the ends add 0.18
    (1 - v) to a path of 11. Validity alone is not enough: a path that stays at one end and then
    jumps to the other is valid throughout and has nothing ``between``.

    Raises:
        ValueError: for fewer than 3 points.
    """
    if len(strings) < 3:
        raise ValueError(f"{len(strings)} points: a path has at least one between its ends")
    names = [canonical(s) for s in strings]
    good = [name is not None for name in names]
    return Route(
        list(strings),
        good,
        sum(good[1:-1]) / (len(good) - 2),
        sum(good) / len(good),
        len(set(names) - {None}),
        len(set(names[1:-1]) - {None, names[0], names[-1]}),
        [qed(s) if ok else float("nan") for s, ok in zip(strings, good, strict=True)],
        [logp(s) if ok else float("nan") for s, ok in zip(strings, good, strict=True)],
    )


def judge_paths(
    decode: Callable[[Tensor], list[str]],
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    *,
    points: int = 11,
    kind: str = "arc",
) -> list[Route]:
    """The paths from each code of a to that of b, decoded and judged.

    Args:
        decode: strings of codes (m, d), such as a model's ``strings``.
        a: codes where the paths start.
        b: codes where they end.
        points: on a path, both ends included; at least 3.
        kind: ``"arc"`` or ``"line"``, see ``latent_path``.
    """
    codes = latent_path(a, b, points, kind).transpose(0, 1)  # (n, points, d)
    strings = decode(codes.flatten(0, 1))
    return [judge(strings[i : i + points]) for i in range(0, len(strings), points)]
