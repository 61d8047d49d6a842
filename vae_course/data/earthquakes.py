"""Epicentres of a week of earthquakes, as directions."""

import numpy as np
import torch

from vae_course.data import embedded
from vae_course.data.dataset import Dataset

REGIONS = (
    "elsewhere", "California", "Alaska", "Nevada", "Puerto Rico", "Hawaii", "Taiwan",
)  # fmt: skip


def earthquakes() -> Dataset:
    arrays = embedded.read("earthquakes")
    longitude, latitude = np.radians(arrays["degrees"].T / 10_000)
    directions = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=1,
    )
    points = torch.from_numpy(directions).float()
    labels = torch.from_numpy(arrays["region"]).long()
    magnitude = torch.from_numpy(arrays["magnitude"] / 100).float()
    cut = len(points) * 4 // 5  # rows are shuffled
    return Dataset(
        name="earthquakes",
        train=points[:cut],
        test=points[cut:],
        train_labels=labels[:cut],
        test_labels=labels[cut:],
        image_shape=(3,),
        source="U.S. Geological Survey, all earthquakes from 31 January to 7 February 2018",
        licence="public domain",
        meta={
            "regions": REGIONS,
            "train_magnitude": magnitude[:cut],
            "test_magnitude": magnitude[cut:],
        },
    )
