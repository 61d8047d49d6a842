"""Break the library line by line, and see that a test fails each time.

``python -m tests.faults [NAMES…] [--jobs 2] [--slow]`` applies each fault of the TOML files beside
this one to a copy of the repository, runs the tests nearest to it, then, if they pass, the whole
suite, and prints which test caught it: one that fails with the fault and passes without it. NAMES
are names of faults or of packages. Run by hand: all of it takes about an hour.
"""

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = (".git", ".venv", "_build", "node_modules", "faults", ".*_cache", "__pycache__")
BUILT = ("npm", "vendor")  # of _build: what tests in the browser read, if it is there
SUITE, SLOW_TOO = ["tests", "--ignore=tests/site"], ["-m", "not scale"]
PATIENCE = 1800  # seconds: by a test that waits for ever nothing is caught
Fault = dict[str, str]


def read() -> dict[str, list[Fault]]:
    """The faults of each package; ValueError names the file of one that is none any more."""
    packages = {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
        for path in sorted(Path(__file__).parent.glob("*.toml"))
    }
    for package, faults in packages.items():
        for fault in faults:
            times = (ROOT / fault["file"]).read_text(encoding="utf-8").count(fault["line"])
            if times != 1:
                raise ValueError(
                    f"tests/faults/{package}.toml: the line of {fault['name']!r} is found {times} "
                    f"times in {fault['file']}, not once"
                )
    return packages


def copy(folder: Path) -> Path:
    """The repository as the tests need it, without the faults themselves."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    (folder / "_build").mkdir()
    for built in BUILT:
        if (ROOT / "_build" / built).is_dir():
            (folder / "_build" / built).symlink_to(ROOT / "_build" / built)
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in the copy, whose library hides an installed one, from subprocesses too."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    call, how = [sys.executable, *arguments], dict(cwd=folder, env=environment, timeout=PATIENCE)
    return subprocess.run(call, capture_output=True, text=True, **how)


def first_failure(folder: Path, *arguments: str) -> str:
    """The first test, or file of tests, that fails; empty if all pass."""
    done = python(folder, "-m", "pytest", "-x", "-q", "--tb=no", "-rfE", *arguments)
    found = re.search(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if not found and done.returncode not in (0, 5):  # 5: none is selected
        raise RuntimeError(f"pytest {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return found.group(1) if found else ""


def catch(fault: Fault, folder: Path, slow: bool) -> str:
    """Which test catches a fault; empty if none does."""
    path = folder / fault["file"]
    right = path.read_text(encoding="utf-8")
    module = fault["file"].partition(".")[0].removesuffix("/__init__").replace("/", ".")
    for tests in ([fault["tests"]], SUITE, *([[*SLOW_TOO, *SUITE]] if slow else [])):
        path.write_text(right.replace(fault["line"], fault["instead"]), encoding="utf-8")
        try:
            caught = first_failure(folder, *tests)
            # A file that can't be collected is no failing test, unless the fault itself is why.
            if caught.endswith(".py") and python(folder, "-c", f"import {module}").returncode:
                return f"import {module}"
        except subprocess.TimeoutExpired:
            return ""
        finally:
            path.write_text(right, encoding="utf-8")
        if "::" in caught and not first_failure(folder, *SLOW_TOO, caught):
            return caught
    return ""


def main() -> int:
    packages = read()
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", help="of faults or packages; all if none is given")
    parser.add_argument("--jobs", type=int, default=2, help="copies at work")
    parser.add_argument("--slow", action="store_true", help="with the slow tests, too")
    options = parser.parse_args()
    labelled = [({p, fault["name"]}, fault) for p, faults in packages.items() for fault in faults]
    if unknown := set(options.names).difference(*(labels for labels, _ in labelled)):
        parser.error(f"neither faults nor packages: {', '.join(sorted(unknown))}")
    chosen = [fault for labels, fault in labelled if labels & set(options.names or packages)]
    survived = []
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(options.jobs) as pool:
        free: queue.Queue[Path] = queue.Queue()
        for job in range(options.jobs):
            free.put(copy(Path(name) / str(job)))

        def one(fault: Fault) -> tuple[str, float]:
            folder, began = free.get(), time.monotonic()
            try:
                return catch(fault, folder, options.slow), time.monotonic() - began
            finally:
                free.put(folder)

        for fault, (caught, seconds) in zip(chosen, pool.map(one, chosen), strict=True):
            survived += [] if caught else [fault["name"]]
            print(f"{fault['name']:50} {seconds:5.0f} s  {caught or 'SURVIVED'}", flush=True)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} caught", *survived, sep="\n  ")
    return bool(survived)


if __name__ == "__main__":
    sys.exit(main())
