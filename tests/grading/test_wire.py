"""What crosses the sandbox's wall, and IPython's own syntax, which does not."""

import io
import json
from fractions import Fraction

import pytest
import torch

from vae_course.grading import wire


@pytest.mark.parametrize(
    "cell, python",
    [
        ("x = 7 \\\n  % 4", "x = 7 \\\n  % 4"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("if True:\n    !pip install x\ny = 2", "if True:\n    pass\ny = 2"),
        ("files = !ls\nhere = %pwd\ntorch.cdist?", "files = None\nhere = None\npass"),
        ("%%time\nx = 1", "x = 1"),
        ("%%bash\nrm -rf /", ""),
    ],
)
def test_ipythons_own_syntax_does_nothing_and_pythons_is_kept(cell, python):
    assert wire.python_lines(cell) == python


def test_data_cross_the_wall_as_they_are():
    values = [Fraction(1, 3), 2 + 1j, (1, [2.5, None]), {"a": {3}}, b"x", torch.float16, ...]
    sent = json.loads(json.dumps(wire.Encoder(refuse)(values)))
    assert wire.Decoder(refuse)(sent) == values
    for made in (torch.eye(2, dtype=torch.bfloat16), torch.empty(3, 0), torch.tensor([1j])):
        back = wire.Decoder(refuse)(json.loads(json.dumps(wire.Encoder(refuse)(made))))
        assert back.dtype == made.dtype and torch.equal(back, made)


def test_a_tensor_of_no_data_and_many_rows_stays_where_it_is():
    assert wire.Encoder(lambda x: "kept")(torch.empty(10**7, 0, 3)) == "kept"
    told = {"t": "tensor", "dtype": "float32", "shape": [10**8, 0], "data": ""}
    with pytest.raises(wire.WireError, match="too many rows"):
        wire.Decoder(refuse)(told)


@pytest.mark.parametrize("shape", [[3], [1, 1], [-1, -2]])
def test_data_that_do_not_fill_their_shape_are_refused(shape):
    told = {"t": "tensor", "dtype": "float32", "shape": shape, "data": wire.base64_of(bytes(8))}
    with pytest.raises(wire.WireError, match="do not fit"):
        wire.Decoder(refuse)(told)


def test_a_message_above_the_limit_is_neither_sent_nor_read():
    frame = wire.pack("x" * 8, limit=10)
    for limit, said in [(9, "more than 9 bytes"), (8, "more than 8 bytes")]:
        with pytest.raises(wire.WireError, match=said):
            wire.pack("x" * 8, limit)

    assert wire.unpack(io.BytesIO(frame).read, limit=10) == "x" * 8
    with pytest.raises(wire.WireError, match="a message of 10 bytes"):
        wire.unpack(io.BytesIO(frame).read, limit=9)


def refuse(x):
    raise AssertionError(f"{x!r} has a form of its own")
