# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Where DICOM slices lie: their order along the normal, their distances, and what makes no volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset

from ..stack import FormatError

__all__ = ["Plane", "frame_planes", "functional_group", "order_planes", "plane_of", "plane_spacing"]

# Headers give places as rounded text: millimetres, components of unit vectors, relative pixel distances.
SAME_PLACE = 1e-3
SAME_DIRECTION = 1e-3
SAME_SPACING = 1e-3
# A slice is missing where a distance is a whole number of ordinary ones. Uneven distances by themselves are no fault.
WHOLE_NUMBER = 0.1


@dataclass(frozen=True)
class Plane:
    """Where one slice lies; None for what the file does not say.

    Attributes:
        position: centre of the first pixel in millimetres, ``(3,)``.
        axes: unit vectors along a row and along a column, ``(2, 3)``.
        pixel_spacing: distances between rows and between columns in millimetres.
        thickness: distance to the next slice in millimetres, or the slice's thickness.
        number: the InstanceNumber.
    """

    position: np.ndarray | None
    axes: np.ndarray | None
    pixel_spacing: tuple[float, float] | None
    thickness: float | None
    number: int

    @property
    def is_placed(self) -> bool:
        """Whether the file says where the slice lies."""
        return self.position is not None and self.axes is not None

    def place(self) -> float:
        """Place along the normal in millimetres."""
        return float(self.position @ np.cross(*self.axes))


def plane_of(header: Dataset) -> Plane:
    """Where the slice of a single-frame file lies.

    Args:
        header: the file's data set.

    Returns:
        Its plane.
    """
    return _plane(header, header, header, header)


def frame_planes(header: Dataset, count: int) -> list[Plane]:
    """Where the frames of a multi-frame file lie, by its functional groups where it has any.

    Args:
        header: the file's data set.
        count: the number of frames.

    Returns:
        One plane a frame, in the order of the frames.
    """
    if count == 1 and "PerFrameFunctionalGroupsSequence" not in header:
        return [plane_of(header)]
    groups = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
    return [_plane(header, *(functional_group(header, frame, name) for name in groups)) for frame in range(count)]


def functional_group(header: Dataset, frame: int, name: str) -> Dataset:
    """An item of a functional group: the frame's own, else the shared one, else the data set itself.

    Args:
        header: the file's data set.
        frame: index of the frame.
        name: keyword of the group's sequence, such as ``"PixelMeasuresSequence"``.

    Returns:
        Where the group's attributes stand.
    """
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    for item in (*own[frame : frame + 1], *shared[:1]):
        if item.get(name):
            return item[name].value[0]
    return header


def order_planes(paths: Sequence[Path], planes: Sequence[Plane], allow_gaps: bool = False) -> list[int]:
    """The order of a series' slices: along their normal, or by InstanceNumber where none says where it lies.

    Args:
        paths: the files, for messages.
        planes: one a file.
        allow_gaps: whether slices may be missing.

    Returns:
        Indices into ``paths``.

    Raises:
        FormatError: when the slices are no stack of parallel, equally sampled planes, when two lie at one place, or
            when one is missing between others.
    """
    placed = [plane.is_placed for plane in planes]
    if not any(placed):
        _check_spacing(paths, planes)
        return sorted(range(len(paths)), key=lambda index: (planes[index].number, paths[index]))
    if not all(placed):
        raise FormatError(paths[placed.index(False)], "does not say where it lies, other slices of its series do.")
    for path, plane in zip(paths, planes):
        if not np.allclose(plane.axes, planes[0].axes, rtol=0, atol=SAME_DIRECTION):
            raise FormatError(path, f"has another orientation than {paths[0].name} of its series.")
    _check_spacing(paths, planes)
    normal = np.cross(*planes[0].axes)
    places = np.array([plane.position @ normal for plane in planes])
    order = [int(index) for index in np.argsort(places, kind="stable")]
    distances = np.diff(places[order])
    for index in np.flatnonzero(distances < SAME_PLACE):
        first, second = paths[order[index]], paths[order[index + 1]]
        raise FormatError(
            second, f"lies at the same place as {first.name} of its series, and nothing tells them apart."
        )
    if len(distances) > 1 and not allow_gaps:
        usual = np.sort(distances)[(len(distances) - 1) // 2]
        steps = distances / usual
        for index in np.flatnonzero((steps > 1.5) & (np.abs(steps - np.rint(steps)) < WHOLE_NUMBER)):
            before, after = paths[order[index]], paths[order[index + 1]]
            missing = int(np.rint(steps[index])) - 1
            count = "a slice is" if missing == 1 else f"{missing} slices are"
            raise FormatError(after, f"{count} missing between it and {before.name} of its series.")
    return order


def plane_spacing(planes: Sequence[Plane]) -> tuple[float, float, float] | None:
    """The distances of sorted slices, of rows and of columns.

    Args:
        planes: of one stack, in order.

    Returns:
        ``(slice, row, column)`` in millimetres; None when one of them is unknown.
    """
    first = planes[0]
    distance = first.thickness
    if len(planes) > 1 and all(plane.is_placed for plane in planes):
        distances = np.abs(np.diff([plane.place() for plane in planes]))
        distance = float(np.median(distances)) or distance
    if first.pixel_spacing is None or distance is None:
        return None
    return (distance, *first.pixel_spacing)


def _check_spacing(paths: Sequence[Path], planes: Sequence[Plane]) -> None:
    first = planes[0].pixel_spacing
    for path, plane in zip(paths, planes):
        same = plane.pixel_spacing == first or (
            None not in (plane.pixel_spacing, first) and np.allclose(plane.pixel_spacing, first, SAME_SPACING, 0)
        )
        if not same:
            raise FormatError(path, f"has another pixel spacing than {paths[0].name} of its series.")


def _plane(header: Dataset, position: Dataset, orientation: Dataset, measures: Dataset) -> Plane:
    place = _numbers(position.get("ImagePositionPatient"), 3)
    axes = _numbers(orientation.get("ImageOrientationPatient"), 6)
    spacing = _numbers(measures.get("PixelSpacing"), 2)
    if spacing is None:
        spacing = _numbers(header.get("ImagerPixelSpacing"), 2)
    thickness = _numbers([measures.get("SpacingBetweenSlices")], 1)
    if thickness is None:
        thickness = _numbers([measures.get("SliceThickness")], 1)
    return Plane(
        place,
        None if axes is None else axes.reshape(2, 3),
        tuple(map(float, spacing)) if spacing is not None and (spacing > 0).all() else None,
        float(abs(thickness[0])) if thickness is not None and thickness[0] else None,
        int(header.get("InstanceNumber") or 0),
    )


def _numbers(value: object, count: int) -> np.ndarray | None:
    try:
        numbers = np.array(value, np.float64).reshape(-1)
    except (TypeError, ValueError):
        return None
    return numbers if numbers.size == count and np.isfinite(numbers).all() else None
