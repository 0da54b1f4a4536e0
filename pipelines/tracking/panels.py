# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures that show the effect of a denoiser on an image at a glance."""

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
    """Draw an image before and after denoising, in two rows of three tiles.

    ======== ============== ====================================
    noisy    denoised       clean
    noise    noise estimate absolute error, mean of the channels
    ======== ============== ====================================

    The tiles show unchanged pixels, cropped from the middle of a larger image and never resampled: scaling would
    smooth the noise that the panel is meant to show. The gains are fixed, so panels of different runs are comparable.

    Args:
        item: ``image`` (noisy) and ``label`` (clean); ``pred`` (denoised), without which its tiles stay white; all
            channel-first in MONAI's order of axes, (C, X, Y) or (C, X, Y, Z), on the 0..255 scale; and optionally
            ``noise_estimate``, signed in units of [0, 1], without which its tile shows the removed noise. For a
            volume the middle slice is shown.
        size: largest width and height of a tile.

    Returns:
        8-bit RGB picture (height, width, 3). Noise is amplified twofold about a middle gray, the error
        fourfold.
    """
    noisy, clean = (_tile(item[key], size) for key in ("image", "label"))
    denoised = None if item.get("pred") is None else _tile(item["pred"], size)
    tiles = {
        (0, 0): (f"noisy {_psnr(noisy, clean)}", noisy),
        (0, 2): ("clean", clean),
        (1, 0): (f"noise x{NOISE_GAIN:g}", 127.5 + NOISE_GAIN * (noisy - clean)),
    }
    if denoised is not None:
        estimate = item.get("noise_estimate")
        name = "noise removed" if estimate is None else "noise estimate"
        noise = noisy - denoised if estimate is None else 255.0 * _tile(estimate, size)
        error = np.abs(denoised - clean).mean(-1, keepdims=True).repeat(3, -1)
        tiles[0, 1] = (f"denoised {_psnr(denoised, clean)}", denoised)
        tiles[1, 1] = (f"{name} x{NOISE_GAIN:g}", 127.5 + NOISE_GAIN * noise)
        tiles[1, 2] = (f"|error| x{ERROR_GAIN:g}", ERROR_GAIN * error)
    # Captions need some width, however small the image.
    across = max(noisy.shape[1], 150) + _GAP
    down = noisy.shape[0] + _CAPTION_HEIGHT
    panel = Image.new("RGB", (3 * across - _GAP, 2 * down), "white")
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(size=14)
    for (row, column), (caption, tile) in tiles.items():
        draw.text((column * across + 2, row * down + 2), caption, fill="black", font=font)
        pixels = np.nan_to_num(tile).clip(0.0, 255.0).round().astype(np.uint8)
        panel.paste(Image.fromarray(pixels), (column * across, row * down + _CAPTION_HEIGHT))
    return np.asarray(panel)


def _tile(image: Any, size: int) -> np.ndarray:
    # A plain tensor: the file name and header of a MetaTensor must not go along with the pixels.
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
