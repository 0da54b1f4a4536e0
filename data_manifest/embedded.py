# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The embedded set: real images inside Python packages, so that everything runs without a download.

It shows that the software works, and a small network can be trained on it. It is far too small to judge or tune one.

What it holds, by modality and split (no subject is in two splits):

========== ============================================== ===================================== ======================
modality   train                                          val                                   test
========== ============================================== ===================================== ======================
mri        MNI ICBM 152 T1 template, 36 slices            abdomen (Siemens), 1 slice            shoulder, 1 slice
ct         abdomen and head, 1 slice each                 spine, 1 slice of 128 x 128 pixels    head, 1 slice
xray       chest, 1 radiograph, 9 tiles                   none: there are two radiographs only  lower leg, 3 tiles of 1
microscopy fluorescence of nuclei, 4 tiles of 1 image     phase image of a cell, 1 image        immunostain, 1 image
fundus     photograph of a retina, 4 tiles                none                                  none
========== ============================================== ===================================== ======================

No package on PyPI ships dermoscopy, so there is **no skin image**: :func:`~noisewise.data_manifest.get_source` tells
how to get HAM10000. The fundus photograph is there so that training sees another color image.

The template is the mean of 152 heads and has almost no noise; it is also smoother than any single scan.
"""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from monai.data import NibabelReader
from PIL import Image

from ..atomic import atomic_path
from ..renamed import renamed_arguments, renamed_attribute
from ..transforms import LoadMedicalImage
from ..transforms.file_types import is_dicom
from .build import build_manifest
from .manifest import ManifestError

__all__ = ["EmbeddedImage", "build_embedded", "list_embedded"]

TILE = 512
SLICES_PER_PLANE = 12
NEMA = "no restriction known (DICOM WG-04 sample images, ftp://medical.nema.org); pydicom-data package: MIT"
PYDICOM = "no restriction known (sample file of the pydicom project; packages pydicom and pydicom-data: MIT)"


@dataclass(frozen=True)
class EmbeddedImage:
    """One file of an installed package.

    Args:
        package: name to import.
        path: the file below the package's folder.
        modality: see :class:`~noisewise.data_manifest.ManifestRecord`.
        subject: who or what was imaged.
        split: ``"train"``, ``"val"`` or ``"test"``.
        license: as far as it is known.
        export: ``"no"``: the file is read where it is; ``"tiles"``: cut into tiles of 512 x 512 pixels; ``"slices"``:
            axial, coronal and sagittal slices of a volume. Exported files are exact copies of the stored values.
    """

    package: str
    path: str
    modality: str
    subject: str
    split: str
    license: str
    export: str = "no"


EmbeddedImage.licence = renamed_attribute("licence", "license")
EmbeddedImage.__init__ = renamed_arguments(licence="license")(EmbeddedImage.__init__)

IMAGES = (
    EmbeddedImage(
        "nilearn",
        "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        "mri",
        "mni152",
        "train",
        "MNI ICBM 152 2009a, copyright Louis Collins, McConnell Brain Imaging Center, McGill University: free to use, "
        "copy, modify and distribute with this notice (check the MNI's site); nilearn package: BSD-3-Clause",
        "slices",
    ),
    EmbeddedImage("data_store", "data/MR-SIEMENS-DICOM-WithOverlays.dcm", "mri", "siemens_abdomen", "val", PYDICOM),
    EmbeddedImage("data_store", "data/MR2_UNCR.dcm", "mri", "wg04_mr2", "test", NEMA),
    EmbeddedImage(
        "data_store",
        "data/explicit_VR-UN.dcm",
        "ct",
        "pancreas_0001",
        "train",
        "TCIA Pancreas-CT: CC BY 3.0 (check the site); pydicom-data package: MIT",
    ),
    EmbeddedImage("pydicom", "data/test_files/J2K_pixelrep_mismatch.dcm", "ct", "pydicom_1149", "train", PYDICOM),
    EmbeddedImage("pydicom", "data/test_files/CT_small.dcm", "ct", "wg04_ct1", "val", NEMA),
    # In the test split, so that no network trained on the embedded set depends on non-commercial images.
    EmbeddedImage(
        "data_store",
        "data/693_UNCR.dcm",
        "ct",
        "cq500_310",
        "test",
        "CQ500: CC BY-NC-SA 4.0, non-commercial (check the site); pydicom-data package: MIT",
    ),
    EmbeddedImage("data_store", "data/RG1_UNCR.dcm", "xray", "wg04_rg1", "train", NEMA, "tiles"),
    EmbeddedImage("data_store", "data/RG3_UNCR.dcm", "xray", "wg04_rg3", "test", NEMA, "tiles"),
    EmbeddedImage(
        "mahotas",
        "demos/data/nuclear.png",
        "microscopy",
        "mahotas_nuclear",
        "train",
        "no statement of its own; mahotas package: MIT",
        "tiles",
    ),
    EmbeddedImage("skimage", "data/cell.png", "microscopy", "skimage_cell", "val", "CC0-1.0"),
    EmbeddedImage(
        "skimage",
        "data/ihc.png",
        "microscopy",
        "skimage_ihc",
        "test",
        "no known copyright restrictions (CMMI); scikit-image package: BSD-3-Clause",
    ),
    EmbeddedImage("skimage", "data/retina.jpg", "fundus", "skimage_retina", "train", "CC0-1.0", "tiles"),
)
DISTRIBUTIONS = {"data_store": "pydicom-data", "skimage": "scikit-image"}


def list_embedded() -> tuple[EmbeddedImage, ...]:
    """The files of the embedded set, whether their packages are installed or not."""
    return IMAGES


def build_embedded(out_dir: str | os.PathLike, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write the manifest of the embedded set, and the files that must be exported for it.

    Flat images of a moderate size are read where pip put them. Large ones are cut into tiles and the volume into
    slices, as 8- or 16-bit PNG with exactly the stored values (inverted where DICOM says that dark means high), in
    ``out_dir/images``. The same packages give the same files.

    Args:
        out_dir: folder of the manifest; made where it is missing.
        progress: called with (files done, files in all) while the files are read.

    Returns:
        ``out_dir/manifest.csv``.

    Raises:
        ManifestError: naming the packages that are missing and the command that installs them.
    """
    out_dir = Path(os.path.abspath(out_dir))
    files = _locate()
    (out_dir / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for image, path in zip(IMAGES, files):
        exported = [path] if image.export == "no" else list(_export(image, path, out_dir / "images"))
        rows += [
            {
                "file": file,
                "modality": image.modality,
                "source": f"embedded_{DISTRIBUTIONS.get(image.package, image.package)}",
                "subject": image.subject,
                "split": image.split,
                "license": image.license,
            }
            for file in exported
        ]
    table = out_dir / "table.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    manifest = out_dir / "manifest.csv"
    # Tiles of one image share its range, as slices of one volume do.
    build_manifest(out_dir, manifest, table=table, range_per="subject", progress=progress)
    return manifest


def _locate() -> list[Path]:
    """Paths of all files; one error for all packages that are not there."""
    folders: dict[str, Path | None] = {}
    for name in {image.package for image in IMAGES}:
        # find_spec imports nothing: some of these packages take seconds to import.
        spec = importlib.util.find_spec(name)
        folders[name] = Path(spec.origin).parent if spec is not None and spec.origin else None
    missing = sorted(DISTRIBUTIONS.get(name, name) for name, folder in folders.items() if folder is None)
    if missing:
        raise ManifestError(
            f"the embedded images need the package(s) {', '.join(missing)}, which are not installed: "
            'pip install "noisewise[embedded]".'
        )
    files = [folders[image.package] / image.path for image in IMAGES]
    gone = [str(path) for path in files if not path.is_file()]
    if gone:
        raise ManifestError(
            f"installed packages do not hold {', '.join(gone)}; other versions of them do: "
            'pip install --upgrade "noisewise[embedded]".'
        )
    return files


def _export(image: EmbeddedImage, path: Path, folder: Path) -> Iterator[Path]:
    planes = _slices(path) if image.export == "slices" else _tiles(path)
    for name, array in planes:
        target = folder / f"{image.subject}_{name}.png"
        with atomic_path(target) as temporary:
            Image.fromarray(np.ascontiguousarray(array)).save(temporary, format="PNG")
        yield target


def _slices(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Slices of the volume's three planes, upright, where at least a quarter of the picture is brain.

    The template is symmetric: sagittal slices of one half equal those of the other, so one half is taken.
    """
    reader = NibabelReader()
    volume = np.asarray(reader.get_data(reader.read(path))[0])
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        stack = np.moveaxis(volume, axis, 0)
        stack = stack[: len(stack) // 2] if plane == "sagittal" else stack
        filled = [i for i, picture in enumerate(stack) if (picture > 0).mean() > 0.25]
        for index in np.linspace(filled[0], filled[-1], SLICES_PER_PLANE).round().astype(int):
            yield f"{plane}{index:03d}", np.rot90(stack[index])


def _tiles(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Tiles that do not overlap, from the middle of the picture; the mostly dark or saturated ones are left out."""
    picture = _stored_pixels(path)
    rows, columns = picture.shape[0] // TILE, picture.shape[1] // TILE
    top, left = (picture.shape[0] - rows * TILE) // 2, (picture.shape[1] - columns * TILE) // 2
    for row in range(rows):
        for column in range(columns):
            y, x = top + row * TILE, left + column * TILE
            tile = picture[y : y + TILE, x : x + TILE]
            if ((tile > 0.05 * picture.max()) & (tile < 0.98 * picture.max())).mean() > 0.6:
                yield f"r{row}c{column}", tile


def _stored_pixels(path: Path) -> np.ndarray:
    """The stored values, (rows, columns) or (rows, columns, 3)."""
    if not is_dicom(path):
        return np.moveaxis(LoadMedicalImage(dtype=None)(path).numpy(), (0, 1, 2), (2, 1, 0)).squeeze()
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array
    return pixels.max() - pixels if dataset.PhotometricInterpretation == "MONOCHROME1" else pixels
