"""The gates must be able to fail: each is shown something broken, and has to say so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from tests.site.site_checks import (
    COLOURS,
    ROOT,
    Tab,
    inaccessible,
    overflow,
    served,
    unlabelled_images,
    unmounted,
    untypeset,
)

CLAIM = "from vae_course import lab\nhere = lab.start('{}')\n"
CLAIM += "lab.claim('canary.x', {}, statement='s', source='t', at_most=1.0)\nhere.finish()"


def run_labs(tmp_path: Path, sources: dict[str, str]) -> subprocess.CompletedProcess:
    """Labs of one cell each, by name."""
    for name, source in sources.items():
        cell = nbformat.v4.new_code_cell(source, id="one")
        notebook = nbformat.v4.new_notebook(cells=[cell])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    command = [sys.executable, "tools/run_labs.py", "--tier", "class", "--build", tmp_path / "b"]
    command += [tmp_path / f"{name}.ipynb" for name in sources]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_failing_claim_and_a_failing_cell_turn_their_labs_red(tmp_path):
    broken = {"98-claim": CLAIM.format("98-claim", "2.0"), "99-cell": "1 / 0"}
    done = run_labs(tmp_path, broken)
    assert done.returncode != 0
    assert "ClaimFailed" in done.stdout and "ZeroDivisionError" in done.stdout
    assert all(f"{name}: FAILED at tier class" in done.stdout for name in broken)


def test_a_lab_whose_claims_hold_is_green_and_not_run_twice(tmp_path):
    lab = {"99-canary": CLAIM.format("99-canary", "0.5")}
    first, again = run_labs(tmp_path, lab), run_labs(tmp_path, lab)
    assert first.returncode == 0 and "1 of 1 labs to run" in first.stdout
    assert again.returncode == 0 and "0 of 1 labs to run" in again.stdout


def build(tmp_path: Path, pages: dict[str, str]) -> subprocess.CompletedProcess:
    """A book of these pages, by the rules of the real one; the first page is the root."""
    for name in ("_config.yml", "tools"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    (tmp_path / "_build").mkdir()
    (tmp_path / "_build" / "results").symlink_to(ROOT / "_build" / "results")
    (tmp_path / "_build" / "vendor").symlink_to(ROOT / "_build" / "vendor")
    root, *others = pages
    toc = "".join(f"- file: book/{name}\n" for name in others)
    toc = f"format: jb-book\nroot: book/{root}\n" + (f"chapters:\n{toc}" if toc else "")
    (tmp_path / "_toc.yml").write_text(toc)
    (tmp_path / "book" / "static").mkdir(parents=True)
    (tmp_path / "book" / "references.bib").write_text("")
    for name, text in pages.items():
        (tmp_path / "book" / f"{name}.md").write_text(f"# Canary\n\n{text}\n")
    command = [os.path.join(os.path.dirname(sys.executable), "jupyter-book"), "build", "."]
    command += ["--all", "-W", "-n", "--keep-going"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)


# One build shows them all: each warning names its page, and each warning is fatal (-W).
BROKEN_PAGES = {
    "reference": ("See {ref}`nowhere`.", "nowhere"),
    "claim": ("It is {claim}`no.such_claim`.", "no lab recorded the claim 'no.such_claim'"),
    "form": ("It is {claim}`balls.digits_top_eigenvalue:backwards`.", "no form 'backwards'"),
    "figure": (
        "```{lab-figure} no-figure\n:name: f\n\nCaption.\n```",
        "no lab recorded the figure",
    ),
    "report": ("```{lab-report} no-report\n```", "no lab recorded the report 'no-report'"),
    "output": ("```{lab-output} no-output\n```", "no lab recorded the output 'no-output'"),
}


def test_each_broken_reference_turns_the_book_red(tmp_path):
    pages = {name: text for name, (text, _) in BROKEN_PAGES.items()}
    done = build(tmp_path, {"index": "All is well.", **pages})
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert done.returncode != 0
    for name, (_, complaint) in BROKEN_PAGES.items():
        of_page = [line for line in warnings if f"book/{name}.md" in line]
        assert len(of_page) == 1 and complaint in of_page[0], done.stderr
    assert not any("book/index.md" in line for line in warnings)


def test_a_book_without_a_fault_is_green(tmp_path):
    done = build(tmp_path, {"index": "All is well."})
    assert done.returncode == 0, done.stdout + done.stderr


BROKEN = """<!doctype html><html lang="en"><title>t</title><body><main><h1>t</h1>
<img src="missing.png"><canvas></canvas><button></button>
<span class="math">\\(x\\)</span><mjx-merror>\\nonsense</mjx-merror>
<div><div class="figure-poster">poster</div>
<script type="application/vnd.jupyter.widget-view+json">{}</script></div>
<script src="https://example.org/x.js"></script><script>throw new Error("loud")</script>
<p style="color:#ccc;background:#fff">pale</p>
<div style="width:3000px">wide</div></main></body></html>"""


def test_each_site_check_sees_what_it_is_for_and_forgets_it_on_the_next_page(tmp_path, browser):
    (tmp_path / "broken.html").write_text(BROKEN)
    (tmp_path / "sound.html").write_text("<title>t</title>")
    tab = Tab(browser)
    with served(tmp_path) as address:
        page = tab.open(f"{address}/broken.html")
        text = "\n".join(tab.wrong)
        assert "external request: https://example.org" in text
        assert "ERR_NAME_NOT_RESOLVED" in text  # and cut off
        assert "404" in text and "loud" in text
        assert any("button-name" in v for v in inaccessible(page))
        assert any("color-contrast" in v for v in inaccessible(page, COLOURS))
        assert len(unlabelled_images(page)) == 2
        assert len(untypeset(page)) == 2
        assert len(unmounted(page)) == 2
        assert overflow(page) > 1000
        tab.open(f"{address}/sound.html")
        assert tab.wrong == []
        tab.close()
