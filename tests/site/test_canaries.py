"""The gates must be able to fail: each is shown something broken, and has to say so."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from tests.site.site_checks import ROOT, inaccessible, load, overflow, served, unlabelled_images


def run_lab(tmp_path, source: str) -> subprocess.CompletedProcess:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="one")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = tmp_path / "99-canary.ipynb"
    nbformat.write(notebook, path)
    command = [
        sys.executable,
        "tools/run_labs.py",
        "--tier",
        "class",
        "--build",
        tmp_path / "b",
        path,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


CLAIM = "from vae_course import lab\nhere = lab.start('99-canary')\n"
CLAIM += "lab.claim('canary.x', {}, statement='s', source='t', at_most=1.0)\nhere.finish()"


def test_a_failing_claim_or_cell_turns_the_labs_red(tmp_path):
    done = run_lab(tmp_path, CLAIM.format("2.0"))
    assert done.returncode != 0 and "ClaimFailed" in done.stdout
    assert run_lab(tmp_path, "1 / 0").returncode != 0


def test_a_lab_whose_claims_hold_is_green_and_not_run_twice(tmp_path):
    first, again = run_lab(tmp_path, CLAIM.format("0.5")), run_lab(tmp_path, CLAIM.format("0.5"))
    assert first.returncode == 0 and "1 of 1 labs to run" in first.stdout
    assert again.returncode == 0 and "0 of 1 labs to run" in again.stdout


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("See {ref}`nowhere`.", "nowhere"),
        ("It is {claim}`no.such_claim`.", "no lab recorded the claim 'no.such_claim'"),
        ("It is {claim}`balls.digits_top_eigenvalue:backwards`.", "no form 'backwards'"),
        ("```{lab-figure} no-figure\n:name: f\n\nCaption.\n```", "no lab recorded the figure"),
        ("All is well.", None),
    ],
)
def test_a_broken_reference_turns_the_book_red(tmp_path, text, complaint):
    for name in ("_config.yml", "tools"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    (tmp_path / "_build").mkdir()
    (tmp_path / "_build" / "results").symlink_to(ROOT / "_build" / "results")
    (tmp_path / "_build" / "vendor").symlink_to(ROOT / "_build" / "vendor")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    book = tmp_path / "book"
    (book / "static").mkdir(parents=True)
    (book / "references.bib").write_text("")
    (book / "index.md").write_text(f"# Canary\n\n{text}\n")
    build = [os.path.join(os.path.dirname(sys.executable), "jupyter-book"), "build", "."]
    done = subprocess.run(
        [*build, "--all", "-W", "-n", "--keep-going"], cwd=tmp_path, capture_output=True, text=True
    )
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == (complaint is not None), output
    assert complaint is None or complaint in output


BROKEN = """<!doctype html><html lang="en"><title>t</title><body><main><h1>t</h1>
<img src="missing.png"><canvas></canvas><button></button>
<script src="https://example.org/x.js"></script><script>throw new Error("loud")</script>
<div style="width:3000px">wide</div></main></body></html>"""


def test_each_site_check_sees_what_it_is_for(tmp_path, browser):
    (tmp_path / "broken.html").write_text(BROKEN)
    with served(tmp_path) as address:
        page, wrong = load(browser, f"{address}/broken.html")
        text = "\n".join(wrong)
        assert "external request: https://example.org" in text
        assert "404" in text and "loud" in text
        assert any("button-name" in v for v in inaccessible(page))
        assert len(unlabelled_images(page)) == 2
        assert overflow(page) > 1000
        page.close()
