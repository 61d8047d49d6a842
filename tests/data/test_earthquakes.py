"""Epicentres are where the regions are, as many and as strong as their notice says."""

import pytest
import torch
from torch.testing import assert_close


def test_epicentres_are_unit_vectors_in_their_regions(loaded):
    # Boxes of longitude and latitude drawn by eye around each region, offshore quakes included.
    boxes = {
        "California": ((-128, -113), (31, 43)),
        "Nevada": ((-121, -113), (34.5, 42.5)),
        "Puerto Rico": ((-69, -64), (17, 20)),
        "Hawaii": ((-157, -154), (18, 21.5)),
        "Taiwan": ((120, 123), (21.5, 25.5)),
    }
    d = loaded("earthquakes")
    for x, tags in ((d.train, d.train_labels), (d.test, d.test_labels)):
        assert_close(x.norm(dim=1), torch.ones(len(x)), atol=2e-7, rtol=0)
        longitude = torch.rad2deg(torch.atan2(x[:, 1], x[:, 0]))
        latitude = torch.rad2deg(torch.asin(x[:, 2]))
        for name, (wide, high) in boxes.items():
            here = tags == d.meta["regions"].index(name)
            assert here.any()
            assert ((longitude[here] > wide[0]) & (longitude[here] < wide[1])).all(), name
            assert ((latitude[here] > high[0]) & (latitude[here] < high[1])).all(), name


def test_earthquakes_are_as_many_and_as_strong_as_their_notice_says(loaded):
    d = loaded("earthquakes")
    tags = torch.cat([d.train_labels, d.test_labels])
    magnitude = torch.cat([d.meta["train_magnitude"], d.meta["test_magnitude"]])
    counts = dict(zip(d.meta["regions"], tags.bincount().tolist(), strict=True))
    assert (counts["California"], counts["Alaska"], counts["Nevada"]) == (817, 311, 174)
    strong = magnitude >= 4
    assert strong.sum() == 128
    assert (tags[strong] == d.meta["regions"].index("Taiwan")).sum() == 20
    # The strongest of the week: magnitude 6.4, 6 February 2018, off Hualien at 24.1 N, 121.7 E
    first = torch.cat([d.train, d.test])[magnitude.argmax()]
    longitude, latitude = torch.rad2deg(torch.atan2(first[1], first[0])), first[2].asin()
    assert magnitude.max() == pytest.approx(6.4)
    assert longitude == pytest.approx(121.7, abs=0.2)
    assert torch.rad2deg(latitude) == pytest.approx(24.1, abs=0.2)
