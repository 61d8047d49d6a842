"""Run the labs, each once, side by side, and hand what they made to the book.

    python tools/run_labs.py --tier class        # run what is stale, fill the book's cache
    python tools/run_labs.py --tier smoke        # does every lab run?
    python tools/run_labs.py --tier full         # on a GPU: claims and costs go to results/full

A lab is stale when its notebook, what that reaches in the library (``lab_keys.py``), the
environment's pins or the tier changed since its last green run; at ``smoke`` a current green run
at ``class`` counts as well. It is executed by nbmake on a scratch copy: the tree stays clean.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lab_keys
import nbformat

TOOLS = str(Path(__file__).resolve().parent)
ROOT = Path(TOOLS).parent
# Seconds, generous: a busy machine is three times slower.
CELL_TIMEOUT = {"smoke": 300, "class": 900, "full": 7200}


def run(notebook: Path, tier: str, build: Path) -> bool:
    """Execute one lab; on success its notebook, records and key replace the old ones."""
    name, labs = notebook.stem, build / "labs" / tier
    results = ROOT / "results" / "full" if tier == "full" else build / "results" / tier
    shutil.rmtree(results / name, ignore_errors=True)
    (labs / f"{name}.key").unlink(missing_ok=True)
    key = lab_keys.key(notebook, tier)  # of what is run: an edit meanwhile is another library
    environment = os.environ | {
        "VAE_COURSE_TIER": tier,
        "VAE_COURSE_STRICT": "1",
        "VAE_COURSE_RESULTS": str(results / name),
        "OMP_NUM_THREADS": "1",  # labs share the cores: one thread each
        "PYTHONPATH": f"{TOOLS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",  # for awake.py
    }
    with tempfile.TemporaryDirectory(prefix="lab-") as scratch:  # nbmake skips all below `_build`
        copy = Path(scratch) / notebook.name
        shutil.copy(notebook, copy)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
        command += ["-p", "awake", "--nbmake", "--overwrite"]
        command += [f"--nbmake-timeout={CELL_TIMEOUT[tier]}", copy]
        done = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True)
        if not done.returncode:
            shutil.move(copy, labs / notebook.name)
    if done.returncode:
        print(done.stdout, done.stderr, f"{name}: FAILED at tier {tier}", sep="\n", flush=True)
        return False
    if tier == "full":  # what is committed is what was measured; figures are the class run's
        for kind in ("figures", "interactive"):
            shutil.rmtree(results / name / kind, ignore_errors=True)
    cost = json.loads((results / name / "labs" / f"{name}.json").read_text())
    known = {lab_keys.module_name(path) for path in lab_keys.reached(notebook)}
    if unknown := set(cost.pop("modules")) - known:
        names = ", ".join(sorted(unknown))
        print(f"{name}: FAILED, it loads modules that tools/lab_keys.py doesn't see: {names}")
        return False
    (labs / f"{name}.key").write_text(key)
    seconds = f"{cost['cpu_seconds']} CPU-seconds, {cost['wall_seconds']} on the clock"
    print(done.stdout.strip().splitlines()[-1], f"{name} at tier {tier}: {seconds}", sep="\n")
    return True


def fill_cache(executed: list[Path], cache_folder: Path) -> None:
    """Put the executed notebooks into the book's cache, so that the book runs none of them."""
    from jupyter_cache import get_cache

    shutil.rmtree(cache_folder, ignore_errors=True)
    cache = get_cache(cache_folder)
    for path in executed:
        notebook = nbformat.read(path, 4)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # nbmake's time stamps change the cache's key
        notebook.metadata.pop("language_info", None)
        widgets = notebook.metadata.get("widgets", {}).get(
            "application/vnd.jupyter.widget-state+json", {}
        )
        # A classic ipywidget needs a kernel: on a page it is dead, and its state dead weight.
        widgets["state"] = {
            k: v for k, v in widgets.get("state", {}).items() if v["model_module"] == "anywidget"
        }
        scratch = path.with_suffix(".cached.ipynb")
        nbformat.write(notebook, scratch)
        cache.cache_notebook_file(scratch, uri=str(path), check_validity=True, overwrite=True)
        scratch.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tier", default="class", choices=["smoke", "class", "full"])
    parser.add_argument("--build", type=Path, default=ROOT / "_build")
    parser.add_argument("--force", action="store_true", help="run labs that are not stale too")
    parser.add_argument("notebooks", type=Path, nargs="*", help="default: every lab")
    options = parser.parse_args()
    build = options.build.resolve()
    labs = build / "labs" / options.tier
    labs.mkdir(parents=True, exist_ok=True)
    every = sorted((ROOT / "notebooks").glob("*.ipynb"))
    wanted = [n.resolve() for n in options.notebooks] or every

    def fresh(notebook: Path) -> bool:
        tiers = ("smoke", "class") if options.tier == "smoke" else (options.tier,)
        marks = {tier: build / "labs" / tier / f"{notebook.stem}.key" for tier in tiers}
        return any(
            mark.exists() and mark.read_text() == lab_keys.key(notebook, tier)
            for tier, mark in marks.items()
        )

    stale = [n for n in wanted if options.force or not fresh(n)]
    print(f"{len(stale)} of {len(wanted)} labs to run at tier {options.tier}", flush=True)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        green = list(pool.map(lambda n: run(n, options.tier, build), stale))
    if not all(green):
        return 1
    if options.tier == "class" and stale:
        for gone in {p.stem for p in labs.glob("*.ipynb")} - {p.stem for p in every}:
            (labs / f"{gone}.ipynb").unlink()
            shutil.rmtree(build / "results" / "class" / gone, ignore_errors=True)
        fill_cache([labs / n.name for n in every if (labs / n.name).exists()], build / "cache")
        (labs / "stamp").touch()  # what the book's rule in the Makefile waits for
    return 0


if __name__ == "__main__":
    sys.exit(main())
