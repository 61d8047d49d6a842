"""A class of 200 graded: every score against what was earned, and the time that it takes.

``python -m benchmarks.grading``; see README.md. The grader is run once to its end, and once more
killed half way and resumed: both write the same table.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.rounds import environment

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from tests.grading.generated_class import NAME, SHARES, Class, Submission, make, write  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
BAR = 12 * 60  # seconds


def busy() -> float:
    """Seconds that the machine's processors have worked, for whomever."""
    now = psutil.cpu_times()
    return sum(now) - now.idle - getattr(now, "iowait", 0) - getattr(now, "guest", 0)


def command(folder: Path, out: Path, grading: Path, jobs: int) -> list[str]:
    call = [sys.executable, "-m", "vae_course.grading", str(folder), "--assignment", str(grading)]
    return [*call, "--out", str(out), "--jobs", str(jobs), "--cell", "15", "--call", "5"]


def scores(table: Path) -> dict[str, float]:
    with table.open(encoding="utf-8", newline="") as file:
        # An apostrophe keeps a spreadsheet from reading a formula.
        rows = list(csv.DictReader(file))
    return {row["Student"].removeprefix("'"): float(row[NAME] or "nan") for row in rows}


def differences(students: list[Submission], found: dict[str, float]) -> Iterator[dict[str, object]]:
    """The submissions whose points are not those that they have earned."""
    for student in students:
        got = found.get(student.student)
        if got != student.expected:
            told = {"student": student.student, "kind": student.kind, "title": student.title}
            yield told | {"got": got, "expected": student.expected}


def killed_and_resumed(call: list[str], out: Path, half: int) -> int:
    """Kill the grader when it has ``half`` of the results, go on; how many it had by then."""
    process = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.DEVNULL)
    kept = out.with_suffix("")
    while len(list(kept.rglob("*.json"))) < half:
        if process.poll() is not None:
            raise RuntimeError("the grader was done before it could be killed")
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    had = len(list(kept.rglob("*.json")))
    subprocess.run(call, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return had


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.grading", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=sum(SHARES.values()))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made, grading = make(folder / "made")
        students = list(Class(made, options.count))
        write(folder / "in", students)
        before, start = busy(), time.perf_counter()
        whole = command(folder / "in", folder / "whole.csv", grading, options.jobs)
        summary = subprocess.run(whole, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        seconds, worked = time.perf_counter() - start, busy() - before
        results = len(list((folder / "whole").rglob("*.json")))
        broken = command(folder / "in", folder / "broken.csv", grading, options.jobs)
        had = killed_and_resumed(broken, folder / "broken.csv", results // 2)
        same = (folder / "whole.csv").read_bytes() == (folder / "broken.csv").read_bytes()
        found = scores(folder / "whole.csv")
        off = list(differences(students, found))
        options.results.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "whole.csv", options.results / "grading.csv")
    told = {
        "environment": environment("otter-grader") | {"cores": os.cpu_count()},
        "command": f"python -m vae_course.grading ... {' '.join(whole[-6:])}",
        "assignment": NAME,
        "submissions": dict(Counter(student.kind for student in students)),
        "exact": len(students) - len(off),
        "not exact": off,
        "seconds": round(seconds, 1),
        "processor seconds of the machine": round(worked, 1),
        "bar, seconds": BAR,
        "results when killed": [had, results],
        "killed half way and resumed, the same table": same,
        "students": [
            {"student": s.student, "kind": s.kind, "title": s.title, "points": s.expected}
            for s in students
        ],
    }
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    (options.results / "grading.json").write_text(text, encoding="utf-8")
    print(summary.stdout)
    print(f"{told['exact']} of {len(students)} exact, {seconds:.0f} s; same table: {same}")
    for one in off:
        print(one)
    return int(bool(off) or not same or len(found) != len(students) or seconds > BAR)


if __name__ == "__main__":
    sys.exit(main())
