"""The Scoreboard's directive: every claim with its null, its half-way value and its verdict."""

import json
from collections import Counter
from pathlib import Path

import lab_keys
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from vae_course.lab import Claim
from vae_course.lab.claims import spread

MARKS = {"holds": "✓", "fails": "✗", "refuted": "≠", "not settled": "…", "not supported": "?"}
ORDER = ("fails", "not settled", "not supported", "refuted", "holds", "not judged", "measured")
NOT_RUN = "not yet run"
HEADER = (
    "Claim",
    "Who says so",
    "Expected",
    "Null, control",
    "Class",
    "Half-way",
    "Full",
    "Verdict",
)


def anchor(claim_id: str) -> str:
    return "claim-" + claim_id.replace(".", "-").replace("_", "-")


def verdict(claim: Claim | None, full: Claim | None) -> str:
    """That of ``full`` where there is one; but what fails at ``class`` stays red."""
    if claim is not None and (full is None or claim.verdict == "fails"):
        return claim.verdict
    return full.verdict if full is not None else NOT_RUN


def table(header: list[str], rows: list[list[nodes.Node]], css: str) -> nodes.Node:
    """A docutils table in a box that scrolls on a narrow screen."""
    made = nodes.table(classes=[css])
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]

    def row(cells: list[nodes.Node]) -> nodes.row:
        line = nodes.row()
        for cell in cells:
            entry = nodes.entry()
            entry += cell
            line += entry
        return line

    head, body = nodes.thead(), nodes.tbody()
    head += row([nodes.paragraph(text=text) for text in header])
    body += [row(cells) for cells in rows]
    group += [head, body]
    made += group
    box = nodes.container(classes=["wide-table"])
    box += made
    return box


def lab_title(notebook: Path) -> str:
    """The first heading of a notebook."""
    cells = json.loads(notebook.read_text())["cells"]
    return "".join(cells[0]["source"]).splitlines()[0].lstrip("# ")


class Scoreboard(SphinxDirective):
    """A section a lab, a row a claim; those with a bound first, identities in a table apart."""

    def run(self):
        app = self.env.app
        self.claims, self.full = app.course_claims, app.course_full
        root = Path(app.confdir)
        folders = app.course_results, root / "results" / "full"
        labs = {path.stem: path.parts[-3] for f in folders for path in f.glob("*/claims/*.json")}
        sections = []
        for lab in sorted(set(labs.values())):
            of_lab = [name for name in self.claims | self.full if labs[name] == lab]
            verdicts = {n: verdict(self.claims.get(n), self.full.get(n)) for n in of_lab}
            identities = sorted(n for n in of_lab if self.newest(n).identity)
            others = sorted(
                set(of_lab) - set(identities), key=lambda n: (ORDER.index(verdicts[n]), n)
            )
            section = nodes.section(ids=[f"lab-{lab}"], names=[lab])
            section += nodes.title(text=lab_title(root / "notebooks" / f"{lab}.ipynb"))
            section += nodes.paragraph(text=self.summary(others, verdicts))
            if remark := self.remark(root, lab):
                section += nodes.paragraph(text=remark)
            section += self.table(others, verdicts)
            if identities:
                section += nodes.paragraph(text="Identities: what can only come out one way.")
                section += self.table(identities, verdicts)
            sections.append(section)
        return sections

    def newest(self, name: str) -> Claim:
        return self.claims.get(name) or self.full[name]

    def summary(self, names: list[str], verdicts: dict[str, str]) -> str:
        count = Counter(verdicts[name] for name in names)
        words = [f"{word}: {count[word]}" for word in ORDER if count[word]]
        judged = [n for n in names if verdicts[n] not in ("measured", "not judged")]
        settled = sum(bool(n in self.full and self.full[n].settled) for n in judged)
        return ", ".join(words) + f". Settled: {settled} of {len(judged)} verdicts."

    def remark(self, root: Path, lab: str) -> str:
        """Says so where the record at ``full`` is of another code than the lab's today."""
        record = root / "results" / "full" / lab / "labs" / f"{lab}.json"
        notebook = root / "notebooks" / f"{lab}.ipynb"
        if not record.exists():
            return ""
        content = json.loads(record.read_text())
        if content["measures"] == lab_keys.measures(notebook):
            return ""
        return "This lab or what it uses of the library changed after its record at full."

    def table(self, names: list[str], verdicts: dict[str, str]) -> nodes.Node:
        return table(list(HEADER), [self.row(n, verdicts[n]) for n in names], "scoreboard")

    def row(self, name: str, verdict: str) -> list[nodes.Node]:
        claim, full = self.newest(name), self.full.get(name)
        self.env.get_domain("std").note_hyperlink_target(
            anchor(name), self.env.docname, anchor(name), name
        )
        statement = nodes.paragraph(ids=[anchor(name)], text=claim.statement)
        for word, reason in (("Refuted", claim.refuted), ("Identity", claim.identity)):
            if reason:
                statement += nodes.emphasis(text=f" {word}: {reason}")
        texts = [
            claim.source,
            claim.bounds,
            measured(self.claims.get(name)),
            halfway(full),
            measured(full),
        ]
        cells: list[nodes.Node] = [nodes.paragraph(text=text) for text in texts]
        cells.insert(2, references(full or claim))
        mark = nodes.paragraph(classes=["verdict", f"verdict-{verdict.replace(' ', '-')}"])
        mark += nodes.Text(f"{MARKS.get(verdict, '')} {verdict}".strip())
        return [statement, *cells, mark]


def measured(claim: Claim | None) -> str:
    if claim is None:
        return NOT_RUN
    count = len(claim.seeds or ())
    return spread(claim.values) + (f", {count} seed{'s' * (count > 1)}" if count else "")


def halfway(full: Claim | None) -> str:
    if full is None or full.halfway is None:
        return NOT_RUN
    if full.halfway == full.values:
        return "the same"
    moving = "" if full.settled else ": still moving"
    return spread(full.halfway) + moving


def references(claim: Claim) -> nodes.Node:
    """Null, control and power of a claim, each with its words."""
    lines = [
        f"{kind}, {words}: {spread(values)}"
        for kind in ("null", "control", "power")
        for words, values in getattr(claim, kind).items()
    ]
    cell = nodes.container()
    cell += [nodes.paragraph(text=line) for line in lines] or [nodes.paragraph(text="–")]
    return cell
