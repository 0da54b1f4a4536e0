# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure how often the residual audit warns about the shipped network, and about denoisers that remove structure.

    python benchmarks/audit_thresholds.py MANIFEST --split train    # the limits of the audit were set on these rates
    python benchmarks/audit_thresholds.py MANIFEST --split val      # and checked on these
    python benchmarks/audit_thresholds.py MANIFEST --low-dose       # for the low-dose CT weights, on simulated doses
    python benchmarks/audit_thresholds.py --picture docs/images/audit.png

Clean images get Gaussian noise and speckle of sigma 5, 10, 25 and 50 (of 255), every second one clipped and rounded to
8 bits. With ``--low-dose``, normal-dose CT slices get the noise of 10, 25, 50 and 75 % of the dose for a soft and a
sharp kernel, and the network is that of the low-dose CT bundle. The network's residuals are the honest ones. The guilty
ones are blurred and median-filtered images, the network's result blurred afterwards, and disks (blob RADIUSxCONTRAST,
in pixels and standard deviations of the honest residual) that are in the noisy image but not in the result. ``as is``
are the images without simulated noise.

The picture shows the audit of a disk that was erased from a retina (scikit-image, CC0; extra ``embedded``).
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from monai.transforms import Compose
from PIL import Image
from scipy import ndimage

from noisewise.data_manifest import Manifest, build_embedded
from noisewise.pipelines.audit.picture import audit_picture
from noisewise.pipelines.audit.residual import audit_residual
from noisewise.pipelines.denoising import Denoiser, RemovedPart
from noisewise.pipelines.denoising.models import CT_MODEL, DEFAULT_MODEL
from noisewise.transforms import PHOTONS_PER_MA, LoadMedicalImaged, LowDoseCT, MultiPatternNoise
from noisewise.transforms.intensity import CT_RANGE
from noisewise.transforms.intensity_dictionary import ScaleToUnitRanged

CONDITIONS = [(pattern, sigma) for pattern in ("gaussian", "speckle") for sigma in (5, 10, 25, 50)]
DOSES = [(kernel, dose) for kernel in ("soft", "sharp") for dose in (0.1, 0.25, 0.5, 0.75)]
TUBE_CURRENT = 250  # mA
SMOOTHINGS = ("blur 1.5", "blur 3", "median 5", "denoised, blur 1", "denoised, blur 2")
DISKS = [(radius, contrast) for radius in (3, 5, 10) for contrast in (1, 2, 4)]
KINDS = {"neighbors": "neighbo", "structure": "the removed part", "places": "more of", "shift": "the brightness"}


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, nargs="?")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=10, help="images of each modality")
    parser.add_argument("--crop", type=int, default=160, help="side of the center crops, pixels")
    parser.add_argument("--low-dose", action="store_true", help="low-dose CT in place of Gaussian noise and speckle")
    parser.add_argument("--cache", type=Path, help="folder where the network's results are kept")
    parser.add_argument("--picture", type=Path, help="draw the example instead")
    options = parser.parse_args()
    if options.picture:
        draw_example(options.picture)
        return
    if options.manifest is None:
        parser.error("a manifest is needed")

    conditions = DOSES if options.low_dose else CONDITIONS
    rows = []
    for index, (modality, noisy, removed) in enumerate(residuals(options)):
        for number, name in enumerate([*(f"{kind} {level}" for kind, level in conditions), "as is"]):
            kind = "as is" if name == "as is" else "honest"
            rows.append(judge(kind, modality, name, noisy[number], removed[number], options))
            if name != "as is":
                guilty = guilty_cases(noisy[number], removed[number], index * len(conditions) + number)
                rows += [judge(kind, modality, name, *arrays, options) for kind, arrays in guilty]
    table = pd.DataFrame(rows)
    columns = ["any", *KINDS]
    rates = table.groupby("kind")[columns].mean().assign(count=table.groupby("kind").size())
    print("| residual | images | any warning | neighbors | structure | places | shift |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for kind, row in rates.iterrows():
        print(f"| {kind} | {row['count']:.0f} | {' | '.join(f'{row[column]:.1%}' for column in columns)} |")
    for key in ("modality", "noise"):
        print(table[table["kind"] == "honest"].groupby(key)[columns].mean().round(3).to_string())
    smooth = table[table["kind"].isin(SMOOTHINGS)]
    print(smooth.pivot_table(index="kind", columns="noise", values="any").round(2).to_string())
    numbers = ["bias", "autocorrelation", "structure_correlation", "fine"]
    print(table[table["kind"] == "honest"][numbers].quantile([0.0, 0.5, 0.9, 0.99, 0.995, 1.0]).round(3).to_string())


def residuals(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the modality of each image, its noisy versions and their residuals in gray levels; the original is last."""
    load = Compose([LoadMedicalImaged("image"), ScaleToUnitRanged("image")])
    denoiser = Denoiser(CT_MODEL if options.low_dose else DEFAULT_MODEL, precision="float32")
    modalities = ["ct"] if options.low_dose else None
    items = Manifest.read(options.manifest).datalist(options.split, modalities, limit_per_modality=options.limit)
    for index, item in enumerate(items):
        name = f"{options.split}_{index:03d}_{item['image_id']}_{options.crop}{'_dose' * options.low_dose}.npz"
        kept = options.cache and options.cache / name
        if kept and kept.exists():
            with np.load(kept) as arrays:
                yield item["modality"], arrays["noisy"], arrays["removed"]
            continue
        whole = np.asarray(load(item)["image"])
        clean = center(whole, options.crop)
        if options.low_dose:  # the simulation needs the whole slice
            versions = [center(low_dose(whole, *condition, item["image_id"]), options.crop) for condition in DOSES]
        else:
            versions = [
                corrupt(clean, *condition, item["image_id"], (index + i) % 2 == 1)
                for i, condition in enumerate(CONDITIONS)
            ]
        noisy = np.stack([*versions, clean]).astype(np.float32)
        noisy = np.ascontiguousarray(np.moveaxis(noisy, 1, -1) if clean.shape[0] == 3 else noisy[:, 0])
        removed = np.empty_like(noisy)

        def keep(part: RemovedPart, target: np.ndarray = removed) -> None:
            target[(part.index, *part.core)] = part.values

        denoiser.denoise_slices(noisy, (0.0, 1.0), on_removed=keep)
        noisy, removed = noisy * 255, removed * 255
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, noisy=noisy, removed=removed)
        yield item["modality"], noisy, removed


def center(image: np.ndarray, side: int) -> np.ndarray:
    """The center crop of ``(C, X, Y)``."""
    starts = [max(0, (size - side) // 2) for size in image.shape[1:]]
    return image[:, starts[0] : starts[0] + side, starts[1] : starts[1] + side]


def corrupt(clean: np.ndarray, pattern: str, sigma: float, name: str, eight_bit: bool) -> np.ndarray:
    seed = zlib.crc32(f"{name}{pattern}{sigma}".encode())
    return np.asarray(MultiPatternNoise(pattern, sigma, seed, clip=eight_bit, quantize=eight_bit)(clean))


def low_dose(clean: np.ndarray, kernel: str, dose: float, name: str) -> np.ndarray:
    """A slice at a fraction of the dose, in the unit range of CT."""
    seed = zlib.crc32(f"{name}{kernel}{dose}".encode())
    low, high = CT_RANGE
    lower = LowDoseCT(dose, TUBE_CURRENT * PHOTONS_PER_MA, kernel, seed=seed)
    return (np.asarray(lower(clean * (high - low) + low)) - low) / (high - low)


def guilty_cases(
    noisy: np.ndarray, removed: np.ndarray, number: int
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Yield residuals with structure: two of the smoothings and two of the disks, in rotation."""

    def blur(image: np.ndarray, width: float) -> np.ndarray:
        return ndimage.gaussian_filter(image, (width, width, 0)[: image.ndim])

    smoothings = {
        "blur 1.5": lambda: blur(noisy, 1.5),
        "blur 3": lambda: blur(noisy, 3),
        "median 5": lambda: ndimage.median_filter(noisy, (5, 5, 1)[: noisy.ndim]),
        "denoised, blur 1": lambda: blur(noisy - removed, 1),
        "denoised, blur 2": lambda: blur(noisy - removed, 2),
    }
    # The number of noises, 8, has no common divisor with 5 or 9, so that each kind is combined with each noise.
    for turn in (2 * number, 2 * number + 1):
        name = SMOOTHINGS[turn % len(SMOOTHINGS)]
        yield name, (noisy, noisy - smoothings[name]())
    random = np.random.RandomState(number)
    rows, columns = np.ogrid[: noisy.shape[0], : noisy.shape[1]]
    for turn in (2 * number, 2 * number + 1):
        radius, contrast = DISKS[turn % len(DISKS)]
        row, column = (random.randint(radius + 2, side - radius - 2) for side in noisy.shape[:2])
        disk = np.clip(radius + 0.5 - np.hypot(rows - row, columns - column), 0, 1)
        disk = disk * contrast * removed.std() * random.choice([-1, 1])
        disk = (disk[..., None] if noisy.ndim == 3 else disk).astype(np.float32)
        yield f"blob {radius}x{contrast}", (noisy + disk, removed + disk)


def judge(
    kind: str, modality: str, noise: str, noisy: np.ndarray, removed: np.ndarray, options: argparse.Namespace
) -> dict[str, object]:
    """Return one line of the table: the warnings and the numbers behind them."""
    audit = audit_residual(noisy, removed, correlated_noise=options.low_dose)
    warned = {name: any(text.startswith(start) for text in audit.warnings) for name, start in KINDS.items()}
    return {
        "kind": kind,
        "modality": modality,
        "noise": noise,
        "any": bool(audit.warnings),
        **warned,
        "bias": abs(audit.mean) / max(audit.std, 1e-9),
        "autocorrelation": audit.largest_autocorrelation,
        "structure_correlation": audit.structure_correlation,
        "fine": fine_correlation(noisy - removed, removed),
    }


def fine_correlation(denoised: np.ndarray, removed: np.ndarray) -> float:
    """The correlation of the removed part with details of 0.7 to 1.4 pixels, which the audit does not use."""
    denoised, removed = (each.mean(-1) if each.ndim == 3 else each for each in (denoised, removed))
    centered = removed - removed.mean()
    local = np.sqrt(ndimage.gaussian_filter(centered**2, 8.0))
    white = centered / np.maximum(local, 0.25 * centered.std() + 1e-12)
    details = ndimage.gaussian_filter(denoised, 0.7) - ndimage.gaussian_filter(denoised, 1.4)
    return float((white * details).mean() / np.sqrt((white**2).mean() * (details**2).mean() + 1e-12))


def draw_example(path: Path) -> None:
    """Draw the audit of a denoiser that erases a disk of 5 pixels' radius and twice the noise's standard deviation."""
    with TemporaryDirectory() as folder:
        item = Manifest.read(build_embedded(folder)).datalist(modalities=["fundus"])[0]
        image = np.asarray(LoadMedicalImaged("image")(item)["image"])[1:2] / 255
    noisy = corrupt(center(image, 224), "gaussian", 10, "example", False).astype(np.float32)
    denoised = Denoiser().denoise_slices(noisy, (0.0, 1.0))
    noisy, removed = noisy[0] * 255, (noisy - denoised)[0] * 255
    rows, columns = np.ogrid[: noisy.shape[0], : noisy.shape[1]]
    disk = (-2 * removed.std() * (np.hypot(rows - 150, columns - 60) <= 5)).astype(np.float32)
    noisy, removed = noisy + disk, removed + disk
    audit = audit_residual(noisy, removed, "gray levels")
    title = "a dark disk at row 150, column 60 was erased"
    audit_picture(path, noisy, noisy - removed, removed, audit, title, dots_per_inch=70)
    with Image.open(path) as picture:  # a palette keeps the file small
        small = picture.convert("RGB").quantize(64)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
