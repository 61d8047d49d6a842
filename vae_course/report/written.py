"""A report as a JSON file: read by ``Report.load``, ``compare``, the Atlas and any other program.

``schema.json`` describes it. A number that is not finite is ``null`` (NaN), ``"inf"`` or
``"-inf"``, so that any reader of JSON takes the file. Tables are lists of numbers with six digits;
pictures are whole numbers 0 to 255 between ``low`` and ``high``, at most 96 pixels a side.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.files import write_atomically
from vae_course.report.card import Measure, Report, Suspect
from vae_course.report.conditions import Condition, Verdict
from vae_course.report.plot import shrunk

if TYPE_CHECKING:
    from vae_course.report.compare import Comparison

SCHEMA, VERSION = "vae_course.report", 1
DIGITS = 6


def write(report: Report, path: Path) -> None:
    """Write all of a report, whole or not at all; OSError names the file and the remedy."""
    _write(
        {
            "schema": SCHEMA,
            "version": VERSION,
            "meta": _plain(report.meta),
            "verdict": report.verdict,
            "measures": {key: _measure(m) for key, m in report.measures.items()},
            "suspects": [_plain(vars(s)) for s in report.suspects],
            "tables": {name: _table(name, t) for name, t in report.tables.items()},
        },
        path,
    )


def write_comparison(comparison: "Comparison", path: Path) -> None:
    """Write the rows of a comparison; the reports themselves have files of their own."""
    rows = [
        {
            "key": row.key,
            "a": _plain(row.a.value),
            "b": _plain(row.b.value),
            "difference": row.difference and _plain(row.difference._asdict()),
            "paired": row.paired,
            "verdicts": list(row.verdicts),
            "better": row.better,
        }
        for row in comparison.rows
    ]
    names = list(comparison.names)
    said = {"schema": "vae_course.comparison", "version": VERSION, "names": names, "rows": rows}
    _write(said, path)


def read(path: Path) -> Report:
    """Read what ``write`` wrote; nothing in the file is executed.

    ValueError names the file and what to do, for one that is cut short, is no report, is one of a
    newer version, or lacks a part; OSError for one that is not there.
    """
    text = path.read_bytes()
    try:
        said = json.loads(text.decode("utf-8"))
    except (RecursionError, ValueError) as why:  # no text, no JSON, or a bottomless one
        raise ValueError(
            f"'{path}' is not a whole JSON file ({why}): it was cut short, or is another kind of "
            "file. Write it again with save_json"
        ) from why
    if not isinstance(said, dict) or said.get("schema") != SCHEMA:
        raise ValueError(f"'{path}' is JSON, but no report: give a file that save_json wrote")
    version = said.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"'{path}' has version {version!r}, not a number: write it again")
    if version > VERSION:
        raise ValueError(
            f"'{path}' is a report of version {version}, and this vae_course reads up to "
            f"{VERSION}: install a newer one"
        )
    try:
        return Report(
            MappingProxyType(dict(said["meta"])),
            MappingProxyType({key: _read_measure(key, m) for key, m in said["measures"].items()}),
            tuple(_read_suspect(s) for s in said["suspects"]),
            MappingProxyType({name: _read_table(t) for name, t in said["tables"].items()}),
        )
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as why:
        raise ValueError(
            f"'{path}' is a damaged report ({type(why).__name__}: {why}): write it again with "
            "save_json"
        ) from why


def _write(said: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_atomically(path, lambda file: file.write_text(text + "\n", encoding="utf-8"))


# --- numbers ---------------------------------------------------------------------------------
def _plain(value: Any) -> Any:
    """As JSON holds it; what JSON has no word for as its text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _number(value: Any) -> float:
    """The other way, for what must be a number."""
    if value is None or value in ("inf", "-inf"):
        return math.nan if value is None else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


# --- measures --------------------------------------------------------------------------------
def _measure(m: Measure) -> dict[str, Any]:
    condition = {
        "passes": _plain(m.condition.passes),
        "fails": _plain(m.condition.fails),
        "ground": m.condition.ground,
    }
    return {
        "question": m.question,
        "value": _plain(m.value),
        "estimate": m.estimate and _plain(m.estimate._asdict()),
        "unit": m.unit,
        "verdict": m.verdict,
        "condition": condition,
        "null": _plain(m.null),
        "reading": m.reading,
        "chapter": m.chapter,
        "cost_s": _plain(m.cost_s),
    }


def _read_measure(key: str, said: Mapping[str, Any]) -> Measure:
    estimate, condition = said["estimate"], said["condition"]
    if said["verdict"] not in get_args(Verdict):
        raise ValueError(f"{key} has the verdict {said['verdict']!r}")
    texts = {name: _text(said[name]) for name in ("question", "unit", "reading", "chapter")}
    return Measure(
        key=key,
        value=_number(said["value"]),
        estimate=None if estimate is None else _estimate(estimate),
        verdict=said["verdict"],
        condition=Condition(
            _band(condition["passes"]), _band(condition["fails"]), _text(condition["ground"])
        ),
        null=None if said["null"] is None else _number(said["null"]),
        cost_s=_number(said["cost_s"]),
        **texts,
    )


def _estimate(said: Mapping[str, Any]) -> Estimate:
    value, error, low, high, truncation = (_number(said[k]) for k in Estimate._fields[:5])
    return Estimate(value, error, low, high, truncation, int(said["n"]), int(said["products"]))


def _read_suspect(said: Mapping[str, Any]) -> Suspect:
    evidence = tuple(_text(key) for key in said["evidence"])
    texts = {name: _text(said[name]) for name in ("key", "sentence", "remedy", "chapter")}
    return Suspect(evidence=evidence, **texts)


def _text(said: Any) -> str:
    if not isinstance(said, str):
        raise TypeError(f"{said!r} is no text")
    return said


def _band(said: Any) -> tuple[float, float] | None:
    if said is None:
        return None
    low, high = said
    return _number(low), _number(high)


# --- tables ----------------------------------------------------------------------------------
def _table(name: str, table: Tensor) -> dict[str, Any]:
    table = table.detach().cpu().double()
    if name.startswith(("shown", "sample_")) and table.isfinite().any():
        return _picture(table)
    values = [
        _plain(float(f"{v:.{DIGITS}g}")) if math.isfinite(v) else _plain(v)
        for v in table.flatten().tolist()
    ]
    whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    return {"shape": list(table.shape), "data": whole}


def _picture(table: Tensor) -> dict[str, Any]:
    finite = table[table.isfinite()]
    low, high = finite.min().item(), finite.max().item()
    table = table.nan_to_num(low, high, low)
    if table.ndim == 4:
        table = shrunk(table)
    levels = (255 * (table - low) / ((high - low) or 1.0)).round().int()
    return {
        "shape": list(table.shape),
        "low": low,
        "high": high,
        "data": levels.flatten().tolist(),
    }


def _read_table(said: Mapping[str, Any]) -> Tensor:
    data = torch.tensor([_number(v) for v in said["data"]], dtype=torch.float64, device="cpu")
    if "low" in said:
        low, high = _number(said["low"]), _number(said["high"])
        data = low + (high - low) / 255 * data
    return data.reshape(said["shape"])
