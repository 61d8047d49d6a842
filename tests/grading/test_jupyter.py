"""What a notebook finds in Jupyter it finds here; IPython's own syntax does nothing, or runs."""

import inspect
import sys
import types

import pytest

from vae_course.grading import jupyter


@pytest.fixture
def notebook():
    made = jupyter.Notebook(types.ModuleType("__main__"))
    yield made
    if made.loop is not None:
        made.loop.close()


@pytest.mark.parametrize(
    "cell, python",
    [
        ("x = 7 \\\n  % 4", "x = 7 \\\n  % 4"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("if True:\n    !pip install x\ny = 2", "if True:\n    pass\ny = 2"),
        ("torch.cdist?\n?x\n%pip install y\n%load_ext z", "pass\npass\npass\npass"),
        ("%time x = f(1)\ny = %time f(2)", "x = f(1)\ny = f(2)"),
        ("%timeit x = f(1)", "pass"),
        ("%prun -q f(1)", "f(1)"),
        ("!echo \"it's (\nx = 1", "pass\nx = 1"),
        ("await f()", "await f()"),
        # Only a line that is no Python is read as IPython's.
        ('!ls\nx = """\n%d\n"""\ny = (3\n  % 2)', 'pass\nx = """\n%d\n"""\ny = (3\n  % 2)'),
        ("print((1)\n", "print((1)\n"),
    ],
)  # fmt: skip
def test_ipythons_own_syntax_does_nothing_and_pythons_is_kept(cell, python):
    assert jupyter.python_lines(cell) == python


def test_cells_of_another_language_do_nothing_and_timed_ones_run(notebook):
    for magic in ("%%bash", "%%html", "%%timeit"):
        notebook.run(f"{magic}\nx = 1")
        assert "x" not in notebook.names
    for number, magic in enumerate(["%%time", "%%capture out", "%%prun"]):
        notebook.run(f"{magic}\n%matplotlib inline\nx = {number}")
        assert notebook.names["x"] == number
    notebook.run("text = out.stdout\nout.show()")


def test_a_cell_may_write_a_file(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook.run("%%writefile helper.py\nx = 5\n")
    assert (tmp_path / "helper.py").read_text() == "x = 5\n"


def test_what_jupyter_always_has_is_there(notebook):
    notebook.run("display(1, 2, metadata={})\nshown = display(3, display_id=True)\nshown.update(4)")
    notebook.run("shell = get_ipython()\nshell.run_line_magic('matplotlib', 'inline')")
    notebook.run("shell.ast_node_interactivity = 'all'\nassert 'IPKernelApp' not in shell.config")
    notebook.run("get_ipython().run_cell_magic('time', '', 'x = 7')\nassert shell")
    notebook.run("kind = type(shell).__name__")
    assert (notebook.names["x"], notebook.names["kind"]) == (7, "ZMQInteractiveShell")
    notebook.run("files = !ls\nbest = %timeit -o f()\nfound = len(files), float(best.best)")
    assert notebook.names["found"] == (0, 0)


def test_the_last_values_are_remembered(notebook):
    for cell in ("6 * 7", "x = 1", "_ + 1", "None", "5;", "(_, __, Out[1], In[1], len(In))"):
        notebook.run(cell)
    assert notebook.outputs[6] == (43, 42, 42, "6 * 7", 7)
    notebook.run("_ = 'mine'")
    notebook.run("3")
    assert notebook.names["_"] == "mine" and notebook.names["Out"][8] == 3


def test_await_outside_a_function(notebook):
    notebook.run("import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5")
    notebook.run("x = await f()")
    notebook.run("task = asyncio.create_task(f())")
    notebook.run("y = await task\nawait f()")
    assert (notebook.names["x"], notebook.names["y"], notebook.names["_"]) == (5, 5, 5)
    with pytest.raises(ZeroDivisionError):
        notebook.run("await f()\n1 / 0")
    notebook.run("z = await f()")
    assert notebook.names["z"] == 5


def test_a_feature_of_the_future_lasts_and_a_functions_source_can_be_read(notebook):
    notebook.run("from __future__ import annotations")
    notebook.run("def f(x: Unknown):\n    return x")
    assert inspect.getsource(notebook.names["f"]) == "def f(x: Unknown):\n    return x\n"


def test_an_error_of_the_code_is_raised(notebook):
    with pytest.raises(SyntaxError):
        notebook.run("def (")
    with pytest.raises(NameError):
        notebook.run("x = 1\nnone\nx = 2")
    assert notebook.names["x"] == 1


@pytest.fixture(params=[True, False], ids=["installed", "not installed"])
def ipython(request, monkeypatch):
    """IPython as it is, or none; afterwards all is as it was."""
    pytest.importorskip("IPython.core.getipython")
    before = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "IPython"}
    for name in ("IPython", "IPython.core.getipython"):
        monkeypatch.setattr(before[name], "get_ipython", before[name].get_ipython)
    if not request.param:
        monkeypatch.setattr(jupyter.importlib.util, "find_spec", lambda name: None)
        for name in before:
            del sys.modules[name]
    yield
    for name in [n for n in sys.modules if n.split(".")[0] == "IPython"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_ipython_takes_this_shell_for_its_own(notebook, ipython):
    notebook.run("from IPython import get_ipython\nfrom IPython.display import HTML, display")
    notebook.run("display(HTML('x'))\nshell = get_ipython()")
    assert notebook.names["shell"] is notebook.shell
