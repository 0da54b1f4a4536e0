# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Building a manifest from a folder of images."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..listing import first_lines, first_names
from ..renamed import renamed_arguments
from ..transforms import ImageReadError, LoadMedicalImage, drop_equal_channels, intensity_range
from .digest import file_digest
from .discover import DicomHeader, find_image_files, group_by_series, read_dicom_headers
from .manifest import SPLITS, Manifest, ManifestError, ManifestRecord, Problem, every_nth_of
from .subjects import compile_subject_pattern, subject_of
from .table import read_table

__all__ = ["BuildError", "build_manifest"]

logger = logging.getLogger(__name__)

# A pixel above this part of the intensity range counts as content: in CT, whatever is denser than -900 HU.
CONTENT_LEVEL = 0.05


class BuildError(ManifestError):
    """Files that cannot become lines of a manifest, all of them together.

    Args:
        root: the folder.
        problems: what is wrong with which file.
    """

    def __init__(self, root: str | os.PathLike, problems: Sequence[Problem]) -> None:
        by_cause: dict[str, list[str]] = {}
        for problem in problems:
            by_cause.setdefault(problem.cause, []).append(problem.path)
        lines = [f"{os.fspath(root)}: {len(problems)} file(s) cannot be used:"]
        causes = [f"{first_names(paths, shown=5)}: {cause}" for cause, paths in by_cause.items()]
        lines.append(textwrap.indent(first_lines(causes, shown=10, rest="other causes"), "  "))
        super().__init__("\n".join(lines))
        self.problems = list(problems)


@dataclass(frozen=True)
class _Entry:
    """A file and the words of its line."""

    path: Path
    words: dict[str, str]
    is_dicom: bool


@dataclass(frozen=True)
class _Task:
    """Files that share one intensity range; all from one DICOM series, or not."""

    entries: tuple[_Entry, ...]
    is_series: bool


@dataclass(frozen=True)
class _Labels:
    """The values of every line, unless a table gives others; see :func:`build_manifest`."""

    modality: str | None
    source: str
    license: str
    split: str
    pattern: re.Pattern[str] | None
    salt: str

    def of(self, path: Path, folder: Path, row: Mapping[str, str], header: DicomHeader | None) -> dict[str, str]:
        """The words of a file's line: from its row of the table, else from these labels, else from the file."""
        defaults = {name: getattr(self, name) for name in ("modality", "source", "license", "split")}
        words = {name: row.get(name) or value or "" for name, value in defaults.items()}
        words["target"], words["kernel"] = row.get("target", ""), row.get("kernel", "")
        words["modality"] = (words["modality"] or (header.modality if header else "")).lower()
        if not words["modality"]:
            raise ValueError("its modality is not known: give modality=... (--modality) or a table with that column.")
        patient_id = header.patient_id if header else ""
        words["subject"] = row.get("subject") or subject_of(path, folder, patient_id, self.pattern, self.salt)
        return words


@dataclass(frozen=True)
class _Rules:
    """How images are measured and which slices are taken; see :func:`build_manifest`."""

    offset: float | None
    intensity: tuple[float, float] | None
    range_per: str
    every_nth: int
    min_content: float
    min_size: int

    def __post_init__(self) -> None:
        if self.range_per not in ("image", "subject"):
            raise ManifestError(f"range_per is '{self.range_per}', it must be 'image' or 'subject'.")
        if self.every_nth < 1:
            raise ManifestError(f"every_nth is {self.every_nth}, it must be at least 1.")
        if self.intensity is not None and not self.intensity[0] < self.intensity[1]:
            raise ManifestError(f"the intensity range {self.intensity} is empty.")


@dataclass
class _Findings:
    """The lines made of the files, and the files without one."""

    records: list[ManifestRecord] = field(default_factory=list)
    unusable: list[Problem] = field(default_factory=list)
    left_out: list[Problem] = field(default_factory=list)


@renamed_arguments(licence="license")
def build_manifest(
    root: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    modality: str | None = None,
    source: str | None = None,
    license: str = "",
    split: str = "",
    subject_pattern: str | None = None,
    salt: str = "",
    table: str | os.PathLike | None = None,
    include: str = "*",
    exclude: str | None = None,
    offset: float | None = None,
    intensity: tuple[float, float] | None = None,
    range_per: str = "image",
    every_nth: int = 1,
    min_content: float = 0.05,
    min_size: int = 0,
    skip_unusable: bool = False,
    absolute: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Build a manifest from a folder of PNG, JPEG, BMP, TIFF, NIfTI or DICOM files.

    Every file is read once: what gets into the manifest can be decoded. A flat image is one line, a volume one line a
    slice. Each slice of a DICOM series is a line with its own file, which is much faster to read than the series, and
    all slices of a series share one intensity range. Nothing of a DICOM header but a hash of PatientID is written;
    **paths are written as they are**, so rename files and folders that carry patients' names.

    Args:
        root: folder of the images (with its subfolders), or one file.
        out: the CSV to write; None to write nothing.
        modality: ``"mri"``, ``"xray"``, ``"ct"``, ``"skin"``, ``"microscopy"`` or another word. DICOM files tell it
            themselves; it overrides them.
        source: short name of the collection; by default the folder's name.
        license: license of the images.
        split: ``"train"``, ``"val"``, ``"test"`` or empty: the split of every image.
        subject_pattern: regular expression searched in the path below ``root``; its first group is the subject.
            Without it: DICOM's PatientID, hashed; else the folder that the file is in; else the file's name.
        salt: a secret mixed into the hash of PatientID.
        table: CSV with a column ``file`` and any of modality, source, subject, split, license, target, kernel, which
            override all else for their file (see :func:`~noisewise.data_manifest.read_table`). Only files that it names
            are read.
        include: shell pattern of the files to take.
        exclude: shell pattern of the files to leave.
        offset: what was added to HU before CT was stored as PNG, TIFF or NIfTI, for example 1024. None means that
            nothing was added; it is an error then when a CT image has no value below 0. Does not apply to DICOM,
            to 8-bit files, nor to other modalities.
        intensity: ``(low, high)``, the intensities that map to 0 and 1 for every image, in place of the rule of
            :func:`~noisewise.transforms.intensity_range`.
        range_per: ``"image"``, or ``"subject"`` where a volume was cut into many files and its slices must share one
            range: the rule then sees all images of a subject together.
        every_nth: of a volume, take every n-th slice only.
        min_content: of a volume, leave out slices of which less than this part lies above 5 % of the intensity range.
        min_size: leave out images with fewer rows or columns.
        skip_unusable: leave unusable files out, list them in :attr:`Manifest.skipped` and in the log, and continue.
        absolute: write absolute paths (see :meth:`Manifest.write`).
        workers: threads; by default one a core, eight at most.
        progress: called with (files done, files in all).

    Returns:
        The manifest, sorted by path and slice (with a table: in its order); what was left out is listed in its
        ``skipped``.

    Raises:
        BuildError: naming every file that cannot be used, with its cause.
        ManifestError: when there are no images, or when an argument or the table is wrong.
    """
    if split and split not in SPLITS:
        raise ManifestError(f"split is '{split}', it must be one of {', '.join(SPLITS)} or empty.")
    rules = _Rules(offset, intensity, range_per, every_nth, min_content, min_size)
    root = Path(os.path.abspath(root))
    if not root.exists():
        raise ManifestError(f"{root}: no such folder.")
    folder = root if root.is_dir() else root.parent
    labels = _Labels(modality, source or folder.name, license, split, compile_subject_pattern(subject_pattern), salt)
    rows = {} if table is None else read_table(table, folder)
    files = list(rows) if rows else find_image_files(root, include, exclude)
    if not files:
        raise ManifestError(f"{root}: no PNG, JPEG, BMP, TIFF, NIfTI or DICOM file that matches '{include}'.")
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as executor:
        headers = read_dicom_headers(files, executor)
        found = _Findings()
        entries = _entries(files, folder, rows, headers, labels, found)
        tasks = _tasks(group_by_series(entries, headers), entries, rules)
        _measure_all(tasks, rules, executor, found, progress)

    if found.unusable and not skip_unusable:
        raise BuildError(root, found.unusable)
    for problem in found.unusable:
        logger.warning("left out: %s", problem)
    skipped = found.unusable + found.left_out
    if not found.records:
        raise ManifestError(f"{root}: none of {len(files)} files is usable; the first: {skipped[0]}")
    order = {path: index for index, path in enumerate(files)}
    records = sorted(found.records, key=lambda record: (order[Path(record.path)], record.slice or 0))
    manifest = Manifest(records, out, skipped)
    if out is not None:
        manifest.write(out, absolute=absolute)
    return manifest


def _entries(
    files: Sequence[Path],
    folder: Path,
    rows: Mapping[Path, Mapping[str, str]],
    headers: Mapping[Path, DicomHeader],
    labels: _Labels,
    found: _Findings,
) -> dict[Path, _Entry]:
    """The files that a line can be made for; the others are noted in ``found``."""
    entries = {}
    for path in files:
        try:
            words = labels.of(path, folder, rows.get(path, {}), headers.get(path))
            entries[path] = _Entry(path, words, path in headers)
        except ValueError as error:
            found.unusable.append(Problem("unusable", str(path), str(error)))
    return entries


def _tasks(groups: list[list[Path]], entries: dict[Path, _Entry], rules: _Rules) -> list[_Task]:
    tasks: list[_Task] = []
    subjects: dict[tuple, list[_Entry]] = {}
    for group in groups:
        members = [entries[path] for path in group]
        is_series = len(members) > 1
        if is_series:
            members = every_nth_of(members, rules.every_nth)
        if all(entry.words["modality"] == "ct" for entry in members):
            # CT has one range for every image; keeping a series of hundreds of slices would only fill memory.
            tasks += [_Task((entry,), is_series) for entry in members]
        elif is_series or rules.range_per == "image":
            tasks.append(_Task(tuple(members), is_series))
        else:
            words = members[0].words
            subjects.setdefault((words["modality"], words["source"], words["subject"]), []).extend(members)
    return tasks + [_Task(tuple(members), False) for members in subjects.values()]


def _measure_all(
    tasks: Sequence[_Task],
    rules: _Rules,
    executor: Executor,
    found: _Findings,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Read all files and put what comes of them into ``found``."""
    done, total = 0, sum(len(task.entries) for task in tasks)
    for task, result in zip(tasks, executor.map(lambda task: _measure(task, rules), tasks)):
        for finding in result:
            if isinstance(finding, ManifestRecord):
                found.records.append(finding)
            else:
                (found.unusable if finding.kind == "unusable" else found.left_out).append(finding)
        done += len(task.entries)
        if progress is not None:
            progress(done, total)


def _measure(task: _Task, rules: _Rules) -> list[ManifestRecord | Problem]:
    """Read the files of a task, find their common range, and make their lines."""
    load = LoadMedicalImage()
    entries: list[_Entry] = []
    images: list[np.ndarray] = []
    dtypes: list[str] = []
    findings: list[ManifestRecord | Problem] = []
    for entry in task.entries:
        target = entry.words["target"]
        try:
            if target and not os.path.exists(target):
                raise ImageReadError(entry.path, f"its target {target} does not exist.")
            image = load(entry.path)
        except ImageReadError as error:
            findings.append(Problem("unusable", str(entry.path), error.cause))
            continue
        entries.append(entry)
        dtypes.append(str(image.meta["stored_dtype"]))
        images.append(drop_equal_channels(image).numpy())
    if not images:
        return findings
    try:
        low, high = _common_range(images, dtypes, entries, rules)
    except ValueError as error:
        return findings + [Problem("unusable", str(entry.path), str(error)) for entry in entries]
    for entry, image, dtype in zip(entries, images, dtypes):
        findings += _lines(entry, image, dtype, low, high, task.is_series, rules)
    return findings


def _common_range(
    images: list[np.ndarray], dtypes: list[str], entries: list[_Entry], rules: _Rules
) -> tuple[float, float]:
    if rules.intensity is not None:
        return rules.intensity
    if len(set(dtypes)) > 1:
        raise ValueError(f"images that should share one intensity range have dtypes {', '.join(sorted(set(dtypes)))}.")
    # One percentile over all images together: the range is fixed once a series, never a slice.
    pooled = images[0] if len(images) == 1 else np.concatenate([image.ravel() for image in images])
    low, high = intensity_range(pooled, dtypes[0], entries[0].words["modality"])
    if entries[0].words["modality"] != "ct" or entries[0].is_dicom or dtypes[0] == "uint8":
        return low, high
    if rules.offset is None and pooled.min() >= 0:
        raise ValueError(
            "it is called CT, but no value is below 0 HU; if something was added to HU before it was stored, give "
            "that offset, mostly 1024 (offset=1024, --offset 1024), and 0 if nothing was."
        )
    offset = rules.offset or 0.0
    return low + offset, high + offset


def _lines(
    entry: _Entry, image: np.ndarray, dtype: str, low: float, high: float, is_series: bool, rules: _Rules
) -> list[ManifestRecord | Problem]:
    """One record for a flat image, one a slice for a volume; problems for what is left out."""
    channels, width, height = image.shape[:3]
    path = str(entry.path)
    if min(width, height) < rules.min_size:
        return [Problem("small", path, f"{width} x {height} pixels, fewer than {rules.min_size} a side.")]
    is_volume = image.ndim == 4
    record = ManifestRecord(
        path=path,
        slice=None,
        sha256=file_digest(path),
        stored_dtype=dtype,
        intensity_min=low,
        intensity_max=high,
        channels=channels,
        height=height,
        width=width,
        **entry.words,
    )
    findings: list[ManifestRecord | Problem] = []
    for index in every_nth_of(range(image.shape[-1]), rules.every_nth) if is_volume else (None,):
        line = dataclasses.replace(record, slice=index)
        if is_volume or is_series:
            plane = image if index is None else image[..., index]
            content = float((plane > low + CONTENT_LEVEL * (high - low)).mean())
            if content < rules.min_content:
                findings.append(Problem("empty", line.name, f"only {100 * content:.1f} % of the slice holds anything."))
                continue
        findings.append(line)
    return findings
