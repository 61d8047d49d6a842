"""A lab's record is of other code when a definition that the lab can reach is, and only then."""

from pathlib import Path

import lab_keys
import nbformat
import pytest

LIBRARY = {
    "__init__.py": 'from importlib import import_module\n__version__ = "1"\n'
    "def lazy(package): import_module(package)\n",
    "shapes/__init__.py": "from house import lazy\n__all__ = lazy(__name__)\n",
    "shapes/__init__.pyi": "from house.shapes.ring import Ring as Ring, area as area\n"
    "from house.shapes.ball import Ball as Ball, hidden as hidden\n",
    "shapes/ring.py": '''"""Rings."""
from __future__ import generator_stop
import math, cmath
import antigravity
import collections.abc as abc_
from dataclasses import dataclass
from functools import cache
from house import notes, walls
from house.notes import kept, noted as noted_by
from house.walls import Round, STYLE as style

# A comment.
WIDTH, HEIGHT = 1.0, 2.0
DEPTH: float = 3.0
FACTOR = 5
FACTOR += 1
UNUSED = 4
WAITING = lambda: print(14)
WORDS = "nineteen words".split()
SUM = (PART := 20) + 1
COUNT = 21
if FACTOR > 5:
    BRANCH = 6
TABLE = {"a": len}

def start():
    return 7

@dataclass
class Ring(Round[int], weight=style):
    """A ring."""
    size: int = 8

    def unused(self):
        return 9

class Unused(notes.Quiet, abc_.Sized):
    def __len__(self):
        return 10

@cache
@noted_by
def area(r, start=start()):
    """An area."""
    text = """a

# no comment"""
    return helper(r) + WIDTH + DEPTH + FACTOR + BRANCH + TABLE["a"](text)  # why

def helper(r):
    from house.late import later
    count()
    return walls.height(r) * math.pi + later + PART

def count():
    global COUNT
    COUNT += 1

def unused(r):
    generator_stop = cmath.pi + walls.unused() + (lambda x=1: x)()
    return generator_stop

@cache
def unused_as_well():
    return 11
''',
    "shapes/ball.py": "def Ball(): ...\n@print\ndef hidden(): ...\n",
    "notes.py": """from house import effects
from house.loud import Loud as Louder, Quiet
LIST = []
def noted(f):
    return f
def kept(f):
    LIST.append(f)
    return f
@kept
def keeper():
    return needed()
def needed():
    return 0.5
def unused():
    return 2
MADE = kept(3)
LIST.append(4)
try:
    LIST.append(12)
finally:
    pass
def frozenset(x):
    LIST.append(x)
frozen = frozenset(17)
class Longer:
    LIST += [22]
def twice(f):
    LIST.append(f)
from functools import cache as twice
@twice
def seen():
    return 16
""",
    "walls.py": """from pathlib import Path
import house
from house import data, more, notes, quiet
from house.notes import LIST
FOLDER = Path("plans")
OTHER = Path("sketches")
STYLE = "tall"
class Meta(type): ...
class Heard(notes.Louder):
    value = 1
class Made(metaclass=Meta):
    value = 2
class Round(list):
    value = 3
def height(r):
    return open(FOLDER / r, house.__version__)
def unused():
    return OTHER, quiet
UNUSED = more.one
@notes.kept
def hooked():
    return 18
LIST[0] = 5
data.limit = lambda: 6
""",
    "more/__init__.py": "",
    "more/__init__.pyi": "from house.more.one import one as one\n",
    "more/one.py": "print(15)\ndef one(): ...\n",
    "plans/one.txt": "1",
    "sketches/one.txt": "1",
    "effects.py": "import house.data\nprint(7)\nUNUSED = 8\n",
    "loud.py": "class Loud:\n    def __init_subclass__(cls):\n        print(cls)\n"
    "class Quiet: ...\n",
    "quiet.py": "print(13)\n",
    "late.py": "later = 1\nearlier = 2\n",
    "data.py": "def limit(): ...\n",
    "away.py": "def far(): return 1\ndef near(): return 2\nprint(3)\n",
}
LAB = "from house.shapes import area\nimport house.shapes.ring as r\nr.Ring(area(1))\n"


def build(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "house"


def measured(folder: Path, files: dict[str, str], lab: str = LAB) -> str:
    cell = nbformat.v4.new_code_cell(lab, id="c")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "lab.ipynb")
    return lab_keys.measures(folder / "lab.ipynb", build(folder, files))


def edited(name: str, old: str, new: str) -> dict[str, str]:
    assert LIBRARY[name].count(old) == 1
    return LIBRARY | {name: LIBRARY[name].replace(old, new)}


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("shapes/ring.py", "return 10", "return 0"),  # a class
        ("shapes/ring.py", "return 11", "return 0"),  # a function that a harmless decorator keeps
        ("shapes/ring.py", "UNUSED = 4", "UNUSED = 0"),
        ("shapes/ring.py", "UNUSED = 4", "NEW = 4\ndef new(): ..."),
        ("shapes/ring.py", "import math, cmath", "import math"),  # only unused code names it
        ("shapes/ring.py", "lambda x=1", "lambda x=0"),
        ("shapes/ring.py", "print(14)", "print(0)"),  # not run at the import
        ("shapes/ring.py", "nineteen", "no"),
        ("shapes/ring.py", "# A comment.", ""),
        ("shapes/ring.py", '"""A ring."""', '"""The ring."""'),
        ("shapes/ring.py", "  # why", ""),
        ("shapes/ring.py", "start=start()):\n", "start=start()):\n\n    # a comment\n"),
        ("shapes/ball.py", "def Ball", "print()\ndef Ball"),  # a module that is never loaded
        ("notes.py", "return 2", "return 0"),
        ("walls.py", "return OTHER", "return 0"),
        ("walls.py", '"sketches"', '"plans"'),
        ("sketches/one.txt", "1", "0"),
        ("effects.py", "UNUSED = 8", "UNUSED = 0"),
        ("late.py", "earlier = 2", "earlier = 0"),
        ("away.py", "return 1", "return 0"),
        ("__init__.py", '"1"', '"2"'),
    ],
)
def test_an_edit_of_what_no_code_of_the_lab_reaches_leaves_the_record(name, old, new, tmp_path):
    assert measured(tmp_path, edited(name, old, new)) == measured(tmp_path, LIBRARY)


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("shapes/ring.py", "+ WIDTH", "- WIDTH"),  # a function
        ("shapes/ring.py", "* math.pi", "* math.e"),  # what it calls
        ("shapes/ring.py", "2.0", "0.0"),  # a constant, of several at once
        ("shapes/ring.py", "DEPTH: float = 3.0", "DEPTH: float = 0.0"),
        ("shapes/ring.py", "FACTOR += 1", "FACTOR += 0"),
        ("shapes/ring.py", "BRANCH = 6", "BRANCH = 0"),
        ("shapes/ring.py", "PART := 20", "PART := 0"),
        ("shapes/ring.py", "COUNT = 21", "COUNT = 0"),
        ("shapes/ring.py", "a\n\n#", "a\n#"),  # an empty line that is part of a text
        ("shapes/ring.py", "# no comment", "# no"),
        ("shapes/ring.py", "return 7", "return 0"),  # what gives a default
        ("shapes/ring.py", "start=start()", "start=start"),
        ("shapes/ring.py", "return 9", "return 0"),  # any method of a class
        ("shapes/ring.py", "import math", "import cmath as math"),
        ("shapes/ring.py", "import antigravity", "import this"),  # nothing asks for it
        ("shapes/ring.py", "from __future__ import generator_stop", ""),
        ("shapes/ring.py", "@cache\n@noted_by", "@noted_by\n@cache"),
        ("shapes/ring.py", "noted as noted_by", "kept as noted_by"),
        ("shapes/ring.py", "def unused(r)", "helper = abs\ndef unused(r)"),  # bound again
        ("shapes/ring.py", "class Unused", "@kept\nclass Unused"),  # it may be registered
        ("shapes/__init__.pyi", "shapes.ring import Ring as Ring, area", "shapes.ball import area"),
        ("notes.py", "def noted(f):\n    return f", "def noted(f):\n    return 0"),  # a decorator
        ("notes.py", "return needed()", "return 0"),  # what is registered
        ("notes.py", "return 0.5", "return 0"),  # what that needs
        ("notes.py", "kept(3)", "kept(0)"),
        ("notes.py", "append(4)", "append(0)"),
        ("notes.py", "LIST.append(f)\n    return f", "return f"),
        ("notes.py", "append(12)", "append(0)"),
        ("notes.py", "frozenset(17)", "frozenset(0)"),  # not the builtin
        ("notes.py", "[22]", "[0]"),  # the same list
        ("notes.py", "return 16", "return 0"),  # a decorator that may be either of two
        ("notes.py", "append(x)", "append(0)"),
        ("walls.py", "return 18", "return 0"),
        ("quiet.py", "print(13)", "print(0)"),  # imported, though for unused code
        ("more/one.py", "print(15)", "print(0)"),  # loaded by an attribute of its package
        ("walls.py", "value = 3", "value = 0"),  # a base
        ("walls.py", "value = 1", "value = 0"),  # a class that its base notes down
        ("loud.py", "print(cls)", "print(0)"),
        ("walls.py", "value = 2", "value = 0"),  # its metaclass may
        ("walls.py", '"tall"', '"low"'),  # an argument of a class
        ("walls.py", "open(FOLDER / r,", "open(FOLDER,"),  # a module's attribute
        ("walls.py", "= 5", "= 0"),  # put into a list of another module
        ("walls.py", "lambda: 6", "lambda: 0"),  # put into another module
        ("walls.py", '"plans"', '"sketches"'),
        ("plans/one.txt", "1", "0"),
        ("effects.py", "print(7)", "print(0)"),
        ("late.py", "later = 1", "later = 0"),  # imported inside a function
    ],
)
def test_an_edit_of_what_the_lab_reaches_makes_the_record_another_codes(name, old, new, tmp_path):
    assert measured(tmp_path, edited(name, old, new)) != measured(tmp_path, LIBRARY)


@pytest.mark.parametrize(
    "lab",
    [
        "from house.away import *",
        "from house import away\nprint(away)",
        "from house import away\ngetattr(away, 'fa' + 'r')",
        "from house import away\naway.__dict__",
        "from house import away\naway.unheard_of",
        "import house\nhouse.away.far()",
        "import house\nprint(house)",
        "import house.away as a\na.far()",
        "def f():\n    from house.away import far as f\n    return f()",
        "from importlib import import_module\nimport_module('house.away')",
        "import importlib\nimportlib.import_module(name)",
        "import sys\nsys.modules['house' + '.away']",
        "from sys import modules\nmodules['house' + '.away']",
        "import house.away\nobject.__subclasses__()",
        "from .away import far",
        "from house.away import far",
        "globals()['house']",
    ],
)
def test_what_cannot_be_followed_counts_as_a_whole(lab, tmp_path):
    new = edited("away.py", "return 1", "return 0")
    assert measured(tmp_path, new, lab) != measured(tmp_path, LIBRARY, lab)


@pytest.mark.parametrize("computed", ["globals()", "vars()", "eval(name)", "exec(name)"])
def test_a_computed_name_may_be_any_of_its_module(computed, tmp_path):
    lab = "from house.away import near\nnear()"
    for file in ("away.py", "lab/away.py"):  # but what only records decides no number
        before = {file: f"def far(): return 1\ndef near(): return {computed}"}
        after = {file: before[file].replace("return 1", "return 0")}
        name = file.removesuffix("away.py").replace("/", ".")
        this = lab.replace("house.", f"house.{name}")
        same = measured(tmp_path, LIBRARY | before, this) == measured(
            tmp_path, LIBRARY | after, this
        )
        assert same is (file == "lab/away.py")


def test_what_only_records_is_followed_and_does_not_count(tmp_path):
    lab = "from house.lab import draw\ndraw()"
    drawing = "import sys\nfrom house.away import far\ndef draw(): far(sys.modules)\n"
    files = LIBRARY | {"lab/__init__.py": drawing}
    before = measured(tmp_path, files, lab)
    own = files | {"lab/__init__.py": drawing.replace("draw()", "draw(x=1)")}
    assert measured(tmp_path, own, lab) == before
    for old, same in (("return 1", False), ("return 2", True)):  # far, near
        needed = edited("away.py", old, "return 0")["away.py"]
        assert (measured(tmp_path, files | {"away.py": needed}, lab) == before) is same


def test_code_that_moved_to_another_module_is_other_code(tmp_path):
    lab = "from house.shapes import Ball\nBall()"
    stub = LIBRARY["shapes/__init__.pyi"].replace("shapes.ball", "shapes.bell")
    moved = LIBRARY | {"shapes/__init__.pyi": stub, "shapes/bell.py": LIBRARY["shapes/ball.py"]}
    assert measured(tmp_path, moved, lab) != measured(tmp_path, LIBRARY, lab)


def test_line_ends_and_the_order_of_a_stub_do_not_count(tmp_path):
    before = measured(tmp_path, LIBRARY)
    stub = LIBRARY["shapes/__init__.pyi"].splitlines(keepends=True)
    assert measured(tmp_path, LIBRARY | {"shapes/__init__.pyi": "".join(stub[::-1])}) == before
    for path in (tmp_path / "house").rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert lab_keys.measures(tmp_path / "lab.ipynb", tmp_path / "house") == before
