# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A manifest of pairs of low-dose and full-dose CT slices, from the Mayo Clinic's collections or folders of one's own.

Two public layouts are known: the 2016 NIH-AAPM-Mayo challenge (``L067/full_3mm/L067_FD_3_1....IMA``) and TCIA's
LDCT-and-Projection-data (``L004/<study>/1.000000-Low Dose Images-12345/1-001.dcm``). Folder and file names tell dose
and patient only; place, kernel and thickness are the headers'.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..renamed import renamed_arguments
from ..transforms import ImageReadError, LoadMedicalImage
from ..transforms.file_types import is_dicom
from ..transforms.intensity import CT_RANGE
from .ct_pair_pixels import pixel_problem
from .ct_pairs import CTPair, find_pairs, header_problem, is_placed, same_thickness
from .ct_series import CTSlice, kernel_class, read_ct_slice
from .ct_windows import MAYO_SUBJECT
from .digest import file_digest
from .discover import find_image_files
from .manifest import Manifest, ManifestError, ManifestRecord, Problem, every_nth_of
from .subjects import compile_subject_pattern, subject_of

__all__ = ["build_low_dose_ct"]

logger = logging.getLogger(__name__)

# "full_1mm", "L067_FD_3_1", "Full Dose Images"; "quarter_3mm_sharp", "L067_QD_1_1", "Low Dose Images".
_DOSES = {
    "full": re.compile(r"(?<![a-z])(full|fd)(dose)?(?![a-z])", re.IGNORECASE),
    "low": re.compile(r"(?<![a-z])(quarter|qd|low)(dose)?(?![a-z])", re.IGNORECASE),
}
_PROJECTIONS = re.compile(r"(?<![a-z])projections?(?![a-z])", re.IGNORECASE)
KERNEL_CLASSES = ("soft", "sharp")


@dataclass(frozen=True)
class _Source:
    """A file, the folder it was found in, and the dose of that folder, empty where the path must tell."""

    path: Path
    root: Path
    dose: str


@dataclass(frozen=True, eq=False)
class _Found:
    """A CT slice whose dose and patient are known."""

    slice: CTSlice
    dose: str
    subject: str


@dataclass(frozen=True)
class _Choice:
    """Which slices and pairs are taken; see :func:`build_low_dose_ct`."""

    kernel: str | None
    thickness: float | None
    every_nth: int
    pediatric: bool
    metal: bool
    truncated: bool

    def __post_init__(self) -> None:
        if self.every_nth < 1:
            raise ManifestError(f"every_nth is {self.every_nth}, it must be at least 1.")

    def takes(self, slice_: CTSlice) -> bool:
        """Whether the slice has the kernel and the thickness asked for."""
        if self.thickness is not None and not same_thickness(slice_.thickness, self.thickness):
            return False
        if self.kernel is None:
            return True
        wish = self.kernel.lower()
        return (kernel_class(slice_.kernel) if wish in KERNEL_CLASSES else slice_.kernel.lower()) == wish

    def __str__(self) -> str:
        kernel = "" if self.kernel is None else f" with kernel '{self.kernel}'"
        return kernel + ("" if self.thickness is None else f" of {self.thickness:g} mm")


@renamed_arguments(licence="license", paediatric="pediatric")
def build_low_dose_ct(
    root: str | os.PathLike | None = None,
    out: str | os.PathLike | None = None,
    *,
    low: str | os.PathLike | None = None,
    full: str | os.PathLike | None = None,
    source: str | None = None,
    license: str = "",
    kernel: str | None = None,
    thickness: float | None = None,
    every_nth: int = 1,
    subject_pattern: str | None = None,
    salt: str = "",
    pediatric: bool = False,
    metal: bool = False,
    truncated: bool = False,
    absolute: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Build a manifest of pairs: ``path`` is the low-dose slice, ``target`` the full-dose slice of the same place.

    Slices are paired by place along their normal (within 0.1 mm), kernel, thickness and patient. What cannot be
    paired, or fails a check, is left out and named in :attr:`Manifest.skipped`, with one of these kinds:

    - ``unusable``: not readable; ``projections``: a folder of raw data; ``not CT``; ``dose``: neither low nor full,
      or both; ``subject``: no patient can be told;
    - ``missing``: no partner; ``ambiguous``: several; ``wrong kernel`` and ``wrong thickness``: no partner of its own;
    - ``geometry``: rows, columns, spacing, orientation or origin differ, or are not stated;
    - ``not Hounsfield units``; ``thickness``: outside 0.5 to 5 mm; ``contrast``: an agent in one of the two only;
    - ``pediatric``: under 18 years; ``metal``: more than 10 pixels of 3000 HU or more; ``truncated``: more than 15 %
      of the field of view's edge lies in the body; ``empty``: no soft tissue;
    - ``swapped doses``: the low-dose image has no more noise than the full-dose one.

    The subject of a public collection is its patient folder (L067); of any other folder a hash of PatientID.
    **Paths are written as they are**, so rename files and folders that carry patients' names.

    Args:
        root: folder of one of the two layouts, or any other whose folders, files or SeriesDescription say ``full`` or
            ``FD``, and ``quarter``, ``QD`` or ``low``.
        out: the CSV to write; None to write nothing.
        low: in place of ``root``, folder of low-dose DICOM files of any name.
        full: folder of their full-dose partners.
        source: short name of the collection; by default the folder's name.
        license: license of the images.
        kernel: take this kernel only: ``"soft"``, ``"sharp"`` (see :func:`~noisewise.data_manifest.kernel_class`) or a
            name such as ``"B30f"``.
        thickness: take this SliceThickness in millimeters only.
        every_nth: of each series, take every n-th pair only.
        subject_pattern: regular expression searched in the path below the folder; its first group is the subject, and
            must be the same for both doses.
        salt: a secret mixed into the hash of PatientID.
        pediatric: take patients under 18 years. Those of unknown age count as adults.
        metal: take images with metal.
        truncated: take images in which the field of view cuts the body.
        absolute: write absolute paths (see :meth:`Manifest.write`).
        workers: threads; by default one a core, eight at most.
        progress: called with (files or pairs done, files or pairs in all).

    Returns:
        The manifest, sorted by subject, kernel, thickness and place.

    Raises:
        ManifestError: when an argument is wrong, or when there is not one good pair; the message names the first
            cause.
    """
    if (root is None) == (low is None) or (low is None) != (full is None):
        raise ManifestError("give either one folder, or both low=... and full=... (--low and --full).")
    choice = _Choice(kernel, thickness, every_nth, pediatric, metal, truncated)
    pattern = compile_subject_pattern(subject_pattern)
    folders = {"": root} if root is not None else {"low": low, "full": full}
    folders = {dose: Path(os.path.abspath(folder)) for dose, folder in folders.items()}
    name = ", ".join(map(str, folders.values()))
    sources, problems = _find_files(folders)
    source = source or next(iter(folders.values())).name

    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as executor:
        results = executor.map(lambda item: _read(item, pattern, salt), sources)
        found: list[_Found] = []
        for result in _counted(results, len(sources), progress):
            (found if isinstance(result, _Found) else problems).append(result)
        pairs, more = _pair(found, choice)
        problems = _merge_projections(problems) + more

        def measure(item: tuple[str, CTPair]) -> ManifestRecord | Problem:
            subject, pair = item
            problem = header_problem(pair, pediatric)
            return problem or _record(pair, choice, subject=subject, source=source, license=license)

        records: list[ManifestRecord] = []
        for result in _counted(executor.map(measure, pairs), len(pairs), progress):
            (records if isinstance(result, ManifestRecord) else problems).append(result)

    if not records:
        raise ManifestError(f"{name}: {_absence_cause(found, choice, problems)}")
    if problems:
        counts = ", ".join(f"{kind}: {count}" for kind, count in Counter(p.kind for p in problems).most_common())
        logger.warning("%s: left out %d (%s).", name, len(problems), counts)
    manifest = Manifest(records, out, problems)
    if out is not None:
        manifest.write(out, absolute=absolute)
    return manifest


def _absence_cause(found: Sequence[_Found], choice: _Choice, problems: Sequence[Problem]) -> str:
    """Why there is not one good pair."""
    if found and not any(choice.takes(item.slice) for item in found):
        kernels = ", ".join(sorted({item.slice.kernel or "unknown" for item in found}))
        sizes = ", ".join(sorted({f"{item.slice.thickness or 0:g}" for item in found}))
        return f"no image{choice}; there are kernels {kernels} and thicknesses {sizes} mm."
    cause = f"the first of {len(problems)} problems: {problems[0]}" if problems else f"no image{choice}."
    return f"no pair of low-dose and full-dose CT; {cause}"


def _find_files(folders: dict[str, Path]) -> tuple[list[_Source], list[Problem]]:
    """All DICOM files but projections, which are too many and too large to open."""
    sources: list[_Source] = []
    problems: list[Problem] = []
    for dose, folder in folders.items():
        if not folder.is_dir():
            raise ManifestError(f"{folder}: no such folder.")
        paths = [path for path in find_image_files(folder) if is_dicom(path)]
        if not paths:
            raise ManifestError(f"{folder}: no DICOM file.")
        for path in paths:
            if path.parent != folder and _PROJECTIONS.search(path.parent.name):
                problems.append(_projections(path))
            else:
                sources.append(_Source(path, folder, dose))
    return sources, problems


def _projections(path: Path) -> Problem:
    return Problem("projections", str(path.parent), "projection data, not images.")


def _merge_projections(problems: list[Problem]) -> list[Problem]:
    # One line a folder: there are tens of thousands of views a patient.
    return list(dict.fromkeys(problems))


def _read(item: _Source, pattern: re.Pattern[str] | None, salt: str) -> _Found | Problem:
    """The slice in a file, its dose and its patient."""
    path = str(item.path)
    try:
        slice_ = read_ct_slice(item.path)
    except ImageReadError as error:
        return Problem("unusable", path, error.cause)
    if _PROJECTIONS.search(slice_.description):
        return _projections(item.path)
    if slice_.modality != "CT":
        return Problem("not CT", path, f"its Modality is '{slice_.modality}'.")
    if slice_.is_localizer:
        return Problem("not CT", path, "a localizer, not a slice.")
    if not is_placed(slice_):
        return Problem("geometry", path, "it states no ImagePositionPatient and ImageOrientationPatient.")
    try:
        dose = item.dose or _dose(item.path.relative_to(item.root), slice_.description)
    except ValueError as error:
        return Problem("dose", path, str(error))
    try:
        return _Found(slice_, dose, _subject(item, slice_, pattern, salt))
    except ValueError as error:
        return Problem("subject", path, str(error))


def _dose(below: Path, description: str) -> str:
    """The dose by the file's own name or the nearest folder that says one, and by the SeriesDescription."""
    by_path = next((doses[0] for doses in map(_doses_in, reversed(below.parts)) if len(doses) == 1), "")
    by_description = _doses_in(description)
    if by_path and by_description and by_path not in by_description:
        raise ValueError(f"its path says {by_path} dose, its SeriesDescription {by_description[0]} dose.")
    if not by_path and len(by_description) != 1:
        raise ValueError("neither its path nor its SeriesDescription says one of full, FD, quarter, QD or low.")
    return by_path or by_description[0]


def _doses_in(text: str) -> list[str]:
    return [dose for dose, words in _DOSES.items() if words.search(text)]


def _subject(item: _Source, slice_: CTSlice, pattern: re.Pattern[str] | None, salt: str) -> str:
    below = item.path.relative_to(item.root)
    if pattern is None and not item.dose:
        # The given folder may itself be a patient's; file names start with the patient: "L067_FD_3_1...".
        parts = (item.root.name, *below.parent.parts, re.split(r"[_.]", below.name)[0])
        named = [part for part in parts if MAYO_SUBJECT.fullmatch(part)]
        if named:
            return named[-1]
    if pattern is None and not slice_.patient_id:
        raise ValueError("it has no PatientID; give subject_pattern=... (--subject-pattern).")
    return subject_of(item.path, item.root, slice_.patient_id, pattern, salt)


def _pair(found: Sequence[_Found], choice: _Choice) -> tuple[list[tuple[str, CTPair]], list[Problem]]:
    """Pairs with their subjects, every n-th of each series, and what has no partner."""
    chosen: list[tuple[str, CTPair]] = []
    problems: list[Problem] = []
    for subject in sorted({item.subject for item in found}):
        low, full = (
            [item.slice for item in found if item.subject == subject and item.dose == dose] for dose in ("low", "full")
        )
        pairs, more = find_pairs([slice_ for slice_ in low if choice.takes(slice_)], full)
        problems += more + _lonely(full, pairs, choice)
        series: dict[tuple, list[CTPair]] = {}
        for pair in sorted(pairs, key=lambda pair: (pair.low.kernel, pair.low.thickness or 0, pair.place)):
            series.setdefault((pair.low.kernel, pair.low.thickness), []).append(pair)
        for members in series.values():
            chosen += [(subject, pair) for pair in every_nth_of(members, choice.every_nth)]
    return chosen, problems


def _lonely(full: Iterable[CTSlice], pairs: Iterable[CTPair], choice: _Choice) -> list[Problem]:
    """The full-dose slices without a partner."""
    taken = {pair.full.path for pair in pairs}
    return [
        Problem("missing", str(slice_.path), "no low-dose slice of this patient, place, kernel and thickness.")
        for slice_ in full
        if slice_.path not in taken and choice.takes(slice_)
    ]


def _record(pair: CTPair, choice: _Choice, **words: str) -> ManifestRecord | Problem:
    """The manifest's line of a pair, or what its pixels lack."""
    load = LoadMedicalImage()
    try:
        low, full = load(pair.low.path), load(pair.full.path)
    except ImageReadError as error:
        return Problem("unusable", error.path, error.cause)
    if low.shape != full.shape or low.shape[0] != 1:
        return Problem("unusable", str(pair.low.path), f"images of shape {tuple(low.shape)} and {tuple(full.shape)}.")
    problem = pixel_problem(pair, low[0].numpy(), full[0].numpy(), choice.metal, choice.truncated)
    if problem is not None:
        return problem
    return ManifestRecord(
        path=str(pair.low.path),
        slice=None,
        modality="ct",
        split="",
        sha256=file_digest(pair.low.path),
        stored_dtype=str(low.meta["stored_dtype"]),
        intensity_min=CT_RANGE[0],
        intensity_max=CT_RANGE[1],
        channels=1,
        height=pair.low.shape[0],
        width=pair.low.shape[1],
        target=str(pair.full.path),
        kernel=pair.low.kernel,
        **words,
    )


def _counted(results: Iterable, total: int, progress: Callable[[int, int], None] | None) -> Iterable:
    for done, result in enumerate(results, start=1):
        if progress is not None:
            progress(done, total)
        yield result
