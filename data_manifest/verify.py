# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checking a manifest against its files, before hours of training are spent on them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..transforms import ImageReadError, LoadMedicalImage, drop_equal_channels
from .digest import file_digest
from .manifest import Manifest, ManifestRecord, Problem, is_url

__all__ = ["verify_manifest"]


def verify_manifest(
    manifest: Manifest | str | os.PathLike,
    decode: bool = True,
    min_size: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Find what is wrong with the images of a manifest.

    Args:
        manifest: the manifest, or its path.
        decode: read every file, compare its checksum and look at its pixels. False looks only at what the manifest
            says and whether the files are there: for thousands of images that takes a second, for the start of a
            training.
        min_size: least number of rows and of columns, such as the training's patch size.
        workers: threads; by default one a core, eight at most.
        progress: called with (files done, files in all).

    Returns:
        The problems, in the manifest's order; empty when there are none. Each names its file; its ``kind`` is one of

        - ``missing``: no such file, or a URL that was not fetched;
        - ``corrupt``: an empty file, another checksum than recorded, not decodable, or no such slice;
        - ``nan``: NaN or infinite values;
        - ``mismatch``: size, number of channels or dtype differ from the manifest, or the target's size differs;
        - ``range``: the intensity range is empty or not finite;
        - ``small``: fewer rows or columns than ``min_size``;
        - ``duplicate``: an image that the same split holds already (the same line, file or pixels);
        - ``leak``: a subject or an image in two splits.

    Raises:
        ManifestError: when the manifest cannot be read.
    """
    if not isinstance(manifest, Manifest):
        manifest = Manifest.read(manifest)
    records = manifest.records
    problems = [(i, p) for i, record in enumerate(records) for p in _check_line(record, min_size)]
    problems += _subject_leaks(records)
    seen: dict[int, list[tuple]] = {
        i: [("file", r.sha256 or r.path, r.slice)] + [("path", r.path, r.slice)] for i, r in enumerate(records)
    }
    by_file: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        by_file.setdefault(record.path, []).append(index)

    def check(path: str) -> tuple[list[tuple[int, Problem]], dict[int, str]]:
        return _check_file(path, [(i, records[i]) for i in by_file[path]], decode)

    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as executor:
        for done, (found, pixels) in enumerate(executor.map(check, by_file), start=1):
            problems += found
            for index, digest in pixels.items():
                seen[index].append(("pixels", digest))
            if progress is not None:
                progress(done, len(by_file))
    problems += _repeated(records, seen)
    return [problem for _, problem in sorted(problems, key=lambda item: item[0])]


def _check_line(record: ManifestRecord, min_size: int) -> Iterable[Problem]:
    """Problems that show without the file."""
    low, high = record.intensity_min, record.intensity_max
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        yield Problem("range", record.name, f"the intensity range {low:g}..{high:g} is empty or not finite.")
    if min(record.height, record.width) < min_size:
        yield Problem(
            "small", record.name, f"{record.width} x {record.height} pixels, but {min_size} x {min_size} are needed."
        )


def _subject_leaks(records: list[ManifestRecord]) -> list[tuple[int, Problem]]:
    homes: dict[tuple[str, str], dict[str, ManifestRecord]] = {}
    found = []
    for index, record in enumerate(records):
        if not record.split:
            continue
        home = homes.setdefault(record.subject_key, {})
        if home and record.split not in home:
            other_split, other = next(iter(home.items()))
            cause = f"subject '{record.subject}' is in {record.split} and, with {other.name}, in {other_split}."
            found.append((index, Problem("leak", record.name, cause)))
        home.setdefault(record.split, record)
    return found


def _repeated(records: list[ManifestRecord], seen: dict[int, list[tuple]]) -> list[tuple[int, Problem]]:
    """Images that are there twice: a leak when in two splits, else a duplicate."""
    first: dict[tuple, int] = {}
    found = []
    for index, record in enumerate(records):
        others = [first[key] for key in seen[index] if key in first]
        for key in seen[index]:
            first.setdefault(key, index)
        if not others:
            continue
        other = records[others[0]]
        if record.split and other.split and record.split != other.split:
            cause = f"the same image as {other.name}: it is in {record.split} and in {other.split}."
            found.append((index, Problem("leak", record.name, cause)))
        else:
            found.append((index, Problem("duplicate", record.name, f"the same image as {other.name}.")))
    return found


def _check_file(
    path: str, lines: list[tuple[int, ManifestRecord]], decode: bool
) -> tuple[list[tuple[int, Problem]], dict[int, str]]:
    """Problems of one file and its targets, and a digest of the pixels of each of its lines."""
    first, record = lines[0]
    absent = [
        (index, Problem("missing", line.target, f"the target of {line.name}: {_absence(line.target)}"))
        for index, line in lines
        if line.target and _absence(line.target)
    ]
    if _absence(path):
        return absent + [(first, Problem("missing", path, _absence(path)))], {}
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        return absent + [(first, Problem("corrupt", path, "the file is empty (0 bytes)."))], {}
    if not decode:
        return absent, {}
    found = list(absent)
    if record.sha256 and file_digest(path) != record.sha256:
        found.append((first, Problem("corrupt", path, "its checksum differs from the manifest's: the file changed.")))
    load = LoadMedicalImage()
    try:
        image = load(path)
    except ImageReadError as error:
        return found + [(first, Problem("nan" if "NaN" in error.cause else "corrupt", path, error.cause))], {}
    dtype = str(image.meta["stored_dtype"])
    if record.stored_dtype and dtype != record.stored_dtype:
        found.append((first, Problem("mismatch", path, f"it holds {dtype}, the manifest says {record.stored_dtype}.")))
    pixels: dict[int, str] = {}
    for index, line in lines:
        if (line.slice is None) != (image.ndim == 3) or (line.slice is not None and line.slice >= image.shape[-1]):
            cause = f"the manifest asks for slice {line.slice} of an image of shape {tuple(image.shape)}."
            found.append((index, Problem("corrupt", line.name, cause)))
            continue
        plane = image if line.slice is None else image[..., line.slice]
        if line.channels == 1:
            plane = drop_equal_channels(plane)
        shape = (plane.shape[0], plane.shape[2], plane.shape[1])
        if shape != (line.channels, line.height, line.width):
            cause = (
                f"channels, rows and columns are {shape}, the manifest says {(line.channels, line.height, line.width)}."
            )
            found.append((index, Problem("mismatch", line.name, cause)))
        array = np.ascontiguousarray(plane.numpy())
        # All empty pictures are equal, but they are not duplicates.
        if array.min() < array.max():
            pixels[index] = hashlib.blake2b(array.tobytes() + repr(array.shape).encode(), digest_size=16).hexdigest()
        if line.target and not _absence(line.target):
            found += [(index, problem) for problem in _check_target(load, line, plane.shape)]
    return found, pixels


def _check_target(load: LoadMedicalImage, line: ManifestRecord, shape: tuple[int, ...]) -> Iterable[Problem]:
    try:
        target = load(line.target, line.slice)
    except ImageReadError as error:
        yield Problem("nan" if "NaN" in error.cause else "corrupt", line.target, error.cause)
        return
    if line.channels == 1:
        target = drop_equal_channels(target)
    if target.shape != shape:
        yield Problem("mismatch", line.target, f"shape {tuple(target.shape)}, but {line.name} has {tuple(shape)}.")


def _absence(path: str) -> str:
    """Why a file is not there; empty when it is."""
    if is_url(path):
        return "a URL that was not fetched (noisewise manifest fetch)."
    return "" if os.path.exists(path) else "no such file."
