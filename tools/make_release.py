"""Two archives to hand out: what students get, what teachers get.

    python tools/make_release.py                    # after make exercises

    _build/release/vae-course-student.zip     the students' notebooks
    _build/release/vae-course-instructor.zip  solutions, all tests, lesson plans, how to grade

The second one is never written where the book is published from.
"""

import argparse
import functools
import os
import re
import sys
from pathlib import Path

import make_exercises
import yaml

from vae_course.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent

STUDENT = """\
The geometry of VAE latents: exercises
======================================

One notebook a chapter. Each is complete: its first cell installs what is missing and
unpacks the checks. Nothing else in this folder is needed to work on it.

On Colab     https://colab.research.google.com, File > Upload notebook, run the first cell.

On your own computer, with Python 3.11 or newer:

                 python -m pip install jupyterlab
                 python -m jupyter lab

             Open a notebook and run its first cell. The first time, this fetches PyTorch.

The book with the labs: {book}

Replace each "..." and run the check below it. A check that fails says what it has noticed.
Hand in the notebook itself, one file, and keep the names of the functions. What counts is
the code in its cells; outputs and the checks' own files do not.

Licence: see LICENSE (code MIT, text CC BY 4.0).
"""

TEACHER = """\
# The geometry of VAE latents: for instructors

**Keep this archive off public pages**: it holds solutions and hidden tests.

| here | what it is |
|---|---|
| `exercises/NN-name/instructor/NN-name-instructor.ipynb` | read this one: solutions, all tests, \
known wrong answers |
| `…-solution.ipynb` | the students' notebook, solved; handed in, it earns full marks |
| `…-grading.json` | the tests, for the grader below |
| `…-autograder.zip` | the tests, for Gradescope and `otter run` |
| `pages/lessons.md` | lesson plans of 45 and 90 minutes |
| `pages/objectives.md` | which exercise meets which objective; minutes, points |
| `pages/rubric.md` | a rubric for what a machine cannot mark |
| `pages/grading.md` | how to grade a class, in full |

The students' notebooks are in `vae-course-student.zip`. The book: <{book}>

## Grade a class

On Linux, with Python 3.11 or newer. Students' code runs in a sandbox, for which the grader needs
bubblewrap; without it, it refuses.

```bash
sudo apt-get install bubblewrap util-linux
python -m pip install "vae_course[grade] @ git+{url}"
python -m vae_course.grading SUBMISSIONS/ --assignment 01 --build . --out grades.csv
```

`SUBMISSIONS/` is the unzipped download of Canvas or Moodle, or any folder of notebooks; `--build .`
is this folder. You get `grades.csv`, a page of feedback for each student in `grades/feedback/`,
`grades/summary.txt`, and in `grades/files.csv` whose each file is and which one counts. Files that
fit nobody, or two, are listed there and in the summary, and the status is 1. Stopped half way, the
same command goes on.

- **Roster.** `--roster FILE`, a gradebook exported from Canvas, fills in names and numbers, and
  who handed in nothing gets a row with 0 points.
- **Canvas.** Import `grades.csv` in the gradebook. To fill an assignment that exists, rename the
  last column to that assignment's name in an exported gradebook, number included.
- **Moodle.** Without a roster, the column `ID` is the number in a folder's name: that of a
  participant in one assignment, which its grading worksheet has under *Identifier*.
- **Gradescope.** `SUBMISSIONS/` may be its export. Or upload `…-autograder.zip` as the autograder
  of a programming assignment: there the tests run in the same process as the student's code.

Licence: see LICENSE (code MIT, text CC BY 4.0).
"""


def check_place(out: Path, build: Path) -> None:
    """ValueError for a folder of the site, or one that the book copies its pages from."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    static = [ROOT / path for path in config["html_static_path"]]
    inside = [out.resolve(), *out.resolve().parents]
    sites = {path.resolve() for path in [build / "html", ROOT / "book", *static]}
    sites |= {path for path in inside if (path / "objects.inv").exists()}
    if found := sites & set(inside):
        raise ValueError(
            f"--out {out} lies in {found.pop()}, which is published: take a folder outside"
        )


def made(build: Path) -> dict[str, Path]:
    """The folder of each master's notebooks; ValueError where one is missing or stale."""
    folders = {}
    for master in sorted((ROOT / "exercises").glob("*.ipynb")):
        folder = build / "exercises" / master.stem
        mark = folder / "key"
        if not mark.exists() or mark.read_text() != make_exercises.key(master):
            raise ValueError(f"{folder} is not made of {master.name} as it is: run make exercises")
        folders[master.stem] = folder
    return folders


def plain(page: Path, book: str) -> str:
    """A page of the book as Markdown that is read outside of it; links lead to the book."""
    text = re.sub(r"\A---\n.*?\n---\n", "", page.read_text(), flags=re.DOTALL)
    text = re.sub(r"\]\(\.\./([\w/-]+)\.md", rf"]({book}book/\1.html", text)
    homes = {
        name: chapter.stem
        for chapter in sorted((ROOT / "book").glob("*.md"))
        for name in re.findall(r"^:name: (.+)$", chapter.read_text(), re.MULTILINE)
    }

    def figure(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"[{name.replace('-', ' ')}]({book}book/{homes[name]}.html#{name})"

    return re.sub(r"\{numref\}`(.+?)`", figure, text)


def student_files(folders: dict[str, Path], url: str, book: str) -> dict[str, bytes]:
    files = {f"{n}.ipynb": (f / "student" / f"{n}.ipynb").read_bytes() for n, f in folders.items()}
    return files | {"README.txt": STUDENT.format(book=book).encode()}


def instructor_files(folders: dict[str, Path], url: str, book: str) -> dict[str, bytes]:
    files = {"README.md": TEACHER.format(url=url, book=book).encode()}
    for name, folder in folders.items():
        for path in (folder / "instructor").iterdir():
            files[f"exercises/{name}/instructor/{path.name}"] = path.read_bytes()
    for page in (ROOT / "book" / "instructors").glob("*.md"):
        files[f"pages/{page.name}"] = plain(page, book).encode()
    return files


def release(out: Path, build: Path) -> list[Path]:
    """Write both archives; ValueError before anything is written."""
    check_place(out, build)
    folders = made(build)
    url, book = make_exercises.site()
    licence = {"LICENSE": (ROOT / "LICENSE").read_bytes()}
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, files in [("student", student_files), ("instructor", instructor_files)]:
        name = f"vae-course-{kind}"
        inside = {f"{name}/{k}": v for k, v in (files(folders, url, book) | licence).items()}
        target = out / f"{name}.zip"
        write_atomically(target, functools.partial(make_exercises.pack, inside))
        written.append(target)
    return written


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "_build")
    parser.add_argument("--out", type=Path, help="default: release in the build folder")
    options = parser.parse_args()
    try:
        written = release(options.out or options.build / "release", options.build)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for path in written:
        print(f"{os.path.relpath(path)}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
