"""Run the labs, each once, side by side, and hand what they made to the book.

    python tools/run_labs.py --tier class        # run what is stale, fill the book's cache
    python tools/run_labs.py --tier smoke        # does every lab run?
    python tools/run_labs.py --tier full         # each twice: claims and costs go to results/full

A lab is stale when its notebook, what that reaches in the library (``lab_keys.py``), the
environment's pins or the tier changed since its last green run; at ``smoke`` a current green run
at ``class`` counts as well. It is executed by nbmake on a scratch copy: the tree stays clean.

At ``full`` and ``paper`` a lab runs first with half the steps, then whole; a claim's record shows
both values. It is stale when what it measures changed since its committed record. Trainings are
kept in ``_build/full`` or ``_build/paper``: a killed run goes on where it stopped.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import lab_keys
import nbformat
from tqdm import tqdm

TOOLS = str(Path(__file__).resolve().parent)
ROOT = Path(TOOLS).parent
RECORDED = ("full", "paper")  # the tiers whose results are committed
# Seconds, generous: a busy machine is three times slower.
CELL_TIMEOUT = {"smoke": 300, "class": 900, "full": 36_000, "paper": 360_000}


def run(notebook: Path, tier: str, build: Path) -> bool:
    """Execute one lab; on success its notebook, records and key replace the old ones."""
    name, labs = notebook.stem, build / "labs" / tier
    results = build / "results" / tier / name
    shutil.rmtree(results, ignore_errors=True)
    (labs / f"{name}.key").unlink(missing_ok=True)
    key = lab_keys.key(notebook, tier)  # of what is run: an edit meanwhile is another library
    if not execute(notebook, tier, results, executed=labs / notebook.name)[0]:
        return False
    (labs / f"{name}.key").write_text(key)
    cost = json.loads((results / "labs" / f"{name}.json").read_text())
    seconds = f"{cost['cpu_seconds']} CPU-seconds, {cost['wall_seconds']} on the clock"
    print(f"{name} at tier {tier}: {seconds}", flush=True)
    return True


def run_twice(notebook: Path, tier: str, build: Path, committed: Path) -> bool:
    """Execute one lab with half the steps, then whole; its record replaces the committed one."""
    name, runs = notebook.stem, kept(notebook, tier, build)
    records = {part: build / tier / "records" / name / part for part in ("half", "whole")}
    measures, spent = lab_keys.measures(notebook), {}
    for part, results in records.items():
        shutil.rmtree(results, ignore_errors=True)
        (runs / part).mkdir(parents=True, exist_ok=True)
        setting = {"VAE_COURSE_RUNS": str(runs / part)}
        if part == "half":
            setting |= {"VAE_COURSE_HALF": "1", "VAE_COURSE_STRICT": "0"}
        else:
            setting |= {"VAE_COURSE_HALFWAY": str(records["half"])}
        green, seconds = execute(notebook, tier, results, **setting)
        legs = runs / part / "cpu_seconds"  # of all legs, for trainings may be an earlier one's
        spent[part] = seconds + (float(legs.read_text()) if legs.exists() else 0)
        legs.write_text(str(spent[part]))
        if not green:
            print(f"What it measured is in {results}", flush=True)
            return False
    cost = json.loads((records["whole"] / "labs" / f"{name}.json").read_text()) | {
        "cpu_seconds": round(spent["whole"]),
        "halfway_cpu_seconds": round(spent["half"]),
        "measures": measures,
    }
    # What is committed is what was measured.
    for kind in ("figures", "interactive", "reports", "outputs"):
        shutil.rmtree(records["whole"] / kind, ignore_errors=True)
    text = json.dumps(cost, indent=1, ensure_ascii=False) + "\n"
    (records["whole"] / "labs" / f"{name}.json").write_text(text, encoding="utf-8")
    shutil.rmtree(committed / name, ignore_errors=True)
    shutil.copytree(records["whole"], committed / name)
    return True


def execute(
    notebook: Path, tier: str, results: Path, executed: Path | None = None, **setting: str
) -> tuple[bool, float]:
    """Run a scratch copy of a lab, which records in ``results``: is it green, and CPU-seconds.

    If it isn't, this prints why.
    """
    name = notebook.stem
    environment = os.environ | {
        "VAE_COURSE_TIER": tier,
        "VAE_COURSE_STRICT": "1",
        "VAE_COURSE_RESULTS": str(results),
        "OMP_NUM_THREADS": "1",  # labs share the cores: one thread each
        "PYTHONPATH": f"{TOOLS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",  # for awake.py
        **setting,
    }
    with tempfile.TemporaryDirectory(prefix="lab-") as scratch:  # nbmake skips all below `_build`
        copy = Path(scratch) / notebook.name
        shutil.copy(notebook, copy)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
        command += ["-p", "awake", "--nbmake", "--overwrite"]
        command += [f"--nbmake-timeout={CELL_TIMEOUT[tier]}", copy]
        log = Path(scratch) / "log"
        with log.open("w") as output:
            lab = subprocess.Popen(
                command, env=environment, cwd=scratch, stdout=output, stderr=output
            )
            _, status, usage = os.wait4(lab.pid, 0)
        lab.returncode, seconds = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        if lab.returncode:
            print(log.read_text(), f"{name}: FAILED at tier {tier}", sep="\n", flush=True)
            return False, seconds
        if executed:
            shutil.move(copy, executed)
    cost = results / "labs" / f"{name}.json"
    content = json.loads(cost.read_text())
    known = {lab_keys.module_name(path) for path in lab_keys.reached(notebook)}
    if unknown := set(content.pop("modules")) - known:
        names = ", ".join(sorted(unknown))
        print(f"{name}: FAILED, it loads modules that tools/lab_keys.py doesn't see: {names}")
        return False, seconds
    cost.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return True, seconds


def kept(notebook: Path, tier: str, build: Path) -> Path:
    """Where a lab's trainings are kept: another library is another folder."""
    from vae_course.training.run_files import SOURCE

    return build / tier / SOURCE[:12] / notebook.stem


def record(stale: list[Path], tier: str, build: Path, committed: Path) -> bool:
    """Run labs twice each, under a bar that knows what their last records cost."""

    def cost(notebook: Path) -> float:
        with contextlib.suppress(FileNotFoundError):
            path = committed / notebook.stem / "labs" / f"{notebook.stem}.json"
            content = json.loads(path.read_text())
            return content["cpu_seconds"] + content["halfway_cpu_seconds"]
        return 1200.0

    green, costs = True, {notebook: cost(notebook) for notebook in stale}
    bar = tqdm(total=sum(costs.values()), unit="CPU-s", unit_scale=True, smoothing=0)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool, bar:
        left = {pool.submit(run_twice, n, tier, build, committed): n for n in stale}
        while left:
            done, _ = wait(left, timeout=10, return_when=FIRST_COMPLETED)
            for future in done:
                green &= future.result()
                bar.update(costs[left.pop(future)])
            trained = [len(list(kept(n, tier, build).glob("*/*.run"))) for n in left.values()]
            names = (n.stem[:2] for n in left.values())
            each = (f"{name}: {count}" for name, count in zip(names, trained, strict=True) if count)
            bar.set_postfix_str("trainings of lab " + ", ".join(each))
    return green


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
    parser.add_argument("--tier", default="class", choices=["smoke", "class", *RECORDED])
    parser.add_argument("--build", type=Path, default=ROOT / "_build")
    parser.add_argument("--force", action="store_true", help="run labs that are not stale too")
    parser.add_argument("notebooks", type=Path, nargs="*", help="default: every lab")
    options = parser.parse_args()
    build = options.build.resolve()
    labs = build / "labs" / options.tier
    labs.mkdir(parents=True, exist_ok=True)
    every = sorted((ROOT / "notebooks").glob("*.ipynb"))
    wanted = [n.resolve() for n in options.notebooks] or every

    committed = ROOT / "results" / options.tier

    def fresh(notebook: Path) -> bool:
        if options.tier in RECORDED:
            record = committed / notebook.stem / "labs" / f"{notebook.stem}.json"
            measures = record.exists() and json.loads(record.read_text())["measures"]
            return measures == lab_keys.measures(notebook)
        tiers = ("smoke", "class") if options.tier == "smoke" else (options.tier,)
        marks = {tier: build / "labs" / tier / f"{notebook.stem}.key" for tier in tiers}
        return any(
            mark.exists() and mark.read_text() == lab_keys.key(notebook, tier)
            for tier, mark in marks.items()
        )

    stale = [n for n in wanted if options.force or not fresh(n)]
    print(f"{len(stale)} of {len(wanted)} labs to run at tier {options.tier}", flush=True)
    if options.tier in RECORDED:
        return 0 if record(stale, options.tier, build, committed) else 1
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
