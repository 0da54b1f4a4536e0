# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The few files that do not fit the others of their series."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from .file import read_dataset
from .geometry import plane_of
from .reader import ALIKE
from .size import frame_count

__all__ = ["odd_files"]

# Where more files than this share (or one) lie where others do, the series is no stack of slices.
LARGEST_SHARE = 0.1


def odd_files(paths: Sequence[Path]) -> dict[Path, str]:
    """Find the files of a series that keep the others from being one stack of slices.

    More than half of the files must agree; otherwise nobody can say which are the odd ones.

    Args:
        paths: the files, each of which can be read alone.

    Returns:
        The odd files, and what is wrong with each; empty if nothing is, or if too many are odd.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        headers = {path: read_dataset(path, pixels=False) for path in paths}
        planes = {path: plane_of(header) for path, header in headers.items()}
        features = {
            "number of frames": {path: frame_count(header) > 1 for path, header in headers.items()},
            **{name: {path: str(header.get(name)) for path, header in headers.items()} for name in ALIKE},
            "kind of place": {path: plane.is_placed for path, plane in planes.items()},
            "orientation": {
                path: None if plane.axes is None else tuple(plane.axes.round(2).ravel() + 0.0)
                for path, plane in planes.items()
            },
            "pixel spacing": {
                path: None if plane.pixel_spacing is None else tuple(round(side, 3) for side in plane.pixel_spacing)
                for path, plane in planes.items()
            },
        }
    odd: dict[Path, str] = {}
    for name, values in features.items():
        for path in _minority({path: value for path, value in values.items() if path not in odd}):
            odd[path] = f"has another {name} than the other files of its series."
    rest = [path for path in paths if path not in odd]
    taken: dict[Hashable, Path] = {}
    doubles: dict[Path, str] = {}
    for path in rest:
        if planes[path].is_placed:
            place = tuple(planes[path].position.round(3))
            if place in taken:
                doubles[path] = f"lies at the same place as {taken[place].name} of its series."
            taken.setdefault(place, path)
    if len(doubles) > max(1, LARGEST_SHARE * len(paths)):
        return {}
    odd |= doubles
    return odd if 2 * len(odd) < len(paths) else {}


def _minority(values: Mapping[Path, Hashable]) -> list[Path]:
    if not values:
        return []
    (usual, _), *_ = Counter(values.values()).most_common(1)
    return [path for path, value in values.items() if value != usual]
