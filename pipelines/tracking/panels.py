# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures that show at a glance what a denoiser does to an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

__all__ = ["denoising_panel"]

NOISE_GAIN = 2.0
ERROR_GAIN = 4.0
_CAPTION_HEIGHT = 22
_GAP = 4


def denoising_panel(item: Mapping[str, Any], size: int = 256) -> np.ndarray:
    """Draw noisy | noise estimate | denoised | clean | absolute error side by side.

    The tiles show pixels as they are, cut out of the middle of a larger image, never resampled: scaling would smooth
    the very noise that the panel is about. The gains are fixed, so panels of different runs compare.

    Args:
        item: ``image`` (noisy), ``label`` (clean) and ``pred`` (denoised), channel-first in MONAI's order of axes
            (C, X, Y) or (C, X, Y, Z) on the 0..255 scale; perhaps ``noise_estimate``, signed in units of [0, 1].
            Without an estimate the tile shows what was removed. Of a volume the middle slice is shown.
        size: largest width and height of a tile.

    Returns:
        8-bit RGB picture (height, width, 3). The noise is drawn two times as strong about a middle grey, the error
        four times as strong.
    """
    noisy, clean, denoised = (_tile(item[key], size) for key in ("image", "label", "pred"))
    if item.get("noise_estimate") is None:
        noise, noise_name = noisy - denoised, "noise removed"
    else:
        noise, noise_name = 255.0 * _tile(item["noise_estimate"], size), "noise estimate"
    tiles = {
        f"noisy {_psnr(noisy, clean)}": noisy,
        f"{noise_name} x{NOISE_GAIN:g}": 127.5 + NOISE_GAIN * noise,
        f"denoised {_psnr(denoised, clean)}": denoised,
        "clean": clean,
        f"|error| x{ERROR_GAIN:g}": ERROR_GAIN * np.abs(denoised - clean),
    }
    height, width = noisy.shape[:2]
    # Captions need some width, however small the image.
    step = max(width, 150) + _GAP
    panel = Image.new("RGB", (step * len(tiles) - _GAP, height + _CAPTION_HEIGHT), "white")
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(size=14)
    for index, (caption, tile) in enumerate(tiles.items()):
        draw.text((index * step + 2, 2), caption, fill="black", font=font)
        pixels = np.nan_to_num(tile).clip(0.0, 255.0).round().astype(np.uint8)
        panel.paste(Image.fromarray(pixels), (index * step, _CAPTION_HEIGHT))
    return np.asarray(panel)


def _tile(image: Any, size: int) -> np.ndarray:
    # The plain tensor: a MetaTensor's file name and header must not travel with the pixels.
    tensor = torch.as_tensor(image).detach().as_subclass(torch.Tensor).float().cpu()
    if tensor.ndim == 4:
        tensor = tensor[..., tensor.shape[-1] // 2]
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3):
        raise ValueError(f"expected (1 or 3, X, Y) or (1 or 3, X, Y, Z), got shape {tuple(tensor.shape)}.")
    left, top = ((length - min(length, size)) // 2 for length in tensor.shape[1:])
    tensor = tensor[:, left : left + size, top : top + size]
    return tensor.expand(3, -1, -1).permute(2, 1, 0).numpy()


def _psnr(image: np.ndarray, clean: np.ndarray) -> str:
    error = float(np.mean((image - clean) ** 2))
    return "inf dB" if error == 0 else f"{10 * np.log10(255.0**2 / error):.1f} dB"
