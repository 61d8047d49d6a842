"""Right channel, right way up? How the encoder answers a small change of the decoder's code."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vae_course.report.measures import Found, Unmeasured
from vae_course.report.numerals import number
from vae_course.report.study import Study

STEP = 0.5
"""SD of a channel, by which its code is changed."""

STRAIGHT = "as they are"

LOUD, QUIET = 0.02, 0.05
"""Answers: below the one a change of a channel is not heard at all; below the other, on average,
encoder and decoder are strangers."""

Turn = Callable[[Tensor], Tensor]


def turns(places: tuple[int, ...]) -> tuple[dict[str, Turn], dict[str, Turn]]:
    """Other ways that codes of these places may lie: with the axes swapped, and flipped."""
    if len(places) != 2:
        return {}, {"flipped": lambda p: p.flip(-1)} if places else {}
    flipped: dict[str, Turn] = {
        "flipped left to right": lambda p: p.flip(-1),
        "flipped upside down": lambda p: p.flip(-2),
        "turned by 180°": lambda p: p.flip(-1, -2),
    }
    if places[0] != places[1]:
        return {}, flipped
    swapped: dict[str, Turn] = {
        "with height and width swapped": lambda p: p.mT,
        "turned by 90°": lambda p: p.mT.flip(-1),
        "turned by −90°": lambda p: p.mT.flip(-2),
        "with height and width swapped and turned by 180°": lambda p: p.mT.flip(-1, -2),
    }
    return swapped, flipped


def wiring(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Does the encoder read each channel where the decoder writes it, and the same way up?

    .. math:: K_{cc'} = \frac{\langle p, \mu_{c'}(g(\mu + \delta_c p)) - \mu_{c'}(g(\mu))\rangle}
              {\delta_c \|p\|^2}

    p: random signs at inner places, others for each image, so that neighbours' answers cancel;
    :math:`\delta_c` half an SD of channel c. The same with p turned: codes that lie another way
    answer to that. Rows are compared in SDs of the channels that answer.
    """
    t = study.tokens
    live = t.live[: study.sizes.channels]
    if not len(live):
        raise Unmeasured("no channel costs .05 nats a dimension")
    k = min(study.sizes.swapped, len(study.x))
    mu = study.mu[:k]
    signs = _signs(study, mu[:, :1])
    swapped, flipped = turns(study.places)
    ways: Mapping[str, Turn] = {STRAIGHT: lambda p: p} | swapped | flipped
    patterns = [_turned(signs, turn, study.places) for turn in ways.values()]
    before = study.mean_code(study.at_mean[:k])
    answers = torch.zeros(len(ways), len(live), len(live), dtype=torch.float64, device="cpu")
    for row, c in enumerate(live.tolist()):
        step = STEP * t.std[c].item()
        moved = mu.clone()
        moved[:, c] += step * signs[:, 0]
        answer = (study.mean_code(study.decoded(moved)) - before)[:, live].reshape(k, len(live), -1)
        for i, pattern in enumerate(patterns):
            along = (answer * pattern).sum((0, 2), dtype=torch.float64)
            answers[i, row] = along / (step * pattern.square().sum().clamp_min(1))
    scaled = answers * (t.std[live, None] / t.std[live])
    totals = dict(zip(ways, scaled.amax(2).sum(1).tolist(), strict=True))
    best = max(range(len(ways)), key=list(totals.values()).__getitem__)
    study.tables["response"], study.tables["response_channels"] = answers[best], live
    reply = answers[best].amax(1).mean().item()
    said = f"a change of a channel comes back to {number(reply)}, wherever it comes back loudest"
    found = _wiring_found(scaled[best], answers[best].diagonal(), live.tolist())
    found["reply"] = Found(reply, said)
    if reply < QUIET:
        why = Unmeasured(f"changes come back to {number(reply)}: too little to see which way up")
        return found | dict.fromkeys(("orientation", "transposed", "flipped"), why)
    return found | _orientation(totals, swapped, flipped)


def _turned(signs: Tensor, turn: Turn, places: tuple[int, ...]) -> Tensor:
    """The pattern turned, (k, 1, P), without the places that stay where they were."""
    at = torch.arange(math.prod(places), device="cpu").reshape(places)
    moved = turn(at) != at
    kept = moved if moved.any() else torch.ones_like(moved)
    return (turn(signs) * kept).reshape(len(signs), 1, -1)


def _signs(study: Study, like: Tensor) -> Tensor:
    """±1 at places that do not touch the border, where there are any; 0 elsewhere."""
    signs = study.noise("wiring", like).sign()
    for axis, size in enumerate(study.places, start=2):
        if size >= 4:
            at = torch.arange(size, device="cpu")
            inner = (at > 0) & (at < size - 1)
            signs = signs * inner.view(-1, *[1] * (signs.ndim - 1 - axis))
    return signs


def _wiring_found(scaled: Tensor, own: Tensor, live: list[int]) -> dict[str, Found | Unmeasured]:
    other = scaled.abs().clone()
    other.fill_diagonal_(0)
    right = scaled.diagonal() > other.amax(1)
    answered = scaled.abs().amax(1) >= LOUD  # else there is nothing to read
    share = right[answered].double().mean().item() if answered.any() else math.nan
    right |= ~answered
    wrong = [
        f"{live[c]} in {live[int(other[c].argmax())]}"
        for c in (~right).nonzero().flatten().tolist()
    ]
    said = "every live channel is read where it is written"
    if wrong:
        said = f"channels that answer elsewhere: {', '.join(wrong)}; encode and decode must have "
        said += "their channels in one order"
    ratios = other.amax(1) / scaled.diagonal().abs().clamp_min(1e-12)
    worst, deafest = int(ratios.argmax()), int(own.argmin())
    misread, answer = ratios[worst].item(), own[deafest].item()
    silent = Unmeasured("no channel is answered: the decoder or the encoder hears nothing")
    return {
        "wiring": Found(share, said, 1 / len(live)) if answered.any() else silent,
        "misread": Found(
            misread,
            f"channel {live[worst]} is answered by another {number(misread)} times as loudly as by "
            "itself",
            0.0,
        ),
        "answer": Found(
            answer,
            f"channel {live[deafest]} answers {number(answer)} of a change of itself, the least",
        ),
    }


def _orientation(
    totals: dict[str, float], swapped: Mapping[str, Turn], flipped: Mapping[str, Turn]
) -> dict[str, Found | Unmeasured]:
    found: dict[str, Found | Unmeasured] = {}
    told: list[tuple[float, Found | Unmeasured]] = []
    straight = max(totals[STRAIGHT], 1e-12)
    for key, ways in (("transposed", swapped), ("flipped", flipped)):
        if not ways:
            found[key] = Unmeasured("the code's places can't be swapped without a change of shape")
            continue
        way = max(ways, key=totals.__getitem__)
        value = totals[way] / straight
        said = f"codes {way} are answered {number(value)} times as loudly as codes as they are"
        found[key] = Found(value, said, 0.0)
        told.append((value, found[key]))
    none = Unmeasured("the code has one place")
    return found | {"orientation": max(told, key=lambda t: t[0])[1] if told else none}
