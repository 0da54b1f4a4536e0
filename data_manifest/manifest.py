# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The manifest: a CSV with one line an image, and the lists of dictionaries that MONAI data sets read from it."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import atomic_path
from ..renamed import renamed_arguments, renamed_attribute

__all__ = ["Manifest", "ManifestError", "ManifestRecord", "Problem", "SPLITS", "every_nth_of", "is_url", "spread"]

SPLITS = ("train", "val", "test")
# "CC-BY-NC-SA-4.0", "cc by nc 4.0", "Non-commercial use only"
NON_COMMERCIAL = re.compile(r"(?<![a-z])nc(?![a-z])|non[- ]?commercial", re.IGNORECASE)


class ManifestError(ValueError):
    """A manifest that cannot be used; the message names the file and, where there is one, line and column."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one image.

    Args:
        kind: one word, such as ``"missing"``, ``"corrupt"``, ``"duplicate"`` or ``"leak"``.
        path: the file it is about.
        cause: what is wrong, in words.
    """

    kind: str
    path: str
    cause: str

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}: {self.cause}"


@dataclass(frozen=True)
class ManifestRecord:
    """One image of a manifest: one line of the CSV, its fields in the file's order.

    Args:
        path: absolute path of the file, or its URL. In the CSV it may be relative to the manifest's folder.
        slice: index along the last axis of a volume; None for a flat image.
        modality: ``"mri"``, ``"xray"``, ``"ct"``, ``"skin"``, ``"microscopy"`` or another lower-case word.
        source: short name of the collection the image comes from.
        license: license of the image.
        subject: who or what was imaged; unique within a source. Never a patient's name or number.
        split: ``"train"``, ``"val"``, ``"test"`` or empty.
        sha256: checksum of the file (see :func:`~noisewise.data_manifest.file_digest`); empty when not known.
        stored_dtype: dtype on file, such as ``"uint8"`` or ``"int16"``.
        intensity_min: the intensity, in the file's own unit, that maps to 0.
        intensity_max: the intensity that maps to 1.
        channels: 1 (gray, also when the file holds three equal channels) or 3 (color).
        height: number of rows.
        width: number of columns.
        target: path of the clean partner of a noisy image; empty otherwise. In a volume the same slice is meant.
        kernel: reconstruction kernel of a CT image, such as ``"B30f"``; empty where it is not known or there is none.
    """

    path: str
    slice: int | None
    modality: str
    source: str
    license: str
    subject: str
    split: str
    sha256: str
    stored_dtype: str
    intensity_min: float
    intensity_max: float
    channels: int
    height: int
    width: int
    target: str = ""
    kernel: str = ""

    @property
    def image_id(self) -> str:
        """A short name that holds no patient data: twelve digits of the checksum, and the slice of a volume."""
        stem = self.sha256[:12] or hashlib.sha256(self.path.encode()).hexdigest()[:12]
        return stem if self.slice is None else f"{stem}_{self.slice:04d}"

    @property
    def name(self) -> str:
        """The file and, of a volume, the slice: what messages call the image."""
        return self.path if self.slice is None else f"{self.path} [slice {self.slice}]"

    @property
    def subject_key(self) -> tuple[str, str]:
        """Source and subject: the unit that no two splits may share."""
        return self.source, self.subject

    def datum(self) -> dict[str, Any]:
        """The dictionary that MONAI data sets and transforms read; see :meth:`Manifest.datalist`."""
        item = {
            "image": self.path,
            "slice": self.slice,
            "modality": self.modality,
            "source": self.source,
            "subject": self.subject,
            "intensity_min": self.intensity_min,
            "intensity_max": self.intensity_max,
            "channels": self.channels,
            "eight_bit": self.stored_dtype == "uint8",
            "sha256": self.sha256,
            "image_id": self.image_id,
        }
        if self.target:
            item["target"] = self.target
        if self.kernel:
            item["kernel"] = self.kernel
        return item


ManifestRecord.licence = renamed_attribute("licence", "license")  # type: ignore[attr-defined]
ManifestRecord.__init__ = renamed_arguments(licence="license")(ManifestRecord.__init__)  # type: ignore[method-assign]

COLUMNS = tuple(field.name for field in dataclasses.fields(ManifestRecord))
OPTIONAL_COLUMNS = ("target", "kernel")
# Manifests of earlier versions have this column.
OLD_COLUMNS = {"licence": "license"}
# The digest takes of the first two what does not depend on the folder; an empty kernel must leave it as it was.
NOT_IN_DIGEST = ("path", "target", "license", "kernel")
_HEX = re.compile(r"[0-9a-f]{64}")


class Manifest:
    """A list of images, read from and written to CSV.

    Args:
        records: the images; their local paths absolute.
        path: the file that the manifest was read from, for messages.
        skipped: images that were left out while it was built.
    """

    def __init__(
        self,
        records: Iterable[ManifestRecord],
        path: str | os.PathLike | None = None,
        skipped: Sequence[Problem] = (),
    ) -> None:
        self.records = list(records)
        self.path = None if path is None else Path(path)
        self.skipped = list(skipped)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[ManifestRecord]:
        return iter(self.records)

    @property
    def name(self) -> str:
        """The file's name for messages."""
        return "the manifest" if self.path is None else str(self.path)

    @classmethod
    def read(cls, path: str | os.PathLike) -> Manifest:
        """Read a manifest.

        Args:
            path: a UTF-8 CSV with a header line; paths in it are absolute, relative to its folder, or URLs.

        Returns:
            The manifest, its local paths absolute.

        Raises:
            ManifestError: when the file is missing or no CSV, or when a column or a value is wrong.
        """
        path = Path(path)
        folder = Path(os.path.abspath(path)).parent
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                header = next(reader, None)
                if header is None:
                    raise ManifestError(f"{path}: the manifest is empty; expected a header line {','.join(COLUMNS)}.")
                header = [OLD_COLUMNS.get(name, name) for name in header]
                _check_header(header, path)
                records = [_Line(row, header, path, reader.line_num).record(folder) for row in reader if row]
        except OSError as error:
            raise ManifestError(f"{path}: cannot read the manifest: {error.strerror or error}.") from error
        except (csv.Error, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: not a UTF-8 CSV file: {error}.") from error
        return cls(records, path)

    def write(self, path: str | os.PathLike, absolute: bool = False) -> Path:
        """Write the manifest; an older file stays whole until the new one is complete.

        Args:
            path: the CSV to write; its folder is made where it is missing.
            absolute: write absolute paths. By default files in or below the manifest's folder are written relative
                to it, so that folder and manifest can move together.

        Returns:
            ``path``.
        """
        path = Path(path)
        folder = Path(os.path.abspath(path)).parent
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for record in self.records:
                row = dataclasses.asdict(record)
                if not absolute:
                    row["path"] = _relative(record.path, folder)
                    row["target"] = _relative(record.target, folder)
                writer.writerow("" if row[column] is None else row[column] for column in COLUMNS)
        return path

    def select(
        self,
        split: str | None = None,
        modalities: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
        limit_per_modality: int | None = None,
        commercial_use: bool = False,
        kernels: Sequence[str] | None = None,
    ) -> Manifest:
        """The images of a split, of some modalities and of some sources.

        Args:
            split: ``"train"``, ``"val"`` or ``"test"``; None for all.
            modalities: names of modalities; None for all.
            sources: names of sources; None for all.
            limit_per_modality: the largest number of images of each modality, spread evenly over the manifest's order
                and the same each time.
            commercial_use: leave out images whose license says "NC" or "non-commercial", of any
                modality. Check yourself what their owners allow beyond that.
            kernels: names of reconstruction kernels, for CT; None for all.

        Returns:
            A manifest of at least one image.

        Raises:
            ManifestError: when no image fits, when one of several modalities, sources or kernels asked for has none,
                or when commercial use is asked for and an image states no license; the message names the manifest
                and the request.
        """
        if split is not None and split not in SPLITS:
            raise ManifestError(f"split is '{split}', it must be one of {', '.join(SPLITS)}.")
        modalities, sources, kernels = _as_tuple(modalities), _as_tuple(sources), _as_tuple(kernels)
        chosen = [
            record
            for record in self.records
            if (split is None or record.split == split)
            and (modalities is None or record.modality in modalities)
            and (sources is None or record.source in sources)
            and (kernels is None or record.kernel in kernels)
        ]
        asked = {
            "split": split,
            "modality": _join(modalities),
            "source": _join(sources),
            "kernel": _join(kernels),
        }
        self._check_found(chosen, {"modality": modalities, "source": sources, "kernel": kernels}, asked)
        if commercial_use:
            unknown = [record.path for record in chosen if not record.license]
            if unknown:
                raise ManifestError(
                    f"{self.name}: {unknown[0]} states no license ({len(unknown)} in all), so nobody can tell "
                    "whether it may be used commercially."
                )
            chosen = [record for record in chosen if not NON_COMMERCIAL.search(record.license)]
            if not chosen:
                raise ManifestError(f"{self.name}: all images that were asked for are for non-commercial use only.")
        if limit_per_modality is not None:
            if limit_per_modality < 1:
                raise ManifestError(f"limit_per_modality is {limit_per_modality}, it must be at least 1.")
            by_modality: dict[str, list[int]] = {}
            for index, record in enumerate(chosen):
                by_modality.setdefault(record.modality, []).append(index)
            kept = sorted(i for indices in by_modality.values() for i in spread(indices, limit_per_modality))
            chosen = [chosen[i] for i in kept]
        return Manifest(chosen, self.path)

    def datalist(
        self,
        split: str | None = None,
        modalities: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
        limit_per_modality: int | None = None,
        commercial_use: bool = False,
        kernels: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The images as dictionaries for MONAI's data sets; the arguments are those of :meth:`select`.

        Returns:
            Dictionaries with the keys ``image`` (absolute path), ``slice`` (int or None), ``modality``, ``source``,
            ``subject``, ``intensity_min`` and ``intensity_max`` (float, in the file's unit), ``channels`` (1 or 3),
            ``eight_bit`` (bool), ``sha256``, ``image_id`` (str without patient data), and ``target`` (absolute path)
            for images that have a clean partner and ``kernel`` for those with a known one.

        Raises:
            ManifestError: when no image fits, or when an image is still named by URL.
        """
        chosen = self.select(split, modalities, sources, limit_per_modality, commercial_use, kernels)
        for record in chosen:
            for path in (record.path, record.target):
                if is_url(path):
                    raise ManifestError(
                        f"{self.name}: {path} is a URL; fetch the images first: noisewise manifest fetch."
                    )
        return [record.datum() for record in chosen]

    def counts(self) -> dict[tuple[str, str], int]:
        """How many images there are of each (modality, split)."""
        found: dict[tuple[str, str], int] = {}
        for record in self.records:
            found[record.modality, record.split] = found.get((record.modality, record.split), 0) + 1
        return dict(sorted(found.items()))

    def digest(self) -> str:
        """A checksum of the images, their splits and their intensity ranges, for experiment tracking.

        Returns:
            64 hexadecimal digits; they depend neither on the place of the files nor on the order of the lines.
        """
        lines = sorted(
            repr(tuple(v for k, v in dataclasses.asdict(r).items() if k not in NOT_IN_DIGEST))
            + (r.path if not r.sha256 else "")
            + (os.path.basename(r.target))
            + r.kernel
            for r in self.records
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _check_found(
        self,
        chosen: list[ManifestRecord],
        wishes: dict[str, tuple[str, ...] | None],
        asked: dict[str, str | None],
    ) -> None:
        words = ", ".join(f"{key} '{value}'" for key, value in asked.items() if value) or "anything"
        if not chosen:
            counts = ", ".join(f"{m} {s or 'without split'}: {n}" for (m, s), n in self.counts().items())
            raise ManifestError(f"{self.name} holds no image for {words}. It holds {counts or 'no images at all'}.")
        for column, wanted in wishes.items():
            missing = sorted(set(wanted or ()) - {getattr(record, column) for record in chosen})
            if missing:
                raise ManifestError(f"{self.name} holds no image of {column} {', '.join(missing)} for {words}.")


def is_url(path: str) -> bool:
    """Whether ``path`` is a URL (a scheme and ``://``) rather than a file."""
    return "://" in path


def every_nth_of(items: Sequence[Any], n: int) -> Sequence[Any]:
    """Every n-th item, from the middle of the first n: few slices of a short volume are not its outermost ones."""
    return items[min(n // 2, len(items) - 1) :: n]


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Choose ``count`` items evenly spread over a sequence; all of them when there are no more."""
    if count >= len(items):
        return list(items)
    return [items[i] for i in ((np.arange(count) + 0.5) * len(items) / count).astype(int)]


def _relative(path: str, folder: Path) -> str:
    if not path or is_url(path):
        return path
    absolute = Path(os.path.abspath(path))
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else str(absolute)


def _absolute(path: str, folder: Path) -> str:
    return path if not path or is_url(path) else os.path.normpath(folder / Path(path).expanduser())


def _as_tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    return (names,) if isinstance(names, str) else tuple(names)


def _join(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else ", ".join(names)


def _check_header(header: list[str], path: Path) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    missing = [name for name in COLUMNS if name not in header and name not in OPTIONAL_COLUMNS]
    unknown = [name for name in header if name not in COLUMNS]
    for what, names in (("missing", missing), ("unknown", unknown), ("repeated", repeated)):
        if names:
            raise ManifestError(
                f"{path}, line 1: {what} column {', '.join(map(repr, names))}; the columns are {', '.join(COLUMNS)}."
            )


class _Line:
    """One line of the CSV, whose errors name file, line and column."""

    def __init__(self, row: list[str], header: list[str], path: Path, number: int) -> None:
        self.place = f"{path}, line {number}"
        if len(row) != len(header):
            raise ManifestError(f"{self.place}: {len(row)} values for {len(header)} columns.")
        self.values = dict(zip(header, (value.strip() for value in row)))

    def record(self, folder: Path) -> ManifestRecord:
        """The image that the line names; relative paths are below ``folder``."""
        for column in ("path", "modality", "source", "subject"):
            self._require(bool(self.values[column]), column, "a value; it must not be empty")
        split, sha256 = self.values["split"], self.values["sha256"].lower()
        self._require(split in ("", *SPLITS), "split", f"one of {', '.join(SPLITS)} or empty")
        self._require(not sha256 or _HEX.fullmatch(sha256), "sha256", "64 hexadecimal digits or empty")
        channels = self._whole("channels", 1)
        self._require(channels in (1, 3), "channels", "1 or 3")
        return ManifestRecord(
            path=_absolute(self.values["path"], folder),
            slice=self._whole("slice", 0) if self.values["slice"] else None,
            modality=self.values["modality"].lower(),
            source=self.values["source"],
            license=self.values["license"],
            subject=self.values["subject"],
            split=split,
            sha256=sha256,
            stored_dtype=self.values["stored_dtype"],
            intensity_min=self._real("intensity_min"),
            intensity_max=self._real("intensity_max"),
            channels=channels,
            height=self._whole("height", 1),
            width=self._whole("width", 1),
            target=_absolute(self.values.get("target", ""), folder),
            kernel=self.values.get("kernel", ""),
        )

    def _whole(self, column: str, least: int) -> int:
        try:
            number = int(self.values[column])
        except ValueError:
            raise self._fault(column, "a whole number") from None
        self._require(number >= least, column, f"at least {least}")
        return number

    def _real(self, column: str) -> float:
        try:
            number = float(self.values[column])
        except ValueError:
            raise self._fault(column, "a number") from None
        self._require(math.isfinite(number), column, "finite")
        return number

    def _require(self, holds: object, column: str, wish: str) -> None:
        if not holds:
            raise self._fault(column, wish)

    def _fault(self, column: str, wish: str) -> ManifestError:
        return ManifestError(f"{self.place}, column '{column}': '{self.values.get(column, '')}' is not {wish}.")
