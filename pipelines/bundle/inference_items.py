# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The images to denoise and the path of each result, all checked before the first image is denoised."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...data_manifest.discover import find_image_files, group_by_series, read_dicom_headers
from ...data_manifest.modalities import MODALITIES
from ...listing import check_known, first_lines
from ...transforms import denoised_path
from ...transforms.file_types import is_dicom, unsupported_format
from ...transforms.intensity import negative_cause, negative_share
from ...transforms.intensity_stated import check_range

__all__ = ["check_inference_items", "inference_items"]

SHOWN = 10


def inference_items(
    dataset_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    images: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    modality: str | None = None,
    intensity_range: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """The data list of an inference: one item per image or volume.

    Args:
        dataset_dir: the folder of the images.
        output_dir: the folder of the results; files below it are not taken as inputs.
        images: files, or folders that each hold one DICOM series, relative to ``dataset_dir`` or absolute. None takes
            all images below ``dataset_dir``; the slices of one DICOM series then form one volume, since they must
            share one intensity range.
        modality: the modality of all images, such as ``"ct"``, which fixes their intensity range. None takes it from
            DICOM headers and leaves it open for other formats.
        intensity_range: the values of black and white for all images; None has the range of each image found.

    Returns:
        Items with ``image`` (path), ``output_path`` (no two alike, sub-folders kept) and, where known, ``modality``,
        ``intensity_min`` and ``intensity_max``.

    Raises:
        FileNotFoundError: when the folder or a listed image does not exist.
        ValueError: when there is no such modality, when the range is not two rising numbers, when there is no image,
            when results would replace inputs or be written among them, or when a DICOM series shares its folder with
            other DICOM files, so that the folder does not identify it.
    """
    limits = None if intensity_range is None else check_range(intensity_range)
    root = Path(os.path.abspath(dataset_dir))
    if modality is not None:
        check_known("modality", modality.lower(), MODALITIES)
    if images is None:
        sources = _all_images(root, Path(os.path.abspath(output_dir)))
    else:
        listed = [images] if isinstance(images, (str, os.PathLike)) else images
        sources = [Path(os.path.abspath(root / image)) for image in listed]
        for source in sources:
            if not source.exists():
                raise FileNotFoundError(f"{source}: no such image.")
    if not sources:
        raise ValueError(f"{root}: holds no PNG, JPEG, BMP, TIFF, NIfTI or DICOM image.")
    if images is not None:
        _check_formats(sources)
    paths = _distinct([denoised_path(source, output_dir, root) for source in sources], sources, output_dir, root)
    for path in {Path(os.path.abspath(path)) for path in paths} & set(sources):
        raise ValueError(f"{path}: the result would replace an input; choose another output_dir.")
    modalities = _dicom_modalities(sources) if modality is None else dict.fromkeys(sources, modality)
    items = []
    for source, path in zip(sources, paths):
        item = {"image": str(source), "output_path": str(path)}
        if modalities.get(source):
            item["modality"] = modalities[source]
        if limits is not None:
            item["intensity_min"], item["intensity_max"] = limits
        items.append(item)
    return items


def check_inference_items(
    items: Iterable[Mapping[str, Any]], preprocessing: Callable[[Any], Any], overwrite: bool = False
) -> None:
    """Refuse inputs that would make an inference fail halfway: results that exist already, images that cannot be read.

    Each image is read one more time for this, which takes little time compared with denoising it.

    Args:
        items: the data list from :func:`inference_items`.
        preprocessing: reads an item and maps its intensities to [0, 1].
        overwrite: whether existing results may be replaced.

    Raises:
        ValueError: when an image cannot be denoised; the message names the first few images and the cause for each.
    """
    items = list(items)
    problems = []
    if not overwrite:
        there = [item["output_path"] for item in items if os.path.exists(item["output_path"])]
        problems += [f"{path}: exists already; choose another output_dir or pass --overwrite True" for path in there]
    for item in () if problems else items:
        try:
            image = preprocessing(dict(item))["image"]
        except Exception as error:
            problems.append(_reason(error, item["image"]))
            continue
        stated = "intensity_min" in item
        cause = None if stated else negative_cause(negative_share(image))
        if cause is not None:
            problems.append(f"{item['image']}: {cause}")
    if problems:
        raise ValueError(f"the images cannot be denoised:\n{first_lines(problems, SHOWN)}")


def _all_images(root: Path, output_dir: Path) -> list[Path]:
    if output_dir == root:
        raise ValueError(f"{root}: output_dir is dataset_dir; the next run would take the results for images.")
    files = [path for path in find_image_files(root) if not path.is_relative_to(output_dir)]
    with ThreadPoolExecutor() as executor:
        headers = read_dicom_headers(files, executor)
    in_folder = Counter(path.parent for path in headers)
    sources = []
    for group in group_by_series(files, headers):
        folder = group[0].parent
        if len(group) == 1:
            sources.append(group[0])
        elif len(group) == in_folder[folder]:
            sources.append(folder)
        else:
            raise ValueError(
                f"{folder}: holds a DICOM series and other DICOM files; give each series its own folder."
            )
    return sources


def _check_formats(sources: Iterable[Path]) -> None:
    for source in sources:
        unsupported = unsupported_format(source)
        if source.is_file() and unsupported is not None and not is_dicom(source):
            raise ValueError(f"{source}: {unsupported} is not a supported format.")


def _dicom_modalities(sources: Iterable[Path]) -> dict[Path, str]:
    first = {source: next(iter(find_image_files(source)), source) if source.is_dir() else source for source in sources}
    with ThreadPoolExecutor() as executor:
        headers = read_dicom_headers(first.values(), executor)
    return {source: headers[path].modality for source, path in first.items() if path in headers}


def _distinct(paths: Sequence[Path], sources: Sequence[Path], output_dir: str | os.PathLike, root: Path) -> list[Path]:
    """Where results have the same name, those of another format keep the suffix; file systems may ignore case."""
    count = Counter(str(path).casefold() for path in paths)
    distinct = [
        path if count[str(path).casefold()] == 1 else denoised_path(source, output_dir, root, keep_suffix=True)
        for path, source in zip(paths, sources)
    ]
    (name, count), *_ = Counter(str(path).casefold() for path in distinct).most_common(1)
    if count > 1:
        alike = [str(source) for source, path in zip(sources, distinct) if str(path).casefold() == name]
        raise ValueError(f"{', '.join(alike)}: would have the same result file; denoise them one after the other.")
    return distinct


def _reason(error: BaseException, name: str) -> str:
    """The cause of MONAI's error, which itself only names the failed transform."""
    while error.__cause__ is not None:
        if str(error).startswith(name):
            break
        error = error.__cause__
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if text.startswith(name) else f"{name}: {text}"
