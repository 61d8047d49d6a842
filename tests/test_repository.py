"""Owner and repository are named once, in _config.yml; everything that repeats them must agree."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
URL = CONFIG["repository"]["url"]
LABS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_published_address_follows_from_the_repository():
    owner, name = URL.removeprefix("https://github.com/").split("/")
    published = f"https://{owner}.github.io/{name}/"
    assert CONFIG["html"]["baseurl"] == published
    assert CONFIG["sphinx"]["config"]["ogp_site_url"] == published


def test_no_file_names_another_repository():
    files = [ROOT / "README.md", ROOT / "CITATION.cff", *(ROOT / "book").rglob("*.md"), *LABS]
    named = {
        address.removesuffix(".git")
        for path in files
        for address in re.findall(r"https://github\.com/[\w-]+/vae_course", path.read_text())
    }
    assert named == {URL}


@pytest.mark.parametrize("path", LABS, ids=lambda p: p.stem)
def test_a_labs_setup_cell_installs_the_course_only_if_missing(path):
    setup = next(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code")
    body = re.match(
        r"(?:#.*\n)*try:\n(?: +import rdkit.*\n\s*)? +import vae_course.*\nexcept ImportError:\n"
        r"((?: +.*\n?)+)$",
        setup,
    )
    assert body, "the setup cell imports vae_course, and installs it where that fails"
    installs = re.findall(r"pip install.*", setup)
    source = f"vae_course[molecules] @ git+{URL}" if "rdkit" in setup else f"git+{URL}"
    assert installs == [f'pip install -q "{source}"'], "and touches neither torch nor numpy"


def test_the_library_leaves_torch_and_numpy_to_the_machine():
    text = (ROOT / "pyproject.toml").read_text()
    assert re.search(r'"torch>=[\d.]+"', text) and re.search(r'"numpy>=[\d.]+"', text)
    pins = (ROOT / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins if line[:1] != "#")


def test_each_interactive_figure_has_a_poster_of_its_own_name():
    labs = "".join(path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb"))
    pages = "".join(path.read_text() for path in (ROOT / "book").glob("*.md"))
    names = re.findall(r"{interactive} ([\w-]+)", pages)
    assert len(names) > 20
    saved = {name: labs.count(f'.save(\\"{name}\\")') for name in names}
    assert {name: times for name, times in saved.items() if times < 2} == {}
