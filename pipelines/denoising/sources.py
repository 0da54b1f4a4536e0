# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The images below an input, and the path of each result."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from ...transforms.file_types import (
    DICOM_SUFFIXES,
    has_dicom_content,
    is_dicom,
    split_suffix,
    unsupported_format,
)
from ..formats.data_file import PAIR_SUFFIXES, is_pair_header
from ..formats.registry import SUFFIXES, VOLUME_SUFFIXES, suffix_of

__all__ = ["LEDGER_FOLDER", "Found", "Source", "SourceError", "find_sources"]

# Not an image, although its content begins like a DICOM file.
DICOM_INDEX = "dicomdir"
# Their voxels lie in a second file.
HEADER_SUFFIXES = (".mhd", ".nhdr", *PAIR_SUFFIXES)
AUDIT_FOLDER = "noisewise_audit"
LEDGER_FOLDER = ".noisewise"


class SourceError(ValueError):
    """An input or output cannot be used; the message names it and the cause."""


@dataclass(frozen=True)
class Source:
    """One image, volume or DICOM series.

    Attributes:
        paths: its files.
        outputs: path of each file's result, of the same length.
        kind: its suffix in lower case, or ``"dicom"``.
        data: the data file that a header names, such as the ``.raw`` of a ``.mhd``; empty for other formats.
        data_outputs: the data file of its result, likewise.
        noise_map: path of the removed noise; None does not write it.
        picture: path of the audit's picture; None does not draw it.
    """

    paths: tuple[Path, ...]
    outputs: tuple[Path, ...]
    kind: str
    noise_map: Path | None = None
    picture: Path | None = None
    data: tuple[Path, ...] = ()
    data_outputs: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Its name in messages."""
        return str(self.paths[0]) if len(self.paths) == 1 else f"{self.paths[0]} and {len(self.paths) - 1} more"

    @property
    def files(self) -> list[Path]:
        """All files that are read for it."""
        return [*self.paths, *self.data]

    @property
    def all_outputs(self) -> list[Path]:
        """The paths of all files that are written for it."""
        return [
            *self.outputs,
            *self.data_outputs,
            *(path for path in (self.noise_map, self.picture) if path is not None),
        ]

    def only(self, paths: Iterable[Path]) -> Source:
        """The source with some of its files, in their order.

        Args:
            paths: some of :attr:`paths`.
        """
        outputs = dict(zip(self.paths, self.outputs))
        kept = tuple(paths)
        return replace(self, paths=kept, outputs=tuple(outputs[path] for path in kept))


@dataclass
class Found:
    """The files below an input.

    Attributes:
        sources: the images, volumes and series.
        root: folder that names are relative to.
        output_root: folder of the results.
        is_tree: whether the input is a folder; False for a single file.
        no_images: files that are not images, and why.
        copies: DICOM files that are stored twice: each second one, and which one it equals.
        excluded: folders below the input that are left out because they hold results, of this run or another.
        audit_folder: folder of the audit's report; None without an audit.
    """

    sources: list[Source]
    root: Path
    output_root: Path
    is_tree: bool
    no_images: dict[Path, str] = field(default_factory=dict)
    copies: dict[Path, str] = field(default_factory=dict)
    excluded: list[Path] = field(default_factory=list)
    audit_folder: Path | None = None


def find_sources(
    input_path: str | os.PathLike,
    output_path: str | os.PathLike,
    noise_map: bool = False,
    audit: bool = False,
) -> Found:
    """Find the images below an input, and name their results.

    The result of a file is a file, or a file in an existing folder. Files of a folder keep their relative names below
    the output. Hidden files and folders are left out; links are followed.

    Args:
        input_path: an image, a folder that holds a DICOM series, or a tree of folders.
        output_path: file or folder of the results.
        noise_map: whether the removed noise is written too: beside the result (of a series: beside its first file), as
            ``<name>_removed.nii.gz`` for volumes and DICOM and as ``<name>_removed.tif`` for flat images.
        audit: whether the removed noise is checked for structure; the report goes to ``noisewise_audit`` in the output
            folder, or to ``<name>_audit`` beside a single file.

    Returns:
        The sources, sorted by path. A DICOM series within a folder is one source.

    Raises:
        SourceError: if the input does not exist, is not an image or holds none, or if results would replace inputs or
            lie among them.
    """
    source, output = Path(input_path), Path(output_path)
    if not source.exists():
        raise SourceError(f"{source}: no such file or folder.")
    if source.is_dir():
        found = _find_in_folder(source, output)
    else:
        # A path drops the trailing slash that marks a folder.
        found = _find_file(source, output, output.is_dir() or os.fspath(output_path).endswith(("/", os.sep)))
    _real_folder.cache_clear()
    named = _with_extras(found, noise_map, audit)
    inputs = {_entry(path) for each in found.sources for path in each.files}
    for each in named:
        for path in each.all_outputs:
            if _entry(path) in inputs:
                raise SourceError(f"{path}: the result would replace an input; choose another output.")
    found.sources = named
    return found


def _find_file(source: Path, output: Path, into_folder: bool) -> Found:
    kind = _kind(source)
    if kind is None and source.name.lower().endswith((".img", ".img.gz")):
        raise SourceError(f"{source}: is the second of a pair of .hdr and .img files; give the .hdr file.")
    if kind is None:
        raise SourceError(f"{source}: {_no_image(source)[:-1]}; {_formats()} are supported.")
    if into_folder:
        output = output / source.name
    if kind != "dicom" and suffix_of(output) != kind:
        raise SourceError(f"{output}: a {kind} file is written as {kind}; give the output that suffix.")
    return Found([_with_data(Source((source,), (output,), kind))], source.parent, output.parent, False)


def _find_in_folder(source: Path, output: Path) -> Found:
    # The libraries that read DICOM take long to import.
    from ..formats.dicom import group_dicom
    from ..formats.quiet import quiet_libraries

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
            found.no_images[path] = _no_image(path)
        elif kind == "dicom":
            dicom.append(path)
        else:
            plain.append(((path,), kind))
    with quiet_libraries():
        series = group_dicom(dicom)
    found.no_images |= series.no_images
    found.copies = series.copies
    if not plain and not len(series):
        unsupported = _unsupported_files(found.no_images)
        raise SourceError(f"{source}: holds no image that can be denoised{unsupported}; {_formats()} are.")
    for paths, kind in sorted([*plain, *((tuple(group), "dicom") for group in series)]):
        outputs = tuple(output / path.relative_to(source) for path in paths)
        found.sources.append(_with_data(Source(paths, outputs, kind)))
    _settle_data(found)
    return found


def _with_data(source: Source) -> Source:
    """The source with the data file that its header names."""
    if source.kind not in HEADER_SUFFIXES:
        return source
    from ..formats.data_file import data_files

    files = data_files(source.paths[0], source.outputs[0])
    return source if files is None else replace(source, data=files[:1], data_outputs=files[1:])


def _settle_data(found: Found) -> None:
    """Data files are no images by themselves, and each belongs to one header."""
    owners: dict[tuple[str, str], Source] = {}
    kept = []
    for source in found.sources:
        keys = [_entry(path) for path in source.data]
        first = next((owners[key] for key in keys if key in owners), None)
        if first is None:
            owners.update(dict.fromkeys(keys, source))
            kept.append(source)
        else:
            found.copies[source.paths[0]] = f"names the same data file as {first.paths[0]}, which is denoised."
    found.sources = kept
    for path in [path for path in found.no_images if _entry(path) in owners]:
        del found.no_images[path]


def _walk(root: Path, output: str, excluded: list[Path]) -> Iterator[Path]:
    """All files that are not hidden, by name. Folders of results are added to ``excluded`` and left out."""
    seen = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(folders):
            path = Path(folder, name)
            real = os.path.realpath(path)
            if real == output or (path / LEDGER_FOLDER).is_dir():
                excluded.append(path)
            elif not name.startswith(".") and real not in seen:  # A link may lead back to its own folder.
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)


def _entry(path: Path) -> tuple[str, str]:
    """The place of a file, whatever links lead to its folder. If the file itself is a link, the link is replaced."""
    return _real_folder(path.parent), path.name


@lru_cache(maxsize=1024)
def _real_folder(folder: Path) -> str:
    return os.path.realpath(folder)


def _kind(path: Path) -> str | None:
    """The suffix of a format, ``"dicom"``, or None if the file is not an image."""
    suffix = suffix_of(path)
    if suffix in PAIR_SUFFIXES and not is_pair_header(path):
        return None
    if suffix is not None:
        return suffix
    # Reading a pipe that no one writes to would wait forever.
    if path.name.lower() == DICOM_INDEX or not path.is_file():
        return None
    return "dicom" if is_dicom(path) or has_dicom_content(path) else None


def _no_image(path: Path) -> str:
    unsupported = unsupported_format(path)
    return "is not an image." if unsupported is None else f"{unsupported} is not a supported format."


def _unsupported_files(paths: Iterable[Path]) -> str:
    """How many files there are of each unsupported format, in parentheses."""
    counts = Counter(kind for path in paths if (kind := unsupported_format(path)) is not None)
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    return f" ({found}: not supported)" if found else ""


def _formats() -> str:
    return f"{', '.join(sorted(SUFFIXES))} and DICOM files"


def _with_extras(found: Found, noise_map: bool, audit: bool) -> list[Source]:
    """Name noise maps and pictures, each by a name of its own."""
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
            # a.png and a.tif, or an input with the name a_removed.tif
            if plain[str(path).casefold()] > 1 or str(path).casefold() in taken:
                path = _beside(source, "_removed", keep_suffix=True)
        if audit:
            first = source.paths[0].relative_to(found.root)
            picture = found.audit_folder / "pictures" / first.with_name(f"{first.name}.png")
        named.append(replace(source, noise_map=path, picture=picture))
    return named


def _beside(source: Source, ending: str, extension: str | None = None, keep_suffix: bool = False) -> Path:
    """A path derived from the first output."""
    first = min(source.outputs)
    stem, suffix = split_suffix(first.name, SUFFIXES + DICOM_SUFFIXES)
    if keep_suffix:
        stem += suffix.replace(".", "_")
    if extension is None:
        extension = ".nii.gz" if source.kind == "dicom" or source.kind in VOLUME_SUFFIXES else ".tif"
    return first.with_name(f"{stem}{ending}{extension}")
