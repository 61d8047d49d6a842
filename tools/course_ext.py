"""Sphinx extension: the book prints numbers, figures and verdicts from what the labs recorded.

Roles and directives (all fail the build, by a warning under ``-W``, on an unknown name):

``{claim}`id```            the measured value, linked to its row on the Scoreboard;
                           ``id:range``, ``id:percent`` and ``id:expected`` are other forms
``{scoreboard}``           all claims, a section a lab
``{lab-costs}``            the table of what each lab cost, and on which machine
``{lab-figure} name``      a picture a lab saved; the content is its caption
``{interactive} name``     an interactive figure a lab saved; ``:poster:`` names a picture for
                           readers without JavaScript; the content is its caption
"""

import json
from collections import Counter
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.addnodes import pending_xref
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from vae_course.figures import fragment
from vae_course.lab import Claim, read_claims
from vae_course.lab.ledger import show

log = logging.getLogger(__name__)
VERDICTS = {"holds": "✓ holds", "fails": "✗ fails", "refuted": "≠ refuted"}
NOT_RUN = "not yet run"


def builder_inited(app) -> None:
    root = Path(app.confdir)
    app.course_results = root / "_build" / "results" / "class"
    app.course_claims = read_claims(app.course_results)
    app.course_full = read_claims(root / "results" / "full")
    # sphinx-thebe, which Jupyter Book always loads, puts a broken script on every page.
    for event in ("env-before-read-docs", "doctree-resolved"):
        app.events.listeners[event] = [
            listener
            for listener in app.events.listeners[event]
            if getattr(listener.handler, "__module__", "") != "sphinx_thebe"
        ]


def recorded(app, kind: str, name: str) -> dict | None:
    """What a lab recorded under this name; a warning and None where none did."""
    found = list(app.course_results.glob(f"*/{kind}/{name}.json"))
    return json.loads(found[0].read_text()) if found else None


def anchor(claim_id: str) -> str:
    return "claim-" + claim_id.replace(".", "-").replace("_", "-")


class ClaimRole(SphinxRole):
    def run(self):
        name, _, form = self.text.partition(":")
        claim = self.env.app.course_claims.get(name)
        if claim is None:
            log.warning("no lab recorded the claim %r", name, location=self.get_location())
            return [nodes.inline(text=f"[{name}?]")], []
        low, high = min(claim.values), max(claim.values)
        texts = {
            "": lambda: show(claim.value),
            "range": lambda: f"{show(low)} to {show(high)}",
            "percent": lambda: f"{show(100 * claim.value)}\N{NO-BREAK SPACE}%",
            "expected": lambda: claim.bounds,
        }
        if form not in texts:
            log.warning("{claim} has no form %r", form, location=self.get_location())
            return [nodes.inline(text=f"[{name}:{form}?]")], []
        link = pending_xref(
            "", refdomain="std", reftype="ref", reftarget=anchor(name), refexplicit=True,
            refdoc=self.env.docname, refwarn=True,
        )  # fmt: skip
        link += nodes.inline(text=texts[form]())
        return [link], []


def measured(claim: Claim | None) -> str:
    if claim is None:
        return NOT_RUN
    low, high = min(claim.values), max(claim.values)
    spread = f" [{show(low)}, {show(high)}]" if low != high else ""
    count = len(claim.seeds or ())
    seeds = f", {count} seed{'s' * (count > 1)}" if count else ""
    return f"{show(claim.value)}{spread}{seeds}"


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


class Scoreboard(SphinxDirective):
    """A section a lab, a row a claim: who says so, what theory says, what was measured, verdict.

    Claims with a bound come first.
    """

    def run(self):
        claims, full = self.env.app.course_claims, self.env.app.course_full
        root = Path(self.env.app.confdir)
        folders = self.env.app.course_results, root / "results" / "full"
        labs = {path.stem: path.parts[-3] for f in folders for path in f.glob("*/claims/*.json")}
        sections = []
        for lab in sorted(set(labs.values())):
            of_lab = [
                claims.get(name, full.get(name)) for name in claims | full if labs[name] == lab
            ]
            of_lab.sort(key=lambda claim: (claim.verdict == "measured", claim.id))
            count = Counter(claim.verdict for claim in of_lab)
            section = nodes.section(ids=[f"lab-{lab}"], names=[lab])
            section += nodes.title(text=lab_title(root / "notebooks" / f"{lab}.ipynb"))
            section += nodes.paragraph(text=", ".join(f"{word}: {n}" for word, n in count.items()))
            section += self.claims_of(of_lab)
            sections.append(section)
        return sections

    def claims_of(self, of_lab: list[Claim]) -> nodes.Node:
        claims, full = self.env.app.course_claims, self.env.app.course_full
        std = self.env.get_domain("std")
        rows = []
        for claim in of_lab:
            name = claim.id
            std.note_hyperlink_target(anchor(name), self.env.docname, anchor(name), name)
            statement = nodes.paragraph(ids=[anchor(name)], text=claim.statement)
            if claim.refuted:
                statement += nodes.emphasis(text=f" Refuted: {claim.refuted}")
            verdict = VERDICTS.get(claim.verdict, claim.verdict)
            texts = [
                claim.source,
                claim.bounds,
                measured(claims.get(name)),
                measured(full.get(name)),
            ]
            cells = [nodes.paragraph(text=t) for t in texts]
            mark = nodes.paragraph(classes=["verdict", f"verdict-{claim.verdict.split()[0]}"])
            mark += nodes.Text(verdict)
            rows.append([statement, *cells, mark])
        header = [
            "Claim",
            "Who says so",
            "Expected",
            "Measured (class)",
            "Measured (full)",
            "Verdict",
        ]
        return table(header, rows, "scoreboard")


def lab_title(notebook: Path) -> str:
    """The first heading of a notebook."""
    cells = json.loads(notebook.read_text())["cells"]
    return "".join(cells[0]["source"]).splitlines()[0].lstrip("# ")


class LabCosts(SphinxDirective):
    """One row a lab: CPU-seconds, wall time and machine of the run this book shows."""

    def run(self):
        rows = []
        for path in sorted(self.env.app.course_results.glob("*/labs/*.json")):
            cost = json.loads(path.read_text())
            machine = cost["machine"]
            environment = (
                f"{machine['device']}, torch {machine['torch']}, Python {machine['python']}"
            )
            texts = [
                path.stem,
                cost["tier"],
                f"{cost['cpu_seconds']:.0f}",
                f"{cost['wall_seconds']:.0f}",
            ]
            rows.append([nodes.paragraph(text=t) for t in [*texts, environment]])
        header = ["Lab", "Tier", "CPU-seconds", "Seconds on the clock", "Machine"]
        return [table(header, rows, "lab-costs")]


class LabFigure(SphinxDirective):
    """A figure node around what a lab recorded, with the directive's content as caption."""

    required_arguments = 1
    has_content = True
    option_spec = {"name": directives.unchanged}

    def run(self):
        content = recorded(self.env.app, "figures", self.arguments[0])
        if content is None:
            return self.missing("figure")
        return self.figure(content["svg"])

    def missing(self, what: str):
        log.warning(
            "no lab recorded the %s %r", what, self.arguments[0], location=self.get_location()
        )
        return []

    def figure(self, markup: str):
        made = nodes.figure(classes=["lab-figure"])
        self.set_source_info(made)
        made += nodes.raw("", markup, format="html")
        caption = nodes.caption()
        caption += self.parse_inline("\n".join(self.content))[0]
        made += caption
        if "name" in self.options:
            self.add_name(made)
        return [made]

    def parse_inline(self, text: str):
        return self.state.inline_text(text, self.lineno)


class Interactive(LabFigure):
    option_spec = {**LabFigure.option_spec, "poster": directives.unchanged_required}

    def run(self):
        name = self.arguments[0]
        content = recorded(self.env.app, "interactive", name)
        poster = recorded(self.env.app, "figures", self.options.get("poster", name))
        if content is None or poster is None:
            return self.missing("interactive figure" if content is None else "poster of")
        return self.figure(
            f'<div class="figure-mount"><div class="figure-poster">{poster["svg"]}</div>'
            f"{fragment(content)}</div>"
        )


def setup(app):
    app.connect("builder-inited", builder_inited, priority=1)
    app.add_role("claim", ClaimRole())
    app.add_directive("scoreboard", Scoreboard)
    app.add_directive("lab-costs", LabCosts)
    app.add_directive("lab-figure", LabFigure)
    app.add_directive("interactive", Interactive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
