"""What crosses the sandbox's wall, and what is too much to cross."""

import io
import json
from fractions import Fraction

import pytest
import torch

from vae_course.grading import wire


def test_data_cross_the_wall_as_they_are():
    values = [Fraction(1, 3), 2 + 1j, (1, [2.5, None]), {"a": {3}}, b"x", torch.float16, ...]
    sent = json.loads(json.dumps(wire.Encoder(refuse)(values)))
    assert wire.Decoder(refuse)(sent) == values
    for made in (torch.eye(2, dtype=torch.bfloat16), torch.empty(3, 0), torch.tensor([1j])):
        back = wire.Decoder(refuse)(json.loads(json.dumps(wire.Encoder(refuse)(made))))
        assert back.dtype == made.dtype and torch.equal(back, made)


@pytest.mark.parametrize(
    "told, said",
    [
        ({"t": "fraction", "v": ["1e30000000"]}, "unpack"),
        ({"t": "fraction", "v": ["1e300", "1"]}, "no integer"),
        ({"t": "fraction", "v": [1.5, 2]}, "no integer"),
        ({"t": "fraction", "v": [1, 1 << 5000]}, "more than 4,096 bits"),
        ({"t": "complex", "v": ["1" * 10, {}]}, "float"),
        ([0, 1 << 5000], "more than 4,096 bits"),
        ([[]] * 100, "more than 100 objects"),
        ({"t": "tensor", "dtype": "bool", "shape": [1] * 40, "data": "AA=="}, "32 dimensions"),
        ({"t": "tensor", "dtype": "bool", "shape": ["1"], "data": "AA=="}, "no integer"),
        ({"t": "array", "dtype": "O", "shape": [], "data": ""}, "no numbers"),
        ({"t": "bytes", "v": ["A"]}, "no text"),
        ({"t": "opaque", "text": [["x"]]}, "no text"),
    ],
)
def test_what_has_no_bounds_is_not_read(told, said, monkeypatch):
    monkeypatch.setattr(wire, "OBJECTS", 100)
    with pytest.raises((wire.WireError, ValueError, TypeError), match=said):
        wire.Decoder(refuse)(told)


def nested(depth):
    made = []
    for _ in range(depth):
        made = [made]
    return made


@pytest.mark.parametrize(
    "value, said",
    [
        (1 << 5000, "more than 4,096 bits"),
        (Fraction(1, 1 << 5000), "more than 4,096 bits"),
        (type("Mine", (int,), {})(1 << 5000), "more than 4,096 bits"),
        ([0.0] * 100, "more than 100 objects"),
        (nested(40), "nested deeper than 32"),
    ],
)
def test_nor_is_it_sent(value, said, monkeypatch):
    monkeypatch.setattr(wire, "OBJECTS", 100)
    with pytest.raises(wire.WireError, match=said):
        wire.Encoder(refuse)(value)
    if said.startswith("nested"):
        with pytest.raises(wire.WireError, match=said):
            wire.Decoder(refuse)(value)


def test_what_is_within_the_bounds_crosses():
    for value in ((1 << 4096) - 1, Fraction(1, (1 << 4096) - 1), [0.0] * 1000, nested(31)):
        sent = json.loads(json.dumps(wire.Encoder(refuse)(value)))
        assert wire.Decoder(refuse)(sent) == value


@pytest.mark.parametrize("shape", [(10**7, 0, 3), (1 << 16, 2, 0)])
def test_a_tensor_of_no_data_and_many_rows_stays_where_it_is(shape):
    assert wire.Encoder(lambda x: "kept")(torch.empty(shape)) == "kept"
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
