# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The audits of many images as one HTML page that needs no server, no network and no other file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...atomic import write_text_atomically
from .page_pixels import Picture, encode_picture

__all__ = ["LARGEST_PAGE", "ImagePair", "PageImage", "write_page"]

# Bytes of the page's pictures.
LARGEST_PAGE = 32 * 2**20
MOST_SLICES = 60
# One image takes at most this share of what is left for the pictures, unless fewer images follow.
SHARE = 4
CT_WINDOWS = {"Soft tissue": (-160, 240), "Lung": (-1350, 150), "Bone": (-500, 1300), "Brain": (0, 80)}  # HU
CONTRAST_PERCENTILES = (0.5, 99.5)
SHOWN_STDS = 3.0
# The columns of the table, and the beginnings of the warnings that mark their values.
MARKS = {
    "structure": "the removed part follows",
    "neighbors": "neighboring pixels",
    "places": "more of one sign",
    "shift": "the brightness",
}


@dataclass(frozen=True)
class ImagePair:
    """An image before and after denoising, in memory.

    Attributes:
        count: number of slices.
        slices: returns a slice before and after, each ``(H, W)`` or ``(H, W, 3)``, real values.
        hounsfield: whether the values are Hounsfield units.
        eight_bit: whether the values are gray levels from 0 to 255.
        inverted: whether high values are black.
        aspect: width of a pixel, in heights of a pixel.
    """

    count: int
    slices: Callable[[int], tuple[np.ndarray, np.ndarray]]
    hounsfield: bool = False
    eight_bit: bool = False
    inverted: bool = False
    aspect: float = 1.0


@dataclass(frozen=True)
class PageImage:
    """One row of the page's table.

    Attributes:
        name: of the image.
        audit: as in ``audit.json``: a summary from :func:`~noisewise.pipelines.audit.residual.summarize_audits`, and
            the audit of the slice ``shown_slice`` as ``shown``.
        read: reads the image; called only if the page has space for it. An ``OSError`` or ``ValueError`` leaves a row
            without a picture.
        files: number of its files.
        strength: the strength of the denoising.
    """

    name: str
    audit: dict[str, Any]
    read: Callable[[], ImagePair]
    files: int = 1
    strength: float = 1.0


def write_page(path: str | os.PathLike, images: Sequence[PageImage], limit: int = LARGEST_PAGE) -> Path:
    """Write the page: a table of all images, and the pictures of as many as fit, the worst first.

    The page loads nothing: its policy (Content-Security-Policy) forbids all but its own script, by the script's hash.
    Pixels keep a sixteenth of the removed part's standard deviation, and sides above 768 pixels are averaged down.

    Args:
        path: the file, written atomically; missing folders are created.
        images: the rows, in any order.
        limit: bytes of the pictures. What is left out is named on the page.

    Returns:
        ``path``.
    """
    rows: list[dict[str, Any]] = []
    blocks: list[str] = []
    left = limit
    worst_first = sorted(images, key=_severity, reverse=True)
    for index, image in enumerate(worst_first):
        row = _row(image, severity=len(images) - index)
        budget = max(left // min(SHARE, len(images) - index), min(left, limit // SHARE))
        pictures = _add_pictures(row, image, budget)
        for number, picture in enumerate(pictures):
            row["pictures"][number]["id"] = f"pixels-{index}-{number}"
            blocks.append(f'<script type="text/plain" id="pixels-{index}-{number}">{picture.pixels}</script>')
            left -= len(picture.pixels)
        rows.append(row)
    report = {"summary": _summary(rows), "note": _note(rows, limit), "images": rows}
    blocks.insert(0, f'<script type="application/json" id="report">{_json(report)}</script>')
    write_text_atomically(path, _fill(blocks))
    return Path(path)


def _severity(image: PageImage) -> tuple[float, ...]:
    audit = image.audit
    clearest = max((abs(place["significance"]) for place in audit["shown"]["places"]), default=0.0)
    share = audit["slices_with_warnings"] / max(1, audit["slices"])
    return bool(audit["warnings"]), len(audit["warnings"]), share, clearest, audit["structure_correlation"]


def _row(image: PageImage, severity: int) -> dict[str, Any]:
    audit = image.audit
    return {
        "name": image.name.encode("utf-8", "backslashreplace").decode(),
        "files": image.files,
        "slices": audit["slices"],
        "severity": severity,
        "warnings": audit["warnings"],
        "suspicious": audit["slices_with_warnings"],
        "marked": [key for key, start in MARKS.items() if any(text.startswith(start) for text in audit["warnings"])],
        "unit": audit["unit"],
        "std": audit["std"],
        "mean": audit["mean"],
        "structure": audit["structure_correlation"],
        "neighbors": audit["largest_autocorrelation"],
        "places": audit["places"],
        "strength": image.strength,
        "shown": audit["shown_slice"],
        # The page shows what was removed, the audit's numbers are those of full strength.
        "gainLimit": SHOWN_STDS * audit["shown"]["std"] * image.strength or 1.0,
        "size": None,
        "note": "",
        "windows": [],
        "pictures": [],
    }


def _add_pictures(row: dict[str, Any], image: PageImage, budget: int) -> list[Picture]:
    """Encode the slices that fit, and describe them in the row."""
    shown, std = row["shown"], image.audit["shown"]["std"] * image.strength
    try:
        pair = image.read()
        row["size"] = pair.slices(shown)[0].shape[:2]
        first = encode_picture(*pair.slices(shown), std, pair.hounsfield, pair.eight_bit)
        if len(first.pixels) > budget:
            row["note"] = "No picture: the page has no space left for it."
            return []
        count = int(min(pair.count, MOST_SLICES, max(1, budget // max(1, len(first.pixels)))))
        chosen = np.linspace(0, pair.count - 1, count).round().astype(int)
        # The slice that needs the most attention replaces its neighbor.
        chosen[np.abs(chosen - shown).argmin()] = shown
        pictures, used = {shown: first}, len(first.pixels)
        for index in sorted(set(chosen.tolist()) - {shown}, key=lambda index: abs(index - shown)):
            picture = encode_picture(*pair.slices(index), std, pair.hounsfield, pair.eight_bit)
            if used + len(picture.pixels) <= budget:
                pictures[index] = picture
                used += len(picture.pixels)
    except (OSError, ValueError) as error:
        row["note"] = f"No picture: {error}".encode("utf-8", "backslashreplace").decode()
        return []
    row["windows"] = _windows(pair, shown)
    notes = []
    if len(pictures) < pair.count:
        notes.append(f"{len(pictures)} of {pair.count} slices are on this page, which is limited in size.")
    if first.factor > 1:
        notes.append(f"Shown at 1/{first.factor} of its size, averaged, which hides a part of the noise.")
    row["note"] = " ".join(notes)
    in_order = sorted(pictures)
    for index in in_order:
        row["pictures"].append({"slice": index, "aspect": pair.aspect, "places": [], **pictures[index].description()})
    places = image.audit["shown"]["places"]
    circles = [(place["row"] + 0.5, place["column"] + 0.5, 2 * place["scale"] + 4) for place in places]
    row["pictures"][in_order.index(shown)]["places"] = [[value / first.factor for value in each] for each in circles]
    return [pictures[index] for index in in_order]


def _windows(pair: ImagePair, shown: int) -> list[dict[str, Any]]:
    """The gray scales that the page offers, the default first."""
    before = pair.slices(shown)[0]
    low, high = float(before.min()), float(before.max())
    windows: dict[str, tuple[float, float]] = {}
    if pair.eight_bit:
        windows["As stored"] = (0, 255)
    if pair.hounsfield:
        windows |= CT_WINDOWS
    if before.ndim == 2:
        contrast = tuple(float(value) for value in np.percentile(before, CONTRAST_PERCENTILES))
        windows["Contrast" if not pair.hounsfield else "Automatic"] = contrast
    if not pair.eight_bit:
        windows["Full range"] = (low, high)
    named = []
    for name, (black, white) in windows.items():
        white = white if white > black else black + 1.0
        black, white = (white, black) if pair.inverted else (black, white)
        named.append({"name": name, "low": black, "high": white})
    return named


def _summary(rows: list[dict[str, Any]]) -> str:
    count, found = len(rows), sum(bool(row["warnings"]) for row in rows)
    return f"{count} image{'s' * (count != 1)}, {found or 'none'} with findings."


def _note(rows: list[dict[str, Any]], limit: int) -> str:
    shown = sum(bool(row["pictures"]) for row in rows)
    if shown == len(rows):
        return ""
    return (
        f"{shown} of {len(rows)} images have pictures on this page, those with findings first; its pictures are "
        f"limited to {limit / 2**20:.3g} MB. The table lists all images."
    )


def _json(values: Any) -> str:
    # No name can end the block that holds it.
    text = json.dumps(values, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _fill(blocks: list[str]) -> str:
    here = Path(__file__)
    template, style, script = (here.with_suffix(suffix).read_text("utf-8") for suffix in (".html", ".css", ".js"))
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    parts = {"POLICY": policy, "STYLE": style, "DATA": "\n".join(blocks), "SCRIPT": script}
    return re.sub("@([A-Z]+)@", lambda match: parts[match[1]], template)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
