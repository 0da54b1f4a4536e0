# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The comparison of simulated and real low-dose noise on all pairs of a manifest."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ...data_manifest import Manifest, ManifestRecord, kernel_class
from ...transforms import PHOTONS_PER_MA, LowDoseCT
from .calibration_report import write_calibration
from .folds import read_pair
from .noise_comparison import compare_noise

__all__ = ["calibrate", "read_tube_currents"]


def calibrate(
    manifest: str | os.PathLike,
    tube_currents: str | os.PathLike | Mapping[str, float],
    output: str | os.PathLike,
    *,
    photons_per_ma: float = PHOTONS_PER_MA,
    dose: float = 0.25,
    modulation: float = 0.5,
    spacing_mm: float = 0.7,
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> list[Path]:
    """Compare simulated with real noise on all pairs of a manifest, and write tables and a figure.

    Args:
        manifest: manifest of the pairs; the kernel of each must be a known soft or sharp one
            (:func:`~noisewise.data_manifest.kernel_class`).
        tube_currents: a table for :func:`read_tube_currents`, or its result.
        output: the output folder, which is created if necessary.
        photons_per_ma: the exposure constant to check.
        dose: the low dose as a fraction of the normal one.
        modulation: see :func:`~noisewise.transforms.low_dose_noise`.
        spacing_mm: side of a pixel.
        seed: the first slice's seed; each further slice has the next one.
        report: receives each line of progress.

    Returns:
        ``calibration.csv`` (one line per slice), ``calibration.md`` (one line per kernel and patient) and
        ``low_dose_calibration.png`` (radial noise power spectra).

    Raises:
        ManifestError: when the manifest cannot be read.
        ValueError: when a slice has no full-dose partner, tube current or known kernel, or no slice has a flat region.
    """
    records = Manifest.read(manifest).records
    currents = tube_currents if isinstance(tube_currents, Mapping) else read_tube_currents(tube_currents)
    exposures = [_tube_current(record, currents) for record in records]
    kernels = [_kernel(record) for record in records]
    comparisons = []
    for number, (record, exposure, kernel) in enumerate(zip(records, exposures, kernels)):
        pair = read_pair(record)
        simulation = LowDoseCT(
            dose, exposure * photons_per_ma, kernel, seed=seed + number, pixel_mm=spacing_mm, modulation=modulation
        )
        labels = {"subject": record.subject, "kernel": record.kernel, "image_id": record.image_id}
        comparisons.append(compare_noise(pair.low, pair.full, simulation, **labels, tube_current=exposure))
        measured = comparisons[-1]
        report(
            f"{number + 1} of {len(records)}: {record.subject} {record.kernel}: real {measured.real_std_hu:.1f} HU, "
            f"simulated {measured.simulated_std_hu:.1f} HU"
        )
    return write_calibration(comparisons, output)


def read_tube_currents(table: str | os.PathLike) -> dict[str, float]:
    """Read the tube current of each slice.

    Args:
        table: CSV with the columns ``file`` (name of the low- or full-dose file) and ``mA``.

    Returns:
        Tube currents in mA by file name.

    Raises:
        ValueError: when the table cannot be read, lacks a column, names a file twice with different currents, or a
            current is not a positive number.
    """
    try:
        with Path(table).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table}: cannot be read: {error}") from None
    if not rows or not {"file", "mA"} <= set(rows[0]):
        raise ValueError(f"{table}: needs the columns file and mA, and one line per slice.")
    currents: dict[str, float] = {}
    for line, row in enumerate(rows, start=2):
        try:
            current = float(row["mA"])
        except (TypeError, ValueError):
            current = math.nan
        if not 0 < current < math.inf:
            raise ValueError(f"{table}, line {line}: mA must be a positive number, got {row['mA']!r}.")
        if currents.setdefault(os.path.basename(row["file"]), current) != current:
            raise ValueError(f"{table}, line {line}: this file is listed twice, with different tube currents.")
    return currents


def _tube_current(record: ManifestRecord, currents: Mapping[str, float]) -> float:
    if not record.target:
        raise ValueError(f"{record.name}: has no full-dose partner in the manifest.")
    names = (os.path.basename(path) for path in (record.path, record.target))
    found = next((currents[name] for name in names if name in currents), None)
    if found is None:
        raise ValueError(f"{record.name}: the table of tube currents does not name it.")
    return found


def _kernel(record: ManifestRecord) -> str:
    kernel = kernel_class(record.kernel)
    if not kernel:
        raise ValueError(f"{record.name}: its kernel {record.kernel!r} is not known as soft or sharp.")
    return kernel
