"""Grade a class: ``python -m vae_course.grading SUBMISSIONS/ --assignment NN --out grades.csv``.

Every student's code runs in a sandbox, one process each; the tests run outside. A result is kept
as soon as it is there, so that a run that was stopped goes on where it was.
"""

import argparse
import hashlib
import json
import os
import platform
import queue
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import vae_course
from vae_course.files import write_atomically
from vae_course.grading import assignment, gradebook, handed_in, report, walls
from vae_course.grading.judge import Judge, JudgeError
from vae_course.grading.sandbox import Limits

Results = dict[Path, dict[str, Any] | None]


def file_name(name: str) -> str:
    """The name, or so much of it that a file may have it."""
    data = os.fsencode(name)
    if len(data) <= 200:
        return name
    return f"{os.fsdecode(data[:180])}-{hashlib.sha256(data).hexdigest()[:12]}"


def grading_file(wanted: str, build: Path) -> Path:
    """``NN`` as ``make exercises`` has made it, or the path of a grading file."""
    if wanted.endswith(".json"):
        return Path(wanted)
    found = sorted((build / "exercises").glob(f"{wanted}*/instructor/*-grading.json"))
    if len(found) != 1:
        raise ValueError(
            f"--assignment {wanted!r} names {len(found)} assignments under {build}/exercises: "
            "run make exercises, or give the path of its -grading.json"
        )
    return found[0]


def code() -> bytes:
    """A hash of the course and of what it stands on: tests and students' code call all of it."""
    digest = hashlib.sha256(f"{sys.version} {torch.__version__} {platform.machine()}".encode())
    root = Path(vae_course.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(root)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def key(path: Path, fixed: bytes, limits: Limits) -> str:
    """A hash of all that decides a result."""
    digest = hashlib.sha256(fixed)
    try:
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= limits.notebook:
            digest.update(path.read_bytes())
        else:
            state = (path.exists(), path.is_symlink(), path.is_file() and path.stat().st_size)
            digest.update(repr(("no notebook", state)).encode())
    except OSError as error:
        digest.update(repr(("no notebook", error.errno)).encode())
    return digest.hexdigest()


def keep(path: Path, text: str) -> None:
    def write(part: Path) -> None:
        part.write_text(text)

    write_atomically(path, write)


def stored(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def grade_all(
    keys: dict[Path, str],
    told: assignment.Assignment,
    folder: Path,
    options: argparse.Namespace,
    limits: Limits,
) -> tuple[Results, dict[Path, str]]:
    """Results by file; what is in the folder already is not graded again.

    And errors of files that could not be graded, for no reason of their students'.
    """
    errors: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    results = {k: stored(folder / f"{k}.json") for k in set(keys.values())}
    todo = {k: path for path, k in keys.items() if results[k] is None}
    # Processes: tests draw from torch's global generator, one seed at a time.
    judges = [Judge(told, limits, not options.unsafe) for _ in range(max(1, options.jobs))]
    free: queue.SimpleQueue[Judge] = queue.SimpleQueue()
    for judge in judges:
        free.put(judge)

    def one(path: Path) -> dict[str, Any]:
        judge = free.get()
        try:
            try:
                return judge(path)
            except JudgeError:  # a computer with too much to do, perhaps
                return judge(path)
        finally:
            free.put(judge)

    with ThreadPoolExecutor(len(judges)) as pool:
        work = {pool.submit(one, path): k for k, path in todo.items()}
        try:
            for done in tqdm(as_completed(work), total=len(work), unit="submission"):
                k = work[done]
                try:
                    results[k] = done.result()
                except JudgeError as error:
                    errors[k] = str(error)
                else:
                    keep(folder / f"{k}.json", json.dumps(results[k], indent=1))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for judge in judges:
                judge.end()
    found = {path: results[k] for path, k in keys.items()}
    return found, {path: errors[k] for path, k in keys.items() if k in errors}


def refuse(options: argparse.Namespace, path: Path) -> None:
    """ValueError where the command's folders cannot be, before anything is graded."""
    out, folder = options.out, options.out.with_suffix("")
    if out.suffix != ".csv" or out.is_dir():
        raise ValueError(f"--out {out} must be a file whose name ends in .csv: grades.csv")
    if options.submissions.resolve() in [folder.resolve(), *out.resolve().parents]:
        raise ValueError(f"--out {out} lies among the submissions: give another place")
    private = [options.submissions, path, out, *([options.roster] if options.roster else [])]
    for place in [] if options.unsafe else private:
        if (seen := walls.sees(place)) is not None:
            raise ValueError(
                f"{place} lies in {seen}, which students' code can read: move it elsewhere"
            )
    for needed in (folder / "results", folder / "feedback"):
        needed.mkdir(parents=True, exist_ok=True)
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise ValueError(f"--out {out} cannot be written: give another place")


def write(out: Path, graded: gradebook.Graded, told: assignment.Assignment) -> str:
    """The table, the list of files, the pages and the summary; returns the summary."""
    folder = out.with_suffix("")
    report.write_table(out, graded.rows(told.name), told.name)
    report.write(folder / "files.csv", graded.files(), report.FILES)
    for name, result, notes in graded.pages():
        page = folder / "feedback" / f"{file_name(name)}.html"
        page.write_text(report.feedback(result, told.name, notes), encoding="utf-8")
    said = report.summary(graded.results(), told.mistakes) + graded.doubts()
    (folder / "summary.txt").write_text(said, encoding="utf-8")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(prog="vae_course.grading", description=__doc__.split("\n")[0])
    parser.add_argument("submissions", type=Path, help="a folder: notebooks, or a folder of each")
    parser.add_argument("--assignment", required=True, help="NN, or the path of a -grading.json")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"))
    parser.add_argument("--build", type=Path, default=Path("_build"), help="of make exercises")
    parser.add_argument("--roster", type=Path, help="the class, a gradebook exported from Canvas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    parser.add_argument("--total", type=float, default=Limits.total, help="seconds each")
    parser.add_argument("--cell", type=float, default=Limits.cell, help="seconds a cell")
    parser.add_argument("--call", type=float, default=Limits.call, help="seconds a call")
    parser.add_argument("--start", type=float, default=Limits.start, help="seconds to start")
    parser.add_argument("--unsafe", action="store_true", help="no sandbox: for code you trust")
    options = parser.parse_args()
    if not options.unsafe and not walls.available():
        print(walls.MISSING, file=sys.stderr)
        return 2
    limits = Limits(total=options.total, cell=options.cell, call=options.call, start=options.start)
    try:
        path = grading_file(options.assignment, options.build)
        told, students = assignment.read(path), report.roster(options.roster)
        works = handed_in.read(options.submissions)
        refuse(options, path)
        fixed = path.read_bytes() + code()
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    fixed += json.dumps([asdict(limits), options.unsafe], sort_keys=True).encode()
    graded = gradebook.Graded(*handed_in.pupils(works, students, report.COLUMNS), told)
    keys = {file: key(file, fixed, limits) for file in graded.wanted()}
    folder = options.out.with_suffix("")
    graded.results_of, graded.errors = grade_all(keys, told, folder / "results", options, limits)
    try:
        print(write(options.out, graded, told))
    except OSError as error:
        print(f"{error}: give the same command again, nothing is lost", file=sys.stderr)
        return 2
    return int(bool(graded.doubts()))


if __name__ == "__main__":
    sys.exit(main())
