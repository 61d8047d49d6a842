"""What a teacher and the students get: one table, a page for each student, a summary."""

import csv
import html
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
FILES = ("Student", "ID", "File", "Late", "Points", "Counts", "Note")
# What begins a formula, also in full width, at the start of a field or after a separator of others.
FORMULA = re.compile(r"((?:^|[;\t|])[\s'\"]*)([=+\-@\uff1d\uff0b\uff0d\uff20])")
RULE = "Each question counts where it earns more: at its last check, or at the notebook's end."
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ font: 1rem/1.5 system-ui; max-width: 42rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ white-space: pre-wrap }}</style>
<h1>{title}</h1>
{body}
</html>
"""


def readable(name: str) -> str:
    """A file's name as text, whatever bytes it has."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def points(number: float) -> str:
    return f"{number:g}"


def roster(path: Path | None) -> list[dict[str, str]]:
    """The class, from a gradebook that Canvas has exported."""
    if path is None:
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or "ID" not in rows[0]:
        raise ValueError(f"roster {path}: no column ID; export the gradebook from Canvas")
    students = [row | {"ID": row["ID"].strip()} for row in rows if (row["ID"] or "").strip()]
    counts = Counter(row["ID"] for row in students)
    if twice := [number for number, n in counts.items() if n > 1]:
        raise ValueError(f"roster {path}: ID {twice[0]} stands twice; keep one row of each student")
    return students


def line(text: str) -> str:
    """Text as one line of a summary or of a table: nothing in it begins a new one."""
    return " ".join(readable(text).split())


def harmless(text: str) -> str:
    """A field that no spreadsheet takes for a formula, whatever it takes for a separator."""
    plain = "".join(c if c.isprintable() else " " for c in readable(text))
    return FORMULA.sub(r"\1'\2", plain)


def row(known: dict[str, str], title: str, score: float | None) -> dict[str, str]:
    """A student's row; no points at all where nobody can know them yet."""
    told = {key: harmless(known.get(key) or "") for key in COLUMNS}
    return told | {title: "" if score is None else points(score)}


def write_table(path: Path, table: list[dict[str, str]], title: str) -> None:
    """Students in the order of their names."""
    write(path, sorted(table, key=lambda row: tuple(row.values())), [*COLUMNS, title])


def write(path: Path, table: list[dict[str, str]], columns: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(table)


def feedback(result: dict[str, Any], title: str, notes: Sequence[str] = ()) -> str:
    """A student's page: points and the first hint of each question, no hidden test."""
    parts = [f"<p>{points(result['score'])} of {points(result['possible'])} points. {RULE}</p>"]
    parts += [f"<p>{html.escape(line(note))}</p>" for note in notes]
    if result["reason"]:
        parts.append(
            f"<p><strong>Not graded to the end</strong>: {html.escape(result['reason'])}.</p>"
        )
    for question in result["questions"]:
        share = f"{points(question['score'])} of {points(question['possible'])}"
        parts.append(f"<h2>{html.escape(question['name'])}: {share}</h2>")
        if question["hint"]:
            parts.append(f"<p>{html.escape(question['hint'])}</p>")
        elif question["score"] < question["possible"] and not result["reason"]:
            parts.append("<p>The checks pass; a test with other numbers does not.</p>")
    if result["notes"]:
        notes = html.escape("\n".join(result["notes"]))
        parts.append(f"<h2>Cells that raised</h2>\n<pre>{notes}</pre>")
    return PAGE.format(title=html.escape(title), body="\n".join(parts))


def summary(results: list[dict[str, Any]], mistakes: dict[str, list[list[str]]]) -> str:
    """How the class did: distribution, hardest question, most common misconceptions by name."""
    if not results:
        return "No submissions.\n"
    possible = results[0]["possible"]
    scores = sorted(result["score"] for result in results)
    middle = (scores[(len(scores) - 1) // 2] + scores[len(scores) // 2]) / 2
    lines = [
        f"{len(scores)} submissions, {points(possible)} points possible",
        f"mean {sum(scores) / len(scores):.2f}, median {points(middle)}",
        "",
        *histogram(scores, possible),
        "",
    ]
    shares: dict[str, float] = {}
    for question in results[0]["questions"]:
        got = [q for r in results for q in r["questions"] if q["name"] == question["name"]]
        shares[question["name"]] = sum(q["score"] for q in got) / sum(q["possible"] for q in got)
    lines += [f"{name}: {share:.0%} of the points" for name, share in shares.items()]
    lines += ["", f"Hardest question: {min(shares, key=lambda name: shares[name])}", ""]
    known: Counter[tuple[str, str]] = Counter()
    other: Counter[tuple[str, str]] = Counter()
    for q in (q for r in results if not r["reason"] for q in r["questions"] if q["hint"]):
        titles = [title for title, says in mistakes.get(q["name"], []) if says in q["hint"]]
        counted, text = (known, " or ".join(titles)) if titles else (other, q["hint"])
        counted[q["name"], text] += 1
    for heading, counts in [("Most common misconceptions", known), ("Other hints", other)]:
        if counts:
            common = sorted((-n, *key) for key, n in counts.items())[:5]
            told = ((-n, line(name), line(text)) for n, name, text in common)
            lines += [f"{heading}:", *(f"  {n} x {name}: {text}" for n, name, text in told)]
    reasons = Counter(result["reason"] for result in results if result["reason"])
    if reasons:
        lines += ["Not graded to the end:"]
        lines += [f"  {n} x {line(reason)}" for reason, n in sorted(reasons.items())]
    return "\n".join(lines) + "\n"


def histogram(scores: list[float], possible: float, bins: int = 10) -> list[str]:
    counts = Counter(min(bins - 1, int(bins * score / possible)) for score in scores)
    return [
        f"{possible * b / bins:5.1f} to {possible * (b + 1) / bins:5.1f}  {'#' * counts[b]}"
        for b in range(bins)
    ]
