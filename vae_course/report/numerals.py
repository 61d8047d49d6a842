"""How a number, its error and a band stand on the page: no digit that says nothing."""

import math
from collections.abc import Sequence

from vae_course.evaluation import Estimate
from vae_course.report.conditions import Band, Condition

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_THIN = "\u2009"  # between thousands


def number(value: float) -> str:
    """Three digits, or all of a whole part; powers of ten outside 0.001 to 100,000.

    >>> from vae_course.report.numerals import number
    >>> number(0.79861), number(-12345.6), number(2.1e-7), number(3.0)
    ('0.799', '−12\\u2009346', '2.1 × 10⁻⁷', '3')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else _signed("∞", value)
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e5:
        digits, power = f"{value:.1e}".split("e")  # rounded before the power is taken
        return f"{_minus(digits.removesuffix('.0'))} × 10{str(int(power)).translate(_RAISED)}"
    return _minus(f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}")


def with_error(value: float, estimate: Estimate | None) -> str:
    """A value ± one standard error, both cut where the error says so.

    >>> from vae_course.evaluation import Estimate
    >>> from vae_course.report.numerals import with_error
    >>> with_error(484.731, Estimate.t(484.731, 0.52, 400))
    '484.7 ± 0.5'
    """
    error = estimate.error if estimate else 0.0
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return number(value)
    size = max(abs(value), error)
    power = 0 if 1e-3 <= size < 1e5 else math.floor(math.log10(size))
    value, error = value / 10.0**power, error / 10.0**power
    places = _places(error)
    said = f"{_minus(f'{value:.{places}f}')} ± {error:.{places}f}"
    return f"({said}) × 10{str(power).translate(_RAISED)}" if power else said


def interval(estimate: Estimate) -> str:
    """The two ends of a 95 % interval, with the digits of its value."""
    ends = estimate.low, estimate.high
    if not 1e-3 <= max(abs(v) for v in ends) < 1e5 or not estimate.error > 0:
        return " to ".join(number(v) for v in ends)
    places = _places(estimate.error)
    return " to ".join(_minus(f"{v:.{places}f}") for v in ends)


def _places(error: float) -> int:
    """Decimal places down to the error's first digit; its second where that is a 1."""
    place = math.floor(math.log10(error))
    place -= error < 2 * 10.0**place
    return min(max(0, -place), 6)


def band(condition: Condition) -> str:
    """When a number passes and when it fails, in words.

    >>> from vae_course.report.conditions import Condition
    >>> from vae_course.report.numerals import band
    >>> band(Condition((0.8, 1.25), (0.5, 2.0)))
    'passes 0.8 to 1.25, fails outside 0.5 to 2'
    >>> band(Condition((float("-inf"), 0.25)))
    'passes up to 0.25, never fails'
    """
    if condition.passes is None and condition.fails is None:
        return "for information: no threshold"
    passes = _ends(condition.passes, "at {}", "{} to {}", "up to {}", "from {}") or "else"
    fails = _ends(condition.fails, "elsewhere", "outside {} to {}", "above {}", "below {}")
    return f"passes {passes}, " + (f"fails {fails}" if fails else "never fails")


def _ends(band: Band | None, one: str, both: str, most: str, least: str) -> str:
    low, high = band or (-math.inf, math.inf)
    if low == high:
        return one.format(number(low))
    said = {(True, True): both, (False, True): most, (True, False): least}
    ends = [number(v) for v in (low, high) if math.isfinite(v)]
    return said.get((math.isfinite(low), math.isfinite(high)), "").format(*ends)


def shape(sizes: Sequence[int]) -> str:
    """(4, 7, 7) as 4 × 7 × 7."""
    return " × ".join(str(n) for n in sizes)


def _minus(text: str) -> str:
    """With a true minus, no minus before a zero, and thousands set apart from 10,000 on."""
    sign, digits = ("−", text[1:]) if text.startswith("-") else ("", text)
    if not digits.strip("0."):
        sign = ""
    whole, dot, rest = digits.partition(".")
    if len(whole) > 4:
        whole = f"{int(whole):,}".replace(",", _THIN)
    return sign + whole + dot + rest


def _signed(text: str, value: float) -> str:
    return "−" + text if value < 0 else text
