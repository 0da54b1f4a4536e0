# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What denoising 8-bit images in bfloat16 instead of float32 changes: in PSNR, and in single pixels.

    python benchmarks/precision_agreement.py [MANIFEST] [--split val] [--limit 4] [--engine auto] [--emulated]

Clean images (of the manifest, else those that come inside Python packages) get Gaussian noise and speckle of sigma 10,
25, 50 and 75 (of 255), are clipped and rounded to 8 bits, and denoised in both precisions to 8 bits. For each modality
and noise: the PSNR in float32, how far bfloat16 moves it (mean, and the largest move of one image), the part of all
values that differ by at most 1 and 2 grey levels, and the largest difference. bfloat16 needs a processor that computes
in it; ``--emulated`` lets PyTorch emulate it, many times slower.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from monai.transforms import Compose
from rich.console import Console
from rich.progress import track

from noisewise.data_manifest import Manifest, build_embedded
from noisewise.pipelines.bundle.precision import has_native_bfloat16
from noisewise.pipelines.denoising import Denoiser
from noisewise.pipelines.evaluation.conditions import expand_conditions
from noisewise.transforms import LoadMedicalImaged, MultiPatternNoised, ScaleToUnitRanged

# The aim: the mean PSNR moves by less, and more values than this part by at most 2 grey levels.
PSNR_MOVE, PART = 0.05, 0.999


def main() -> None:
    """Measure, print a Markdown table, and fail where the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, nargs="?")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=4, help="images of each modality")
    parser.add_argument("--crop", type=int, default=256, help="side of the centre crops, pixels")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--emulated", action="store_true", help="go on without native bfloat16 (engine torch)")
    options = parser.parse_args()
    if not has_native_bfloat16():
        if not options.emulated:
            parser.error("this processor does not compute in bfloat16; see --emulated")
        options.engine = "torch"

    float32, bfloat16 = (Denoiser(engine=options.engine, precision=each) for each in ("float32", "bfloat16"))
    rows = []
    with TemporaryDirectory() as folder:
        manifest = Manifest.read(options.manifest or build_embedded(folder))
        items = manifest.datalist(options.split, limit_per_modality=options.limit)
        conditions = expand_conditions(items, clip=True, quantize=True)
        for item, clean, noisy in track(
            noisy_images(conditions, options.crop), "denoising", len(conditions), console=Console(stderr=True)
        ):
            results = [denoiser.denoise_slices(noisy[None], (0.0, 255.0))[0] for denoiser in (float32, bfloat16)]
            rows.append(row(item, clean, *results))
    print(f"engine {bfloat16.engine().name}, {len(items)} images, {len(rows)} noisy ones\n")
    table = pd.DataFrame(rows)
    print("| modality | noise | values | PSNR, dB | moved by | one image, at most | within 1 | within 2 | largest |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for (modality, pattern), part in table.groupby(["modality", "pattern"]):
        print_row(modality, pattern, part)
    print_row("**all**", "", table)
    missed = abs(table["moved"].mean()) >= PSNR_MOVE or weighted(table, "within_2") < PART
    sys.exit("the aim is missed" if missed else None)


def noisy_images(conditions: list[dict], crop: int) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """For each condition: the item, the clean image and the noisy one, uint8, ``(H, W)`` or ``(H, W, 3)``."""
    load = Compose([LoadMedicalImaged("image"), ScaleToUnitRanged("image")])
    corrupt = MultiPatternNoised("image")
    for item in conditions:
        loaded = load(dict(item))
        starts = [max(0, (size - crop) // 2) for size in loaded["image"].shape[1:]]
        loaded["image"] = loaded["image"][:, starts[0] : starts[0] + crop, starts[1] : starts[1] + crop]
        clean = loaded["image"]
        noisy = corrupt(loaded)["image"]
        yield item, *(eight_bit(np.asarray(image)) for image in (clean, noisy))


def eight_bit(image: np.ndarray) -> np.ndarray:
    """``(C, X, Y)`` in [0, 1] as uint8, ``(X, Y)`` or ``(X, Y, 3)``."""
    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, -1))


def row(item: dict, clean: np.ndarray, exact: np.ndarray, fast: np.ndarray) -> dict:
    """The figures of one image."""
    difference = np.abs(exact.astype(int) - fast)
    before, after = psnr(exact, clean), psnr(fast, clean)
    return {
        "modality": item["modality"],
        "pattern": item["noise"]["pattern"],
        "values": difference.size,
        "psnr": before,
        "moved": after - before,
        "within_1": (difference <= 1).mean(),
        "within_2": (difference <= 2).mean(),
        "largest": difference.max(),
    }


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    """PSNR of 8-bit images in dB."""
    return 10 * math.log10(255**2 / np.mean((image.astype(float) - clean) ** 2))


def weighted(part: pd.DataFrame, column: str) -> float:
    """Mean over all values of all images."""
    return float(np.average(part[column], weights=part["values"]))


def print_row(modality: str, pattern: str, part: pd.DataFrame) -> None:
    """One line of the table."""
    within = " | ".join(f"{weighted(part, column):.4%}" for column in ("within_1", "within_2"))
    print(f"| {modality} | {pattern} | {part['values'].sum() / 1e6:.2f} M | {part['psnr'].mean():.2f} "
          f"| {part['moved'].mean():+.4f} | {part['moved'].abs().max():.4f} | {within} | {part['largest'].max()} |")


if __name__ == "__main__":
    main()
