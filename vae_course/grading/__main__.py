"""Grade a class: ``python -m vae_course.grading SUBMISSIONS/ --assignment NN --out grades.csv``.

Every student's code runs in a sandbox, one process each; the tests run outside. A result is kept
as soon as it is there, so that a run that was stopped goes on where it was.
"""

import argparse
import hashlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from tqdm import tqdm

from vae_course.files import write_atomically
from vae_course.grading import assignment, grade, report, sandbox


def submissions(folder: Path) -> dict[str, Path]:
    """Name and file of each: a file, or a folder that holds one notebook (Moodle)."""
    if not folder.is_dir():
        raise ValueError(f"SUBMISSIONS {report.readable(str(folder))} is not a folder")
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            inside = sorted(p for p in path.glob("*.ipynb") if not p.name.startswith("."))
            name, file = path.name, inside[0] if len(inside) == 1 else path / "one notebook"
        else:
            name, file = path.stem if path.suffix == ".ipynb" else path.name, path
        found[path.name if name in found else name] = file
    return found


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


def key(path: Path, fixed: bytes, limits: sandbox.Limits) -> str:
    """A hash of all that decides a result."""
    digest = hashlib.sha256(fixed)
    if path.is_file() and not path.is_symlink() and path.stat().st_size <= limits.notebook:
        digest.update(path.read_bytes())
    else:
        state = (path.exists(), path.is_symlink(), path.is_file() and path.stat().st_size)
        digest.update(repr(("no notebook", state)).encode())
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


def one(
    k: str, path: Path, told: assignment.Assignment, limits: sandbox.Limits, safe: bool
) -> tuple[str, dict[str, Any]]:
    """In a process of the pool: a key and its result."""
    torch.set_num_threads(1)
    return k, grade.submission(path, told, limits, safe)


def grade_all(
    found: dict[str, Path],
    told: assignment.Assignment,
    keys: dict[str, str],
    folder: Path,
    options: argparse.Namespace,
    limits: sandbox.Limits,
) -> dict[str, dict[str, Any]]:
    """Results by name; what is in the folder already is not graded again."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {k: stored(folder / f"{k}.json") for k in set(keys.values())}
    todo = {keys[name]: path for name, path in found.items() if results[keys[name]] is None}
    # Processes: tests draw from torch's global generator, one seed at a time.
    pool = Parallel(options.jobs, return_as="generator_unordered", batch_size=1)
    work = pool(delayed(one)(k, path, told, limits, not options.unsafe) for k, path in todo.items())
    for k, result in tqdm(work, total=len(todo), unit="submission"):
        results[k] = result
        keep(folder / f"{k}.json", json.dumps(result, indent=1))
    return {name: results[k] for name, k in keys.items()}  # type: ignore[misc]


def main() -> int:
    parser = argparse.ArgumentParser(prog="vae_course.grading", description=__doc__.split("\n")[0])
    parser.add_argument("submissions", type=Path, help="a folder: notebooks, or a folder of each")
    parser.add_argument("--assignment", required=True, help="NN, or the path of a -grading.json")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"))
    parser.add_argument("--build", type=Path, default=Path("_build"), help="of make exercises")
    parser.add_argument("--roster", type=Path, help="the class, a gradebook exported from Canvas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    parser.add_argument("--total", type=float, default=sandbox.Limits.total, help="seconds each")
    parser.add_argument("--cell", type=float, default=sandbox.Limits.cell, help="seconds a cell")
    parser.add_argument("--call", type=float, default=sandbox.Limits.call, help="seconds a call")
    parser.add_argument("--unsafe", action="store_true", help="no sandbox: for code you trust")
    options = parser.parse_args()
    if not options.unsafe and not sandbox.available():
        print(sandbox.MISSING, file=sys.stderr)
        return 2
    limits = sandbox.Limits(total=options.total, cell=options.cell, call=options.call)
    folder = options.out.with_suffix("")
    try:
        if options.submissions.resolve() in [folder.resolve(), *options.out.resolve().parents]:
            raise ValueError(f"--out {options.out} lies among the submissions: give another place")
        found = submissions(options.submissions)
        path = grading_file(options.assignment, options.build)
        told, students = assignment.read(path), report.roster(options.roster)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    course = sorted(Path(__file__).parent.glob("*.py"))
    fixed = b"".join(p.read_bytes() for p in [path, *course])
    fixed += json.dumps([asdict(limits), options.unsafe], sort_keys=True).encode()
    keys = {name: key(p, fixed, limits) for name, p in found.items()}
    results = grade_all(found, told, keys, folder / "results", options, limits)
    report.write_table(options.out, report.rows(results, students, told.name), told.name)
    (folder / "feedback").mkdir(exist_ok=True)
    for name, result in results.items():
        page = folder / "feedback" / f"{file_name(name)}.html"
        page.write_text(report.feedback(result, told.name), encoding="utf-8")
    said = report.summary(list(results.values()), told.mistakes)
    (folder / "summary.txt").write_text(said, encoding="utf-8")
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
