# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What there is to denoise below an input, and where each result goes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from ...data_manifest.discover import DICOM_SUFFIXES, is_dicom
from ..formats.dicom import group_dicom
from ..formats.quiet import quiet_libraries
from ..formats.registry import SUFFIXES, VOLUME_SUFFIXES, suffix_of

__all__ = ["LEDGER_FOLDER", "Found", "Source", "SourceError", "find_sources"]

# No image at all, though its content begins as a DICOM file does.
DICOM_INDEX = "dicomdir"
AUDIT_FOLDER = "noisewise_audit"
LEDGER_FOLDER = ".noisewise"


class SourceError(ValueError):
    """An input or output that cannot be used; the message names it and the cause."""


@dataclass(frozen=True)
class Source:
    """One image, volume or DICOM series.

    Attributes:
        paths: its files.
        outputs: where each of them goes, of the same length.
        kind: its suffix in small letters, or ``"dicom"``.
        noise_map: where what was removed goes, None for nowhere.
        picture: where the picture of the audit goes, None for nowhere.
    """

    paths: tuple[Path, ...]
    outputs: tuple[Path, ...]
    kind: str
    noise_map: Path | None = None
    picture: Path | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self.paths[0]) if len(self.paths) == 1 else f"{self.paths[0]} and {len(self.paths) - 1} more"

    @property
    def all_outputs(self) -> list[Path]:
        """All files that are written for it."""
        return [*self.outputs, *(path for path in (self.noise_map, self.picture) if path is not None)]

    def only(self, paths: Iterable[Path]) -> Source:
        """The same with some of its files, in their order.

        Args:
            paths: some of :attr:`paths`.
        """
        outputs = dict(zip(self.paths, self.outputs))
        kept = tuple(paths)
        return replace(self, paths=kept, outputs=tuple(outputs[path] for path in kept))


@dataclass
class Found:
    """What lies below an input.

    Attributes:
        sources: what there is to denoise.
        root: the folder that names are relative to.
        output_root: the folder below which results go.
        is_tree: whether the input is a folder; False for a single file.
        no_images: files that are no images, and what is known of them.
        excluded: folders that lie below the input but hold results, of this run or another.
        audit_folder: where the report of the audit goes, None without one.
    """

    sources: list[Source]
    root: Path
    output_root: Path
    is_tree: bool
    no_images: dict[Path, str] = field(default_factory=dict)
    excluded: list[Path] = field(default_factory=list)
    audit_folder: Path | None = None


def find_sources(
    input_path: str | os.PathLike,
    output_path: str | os.PathLike,
    noise_map: bool = False,
    audit: bool = False,
) -> Found:
    """Find what there is to denoise, and name its results.

    A file goes to a file, or into a folder that exists. A folder's files keep their relative names below the output.
    Hidden files and folders are left out; links are followed.

    Args:
        input_path: an image, a folder that holds a DICOM series, or a tree of folders.
        output_path: where results go.
        noise_map: whether what is removed is written too: ``<name>_removed.nii.gz`` for volumes and DICOM, and
            ``<name>_removed.tif`` for flat images, beside the result (for a series: of its first file).
        audit: whether what is removed is checked for structure; the report goes to ``noisewise_audit`` in the output
            folder, or to ``<name>_audit`` beside a single file.

    Returns:
        Sources, sorted by path; a DICOM series within a folder is one.

    Raises:
        SourceError: when the input does not exist, is no image or holds none, or when results would replace inputs
            or lie among them.
    """
    source, output = Path(input_path), Path(output_path)
    if not source.exists():
        raise SourceError(f"{source}: no such file or folder.")
    if source.is_dir():
        found = _find_in_folder(source, output)
    else:
        # A path does not keep the slash by which a folder is meant.
        found = _find_file(source, output, output.is_dir() or os.fspath(output_path).endswith(("/", os.sep)))
    _real_folder.cache_clear()
    named = _with_extras(found, noise_map, audit)
    inputs = {_entry(path) for each in found.sources for path in each.paths}
    for each in named:
        for path in each.all_outputs:
            if _entry(path) in inputs:
                raise SourceError(f"{path}: the result would replace an input; choose another output.")
    found.sources = named
    return found


def _find_file(source: Path, output: Path, into_folder: bool) -> Found:
    kind = _kind(source)
    if kind is None:
        raise SourceError(f"{source}: is no image that can be denoised; {_formats()} are.")
    if into_folder:
        output = output / source.name
    if kind != "dicom" and _kind(output) != kind:
        raise SourceError(f"{output}: a {kind} file is written as {kind}; give the output that suffix.")
    return Found([Source((source,), (output,), kind)], source.parent, output.parent, False)


def _find_in_folder(source: Path, output: Path) -> Found:
    if output.exists() and not output.is_dir():
        raise SourceError(f"{output}: is a file, and {source} a folder; give a folder for its results.")
    real_source, real_output = os.path.realpath(source), os.path.realpath(output)
    if real_source == real_output:
        raise SourceError(f"{output}: is the input; choose another folder for the results.")
    if Path(real_source).is_relative_to(real_output):
        raise SourceError(f"{output}: holds the input {source}; choose another folder for the results.")
    found = Found([], source, output, True)
    plain, dicom = [], []
    for path in _walk(source, real_output, found.excluded):
        kind = _kind(path)
        if kind is None:
            found.no_images[path] = "is no image."
        elif kind == "dicom":
            dicom.append(path)
        else:
            plain.append(((path,), kind))
    with quiet_libraries():
        series = group_dicom(dicom)
    found.no_images |= series.no_images
    if not plain and not len(series):
        raise SourceError(f"{source}: holds no image that can be denoised; {_formats()} are.")
    for paths, kind in sorted([*plain, *((tuple(group), "dicom") for group in series)]):
        outputs = tuple(output / path.relative_to(source) for path in paths)
        found.sources.append(Source(paths, outputs, kind))
    return found


def _walk(root: Path, output: str, excluded: list[Path]) -> Iterator[Path]:
    """All files that are not hidden, by name; folders of results are noted and left out."""
    seen = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(folders):
            path = Path(folder, name)
            real = os.path.realpath(path)
            if real == output or (path / LEDGER_FOLDER).is_dir():
                excluded.append(path)
            elif not name.startswith(".") and real not in seen:  # a link may lead back to where it lies
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)


def _entry(path: Path) -> tuple[str, str]:
    """The place of a file, whatever links its folder is reached by. A link in that place would itself be replaced."""
    return _real_folder(path.parent), path.name


@lru_cache(maxsize=1024)
def _real_folder(folder: Path) -> str:
    return os.path.realpath(folder)


def _kind(path: Path) -> str | None:
    """The suffix of a format, ``"dicom"``, or None for no image."""
    suffix = suffix_of(path)
    if suffix is not None:
        return suffix
    # Of a pipe without a writer no byte can be read, and the reader waits for ever.
    return "dicom" if path.name.lower() != DICOM_INDEX and path.is_file() and is_dicom(path) else None


def _formats() -> str:
    return f"{', '.join(sorted(SUFFIXES))} and DICOM files"


def _with_extras(found: Found, noise_map: bool, audit: bool) -> list[Source]:
    """Name noise maps and pictures, no two files alike."""
    taken = {str(path).casefold() for source in found.sources for path in source.outputs}
    plain = Counter(str(_beside(source, "_removed")).casefold() for source in found.sources)
    if audit and found.is_tree:
        found.audit_folder = found.output_root / AUDIT_FOLDER
    elif audit:
        found.audit_folder = _beside(found.sources[0], "_audit", extension="")
    named = []
    for source in found.sources:
        path = picture = None
        if noise_map:
            path = _beside(source, "_removed")
            # a.png and a.tif, or an input that is called a_removed.tif already
            if plain[str(path).casefold()] > 1 or str(path).casefold() in taken:
                path = _beside(source, "_removed", keep_suffix=True)
        if audit:
            first = source.paths[0].relative_to(found.root)
            picture = found.audit_folder / "pictures" / first.with_name(f"{first.name}.png")
        named.append(replace(source, noise_map=path, picture=picture))
    return named


def _beside(source: Source, ending: str, extension: str | None = None, keep_suffix: bool = False) -> Path:
    """A name made of the first output's."""
    first = min(source.outputs)
    # DICOM files are often named by numbers with dots, which are no suffixes.
    suffix = suffix_of(first) or next((each for each in DICOM_SUFFIXES if first.name.lower().endswith(each)), "")
    stem = first.name[: len(first.name) - len(suffix)]
    if keep_suffix:
        stem += suffix.replace(".", "_")
    if extension is None:
        extension = ".nii.gz" if source.kind == "dicom" or source.kind in VOLUME_SUFFIXES else ".tif"
    return first.with_name(f"{stem}{ending}{extension}")
