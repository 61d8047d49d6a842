"""One measure on the page: its question, its value on the bands, and the thresholds to change."""

import math
import re
from html import escape

from vae_course.report.book import address, title
from vae_course.report.card import Measure
from vae_course.report.conditions import Band, Verdict
from vae_course.report.measures import MEASURES
from vae_course.report.numerals import band, interval, number, with_error
from vae_course.report.strip import strip

OTHER = "other"


def stage_of(key: str) -> str:
    """The stage of a number; ``"other"`` for one of another version of the library."""
    return MEASURES[key].stage if key in MEASURES else OTHER


def badge(verdict: Verdict) -> str:
    """A verdict as a word with a sign of its own shape."""
    return f'<span class="vaer-badge vaer-v-{verdict}">{verdict}</span>'


def link(chapter: str) -> str:
    """To the chapter of the book."""
    return f'<a href="{escape(address(chapter))}">{escape(title(chapter))}</a>'


def card(measure: Measure, *, live: bool) -> str:
    """A measure that was not skipped; ``live``: with an id, and thresholds that can be edited."""
    m, key = measure, escape(measure.key)
    asked = MEASURES.get(m.key)
    attributes = f' id="m-{key}" data-key="{key}" data-value="{_plain(m.value)}"' if live else ""
    lines = []
    if asked:
        lines.append(f'<dt>measured</dt><dd class="vaer-formula">{escape(asked.formula)}</dd>')
    if said := _null(m, asked.null if asked else ""):
        marked = ' class="vaer-marked"' if m.null is not None else ""
        lines.append(f"<dt{marked}>null</dt><dd>{said}</dd>")
    return (
        f'<article class="vaer-card"{attributes}>'
        f"<header><h3>{escape(m.question)}</h3>{badge(m.verdict)}</header>"
        f"{value(m)}{strip(m)}"
        f'<p class="vaer-reading">{prose(sentence(m.reading))}</p>'
        f"<dl>{''.join(lines)}</dl>{_threshold(m, live)}"
        f"<footer><code>{key}</code>{link(m.chapter)}</footer></article>"
    )


def value(measure: Measure, *, spread: bool = True) -> str:
    """A value with its error and unit, and its interval where ``spread``."""
    m = measure
    said = f"<b>{with_error(m.value, m.estimate)}</b>"
    if m.unit:
        said += f' <span class="vaer-unit">{escape(m.unit)}</span>'
    if spread and m.estimate and math.inf > m.estimate.high > m.estimate.low:
        said += f' <span class="vaer-interval">95 %: {interval(m.estimate)}</span>'
    return f'<p class="vaer-value">{said}</p>'


def prose(words: str) -> str:
    """As HTML: escaped, and what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words))


def sentence(words: str) -> str:
    """With a capital, unless it begins with a symbol, and a full stop."""
    first = words.split(" ")[0]
    if first == "a" or (len(first) > 1 and first[:2].isascii() and first[:2].isalpha()):
        words = words[:1].upper() + words[1:]
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _null(measure: Measure, words: str) -> str:
    """The null's value, and what it is, without saying a number twice."""
    if measure.null is None:
        return escape(words)
    said = number(measure.null)
    if words.startswith(said):
        return escape(words)
    head, colon, rest = words.partition(": ")
    if colon and (len(head) <= 2 or not head[0].isalpha()):  # a formula of the value
        words = rest
    bare = not words or words.isdigit()
    return escape(said if bare else f"{said}: {words}")


def _threshold(measure: Measure, live: bool) -> str:
    """A fold: its summary says the bands, inside stand their ground and the inputs."""
    c = measure.condition
    ground = f"<p>Ground: {prose(c.ground)}.</p>" if c.ground else ""
    form = ""
    if live:
        names = (("passes from", "to"), ("fails below", "or above"))
        pairs = [
            _input(measure.key, kind, end, name, edge)
            for kind, band_, both in (
                ("passes", c.passes, names[0]),
                ("fails", c.fails, names[1]),
            )
            for end, name, edge in zip(("low", "high"), both, band_ or OPEN, strict=True)
        ]
        form = f'<form hidden>{"".join(pairs)}<p class="vaer-wrong" role="alert"></p>{KEEP}</form>'
    return (
        f'<details class="vaer-fold vaer-threshold"><summary>{escape(band(c))}</summary>'
        f"{ground}{form}</details>"
    )


KEEP = '<p class="vaer-keep" hidden><a href="#changed">How to keep this threshold</a></p>'
OPEN: Band = (-math.inf, math.inf)


def _input(key: str, kind: str, end: str, name: str, edge: float) -> str:
    shown = repr(float(edge)).removesuffix(".0") if math.isfinite(edge) else ""
    return (
        f'<label>{name} <input type="number" step="any" name="{kind}-{end}" value="{shown}" '
        f'placeholder="open" aria-label="{escape(key)} {name}"></label>'
    )


def _plain(value: float) -> str:
    """As JavaScript reads it."""
    return repr(float(value)).replace("inf", "Infinity").replace("nan", "NaN")
