"""The packs to hand out: all that students need and none of the secrets; the site has none."""

import ast
import base64
import functools
import html
import io
import json
import os
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.grading.toy import needs_sandbox
from tests.labs.independent.cells import MASTERS, PATHS, ROOT

if TYPE_CHECKING:
    import masters

KINDS = ("solution.ipynb", "instructor.ipynb", "autograder.zip", "grading.json")


# ---- what nobody but a teacher may see


def flat(text: str) -> str:
    """Code without what a formatter, JSON or a page changes of it: spaces and quotes."""
    return re.sub(r"\\n|[\s\"'\\]", "", text)


def secrets(master: "masters.Master") -> Iterator[str]:
    import masters

    for question in master.questions.values():
        yield masters.without_marks(question.solution)
        yield from (mistake.code for mistake in question.mistakes)
        for function in ast.parse(question.test_source).body:
            if "hidden=True" in ast.unparse(getattr(function, "decorator_list", [])):
                function.decorator_list = []
                yield f"def {function.name}("
                yield ast.unparse(function)
                expected = next(s.value for s in function.body if "expected =" in ast.unparse(s))
                if len(literal := ast.unparse(expected)) > 40:
                    yield literal


@functools.cache
def all_secrets() -> dict[str, str]:
    return {flat(secret): name for name, master in MASTERS.items() for secret in secrets(master)}


def texts(name: str, data: bytes) -> Iterator[str]:
    """What can be read of a file, and of the files and the checks that are packed into it."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for inner in archive.namelist():
                yield from texts(inner, archive.read(inner))
        return
    if b"\0" in data:  # weights, images
        return
    text = data.decode("utf-8", errors="replace")
    yield text
    if name.endswith(".html"):
        yield html.unescape(re.sub(r"<[^>]*>", "", text))
    if name.endswith(".ipynb"):
        code = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        yield code
        for packed in re.findall(r'packed = "(.*)"', code):
            contents = json.loads(zlib.decompress(base64.b85decode(packed)))
            yield from contents["checks"].values()
            for locked in contents["solutions"].values():
                yield from [*locked["probes"], json.dumps(locked["lock"])]


def found_in(name: str, data: bytes) -> set[str]:
    """The masters whose secrets a file shows, by its name or by what is in it."""
    said = "\0".join(map(flat, texts(name, data)))
    found = {master for secret, master in all_secrets().items() if secret in said}
    return found | {m for m in MASTERS if name.endswith(tuple(f"{m}-{kind}" for kind in KINDS))}


def leaks(folder: Path) -> dict[str, set[str]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(p.relative_to(folder)): found_in(p.name, p.read_bytes()) for p in files}
    return {name: whose for name, whose in found.items() if whose}


def test_what_the_site_is_made_of_has_none_of_the_secrets():
    for folder in ("book", "notebooks", "vae_course"):
        assert leaks(ROOT / folder) == {}


def test_the_built_site_has_none_of_the_secrets():
    site = ROOT / "_build" / "html"
    if not site.exists():
        pytest.skip("the book is not built")
    assert leaks(site) == {}
    assert not [path for path in site.rglob("*") if "vae-course-" in path.name]


@pytest.mark.parametrize("what", [0, 1, -1], ids=["solution", "mistake", "hidden test"])
@pytest.mark.parametrize("how", ["page", "notebook", "archive", "JSON"])
def test_a_secret_that_was_let_out_is_found(tmp_path, what, how):
    import nbformat
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    name, master = next(iter(MASTERS.items()))
    secret = list(secrets(master))[what]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(secret)])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.ipynb", nbformat.writes(notebook))
    page = highlight(secret, PythonLexer(), HtmlFormatter(full=True, linenos=False))
    files = {
        "page": ("page.html", page.encode()),
        "notebook": ("lab.ipynb", nbformat.writes(notebook).encode()),
        "archive": ("a.bin", archive.getvalue()),
        "JSON": ("searchindex.js", json.dumps({"text": f"before\n{secret}"}).encode()),
    }
    file, data = files[how]
    (tmp_path / file).write_bytes(data)
    assert name in leaks(tmp_path)[file]


def test_a_file_of_the_instructors_is_found_by_its_name_alone(tmp_path):
    (tmp_path / "04-packing-grading.json").touch()
    assert leaks(tmp_path) == {"04-packing-grading.json": {"04-packing"}}


# ---- the packs


@pytest.fixture(scope="module")
def released(build, exercises):
    """The build folder, with the exercises of every master and the packs of them."""
    import make_release

    for name in MASTERS:
        exercises(name)
    make_release.release(build / "release", build)
    return build


@pytest.fixture(scope="module")
def unpacked(released, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    for path in (released / "release").iterdir():
        zipfile.ZipFile(path).extractall(folder)
    return folder


def inside(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_students_get_every_notebook_as_it_was_made_and_no_secret(released, unpacked):
    student = unpacked / "vae-course-student"
    assert inside(student) == {"README.txt", "LICENSE", *(f"{name}.ipynb" for name in MASTERS)}
    for name in MASTERS:
        made = released / "exercises" / name / "student" / f"{name}.ipynb"
        assert (student / made.name).read_bytes() == made.read_bytes()
    assert leaks(student) == {}
    pack = released / "release" / "vae-course-student.zip"
    assert found_in("a.zip", pack.read_bytes()) == set()


def test_teachers_get_four_files_a_chapter_and_every_page(released, unpacked):
    teacher = unpacked / "vae-course-instructor"
    pages = [path.name for path in (ROOT / "book" / "instructors").glob("*.md")]
    files = {f"exercises/{n}/instructor/{n}-{kind}" for n in MASTERS for kind in KINDS}
    files |= {f"pages/{name}" for name in pages}
    assert inside(teacher) == files | {"README.md", "LICENSE"}
    for name in MASTERS:
        for kind in KINDS:
            path = f"exercises/{name}/instructor/{name}-{kind}"
            assert (teacher / path).read_bytes() == (released / path).read_bytes()
    assert set(leaks(teacher)) == files - {f"pages/{name}" for name in pages}


def test_the_pages_and_the_readmes_are_readable_outside_of_the_book(unpacked):
    import make_exercises

    url, book = make_exercises.site()
    files = [*unpacked.rglob("*.md"), *unpacked.rglob("*.txt")]
    assert len(files) >= 5
    for path in files:
        text = path.read_text()
        assert not re.search(r"\{[\w-]+\}[`\n ]|^---$|^:::", text, re.MULTILINE), "MyST's own"
        for target in re.findall(r"\]\((.+?)\)", text):
            if target.startswith(f"{book}book/"):
                page, _, anchor = target.removeprefix(book).partition("#")
                source = (ROOT / page).with_suffix(".md").read_text()
                assert not anchor or f":name: {anchor}\n" in source
            elif "://" not in target:
                assert (path.parent / target).is_file()
        assert set(re.findall(r"https://[\w./-]+?vae_course/?", text)) <= {url, book}


def test_the_same_contents_make_the_same_packs(released, tmp_path):
    import make_release

    again = shutil.copytree(released, tmp_path / "again", copy_function=shutil.copy)
    for path in again.rglob("*"):
        os.utime(path, (0, 0))
    for path in make_release.release(tmp_path / "out", again):
        assert path.read_bytes() == (released / "release" / path.name).read_bytes()
        with zipfile.ZipFile(path) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            assert archive.namelist() == sorted(archive.namelist())


@pytest.mark.parametrize("place", ["html", "html/a/b", "link", "static", "elsewhere/a", "vendor"])
def test_nothing_is_written_where_the_site_is_published_from(tmp_path, monkeypatch, place):
    import make_release

    build = tmp_path / "_build"
    (build / "html").mkdir(parents=True)
    (build / "link").symlink_to(build / "html")
    (build / "elsewhere").mkdir()
    (build / "elsewhere" / "objects.inv").touch()  # a copy of the site, as Sphinx leaves it
    outside = {"static": ROOT / "book" / "static" / "x", "vendor": ROOT / "_build" / "vendor"}
    monkeypatch.setattr(make_release, "made", lambda build: pytest.fail("it went on"))
    with pytest.raises(ValueError, match="published"):
        make_release.release(outside.get(place, build / place), build)
    assert inside(build) == {"elsewhere/objects.inv"}


def test_a_missing_or_stale_exercise_is_no_release(tmp_path, monkeypatch, capsys):
    import make_exercises
    import make_release

    monkeypatch.setattr(sys, "argv", ["make", "--build", str(tmp_path)])
    assert make_release.main() == 1
    assert "01-points-and-balls.ipynb as it is: run make exercises" in capsys.readouterr().err
    for name, path in PATHS.items():
        (tmp_path / "exercises" / name).mkdir(parents=True)
        (tmp_path / "exercises" / name / "key").write_text(make_exercises.key(path))
    assert list(make_release.made(tmp_path)) == list(MASTERS)
    (tmp_path / "exercises" / "04-packing" / "key").write_text("of another master")
    assert make_release.main() == 1
    assert "04-packing.ipynb as it is" in capsys.readouterr().err
    assert not (tmp_path / "release").exists()


@needs_sandbox
@pytest.mark.timeout(1800)
def test_the_readmes_command_gives_the_packs_solution_full_marks(unpacked, tmp_path, monkeypatch):
    from vae_course.grading import __main__ as program

    teacher = unpacked / "vae-course-instructor"
    command = re.search(
        r"^python -m (vae_course\.grading .+)$", (teacher / "README.md").read_text(), re.MULTILINE
    )[1]
    assert "SUBMISSIONS/" in command and "--assignment 01 " in command
    handed_in = tmp_path / "in"
    handed_in.mkdir()
    chapter = teacher / "exercises" / "01-points-and-balls" / "instructor"
    shutil.copy(chapter / "01-points-and-balls-solution.ipynb", handed_in / "ada.ipynb")
    words = command.replace("SUBMISSIONS/", str(handed_in)).split()
    words[words.index("grades.csv")] = str(tmp_path / "grades.csv")
    monkeypatch.chdir(teacher)
    monkeypatch.setattr(sys, "argv", [*words, "--jobs", "1"])
    assert program.main() == 0
    assert (tmp_path / "grades.csv").read_text().splitlines()[1].startswith("ada,")
    assert (tmp_path / "grades.csv").read_text().splitlines()[1].endswith(",24")
    assert (tmp_path / "grades" / "feedback" / "ada.html").exists()
