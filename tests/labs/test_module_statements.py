"""Code is compared without what no computer reads, and with all that one does."""

import pytest
from module_statements import plain


@pytest.mark.parametrize(
    "code, left",
    [
        ("x = 1  # why\n\n# a\ny = 2 \n", "x = 1\ny = 2"),
        ('def f():\n    """A."""\n    return 1', "def f():\n    return 1"),
        ('def f():\n    r"""A.\n\n    B.\n    """\n    return 1', "def f():\n    return 1"),
        ('def f(): "A."; return 1', 'def f(): "A."; return 1'),
        ('"ÄÄÄÄÄ"; x = 1', '"ÄÄÄÄÄ"; x = 1'),
        ('x = """\n# a \n\n"""', 'x = """\n# a \n\n"""'),
        ('x = f"""\n# {y}\n\n"""', 'x = f"""\n# {y}\n\n"""'),
        ('x = "#"  # "', 'x = "#"'),
    ],
)
def test_plain_code_has_all_that_is_run(code, left):
    assert plain(code) == left
