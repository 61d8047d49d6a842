"""A lab in a real JupyterLab: a figure is read by where things stand, and answers to the hand."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.site.readings import RING, cards, cards_as_seen, drag, said, where
from tests.site.site_checks import PATIENCE, ROOT

LAB = "09-spherical-vaes"  # with number cards, and rings to drag
OWN_FOLDERS = (
    "JUPYTER_CONFIG_DIR JUPYTER_DATA_DIR JUPYTER_RUNTIME_DIR JUPYTERLAB_SETTINGS_DIR "
    "JUPYTERLAB_WORKSPACES_DIR IPYTHONDIR MPLCONFIGDIR VAE_COURSE_RESULTS"
).split()

SETTINGS = {
    # All cells stay on the page, also those that are scrolled away.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The address of a JupyterLab over a folder of the labs, with no settings but its own."""
    home = tmp_path_factory.mktemp("jupyterlab")
    own = {name: str(home / name.lower()) for name in OWN_FOLDERS}
    folder = home / "notebooks"
    folder.mkdir()
    for name, settings in SETTINGS.items():
        path = Path(own["JUPYTERLAB_SETTINGS_DIR"], "@jupyterlab", f"{name}.jupyterlab-settings")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(settings))
    environment = {**os.environ, **own, "VAE_COURSE_TIER": "smoke", "OMP_NUM_THREADS": "1"}
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": str(folder),
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]
    log = home / "log"
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        yield _address(server, Path(own["JUPYTER_RUNTIME_DIR"]), log), folder
    finally:
        server.terminate()  # and it shuts its kernels down
        server.wait(60)


def _address(server: subprocess.Popen, runtime: Path, log: Path) -> str:
    patience = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < patience:
        assert server.poll() is None, log.read_text()
        for found in runtime.glob("jpserver-*.json"):
            return json.loads(found.read_text())["url"]
        time.sleep(0.1)
    raise TimeoutError(log.read_text())


@pytest.fixture
def lab(browser, jupyterlab) -> Iterator[Page]:
    """The lab, run from top to bottom at tier smoke."""
    address, folder = jupyterlab
    shutil.copy(ROOT / "notebooks" / f"{LAB}.ipynb", folder)
    page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}lab/tree/{LAB}.ipynb")
    page.wait_for_function("window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')")
    page.wait_for_function(
        "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    yield page
    page.context.close()


def test_a_labs_figure_is_right_in_jupyterlab_and_answers_to_the_hand(lab):
    assert lab.locator("[data-mime-type*=error]").all_inner_texts() == []
    figure = lab.locator(".jp-OutputArea-output .vf-poincare")
    figure.scroll_into_view_if_needed()
    figure.locator("dd").last.wait_for()
    numbers = cards_as_seen(figure)
    assert numbers == cards(figure) and len(numbers) > 2
    before = said(figure)
    x, y = where(figure.locator(RING).first)
    drag(lab, (x, y), (x - 40, y + 30))
    assert said(figure) != before
    moved = cards_as_seen(figure)
    assert moved == cards(figure) and moved.keys() == numbers.keys() and moved != numbers
