# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Delta E: the perceived color difference, CIEDE2000."""

from __future__ import annotations

import math

import torch

from .base import DataRangeMetric, to_float64

__all__ = ["DeltaEMetric", "ciede2000", "rgb_to_lab"]

# Linear sRGB to CIE XYZ, and the D65 white of the 2 degree observer, with as many digits as in scikit-image.
_XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE_D65 = (0.95047, 1.0, 1.08883)


class DeltaEMetric(DataRangeMetric):
    """Mean CIEDE2000 color difference over the pixels of each image.

    Both images are converted from sRGB to CIE Lab (D65, 2 degree observer), and the difference of each pixel is
    averaged over the image. 0 means identical; about 1 is just noticeable; black against white is 100. Lower is better.
    Equal to ``skimage.color.deltaE_ciede2000(rgb2lab(y), rgb2lab(y_pred)).mean()``. CIE76, the plain distance in Lab,
    is another metric, whose values are 1.1 to 1.5 times larger.

    Inputs are ``(B, 1 or 3, *spatial)`` tensors or lists of ``(1 or 3, *spatial)`` tensors, whose sizes may differ, of
    any real type, with values in ``[0, data_range]``. One channel means gray, which is repeated to three;
    three mean RGB. Values outside the range are not clipped, so clip the prediction first if its pixels will be.

    Args:
        data_range: the value of full white: 255 for 8 bit, 1 for images in ``[0, 1]``.
        reduction, get_not_nans: as in :class:`monai.metrics.regression.RegressionMetric`.

    Raises:
        ValueError: when ``data_range`` is not positive and finite. When called: for inputs of unequal shapes, or with
            neither one nor three channels.

    Example::

        metric = DeltaEMetric(data_range=1.0)
        metric(y_pred=denoised, y=clean)  # (B, 1) float32, one value per image
        mean = metric.aggregate().item()
    """

    def _compute_metric(self, y_pred: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if y.shape[1] not in (1, 3) or y.ndim < 3:
            raise ValueError(
                "Delta E needs one (gray) or three (RGB) channels and at least one spatial axis, (B, C, *spatial), "
                f"got the shape {tuple(y.shape)}."
            )
        lab_pred, lab = (rgb_to_lab(_as_rgb(to_float64(x) / self.data_range)) for x in (y_pred, y))
        difference = ciede2000(lab, lab_pred).flatten(1).mean(1, keepdim=True)
        return difference.to(device=y_pred.device, dtype=torch.float32)


def rgb_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """Convert sRGB to CIE Lab under D65 and the 2 degree observer.

    The sRGB transfer curve, the matrix and the white point are those of ``skimage.color.rgb2lab``.

    Args:
        rgb: ``(N, 3, ...)``, in ``[0, 1]``; nothing is clipped.

    Returns:
        ``(N, 3, ...)`` float64: L in ``[0, 100]``, a and b in about ``[-128, 127]``.

    Raises:
        ValueError: when axis 1 does not hold three channels.
    """
    _check_three("rgb", rgb)
    rgb = to_float64(rgb)
    linear = torch.where(rgb > 0.04045, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    matrix = torch.tensor(_XYZ_FROM_RGB, dtype=rgb.dtype, device=rgb.device)
    white = torch.tensor(_WHITE_D65, dtype=rgb.dtype, device=rgb.device)
    xyz = torch.einsum("ij,nj...->ni...", matrix / white[:, None], linear)
    fx, fy, fz = torch.where(xyz > 0.008856, xyz.clamp(min=0) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(1)
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=1)


def ciede2000(lab1: torch.Tensor, lab2: torch.Tensor) -> torch.Tensor:
    """CIEDE2000 color difference, with the weights kL = kC = kH = 1.

    Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data, and
    mathematical observations", Color Research and Application 30(1), 2005. Computed in float64, because the last
    digits decide where two hues are nearly opposite. Not suited as a loss: the gradient is not finite where the colors
    are equal.

    Args:
        lab1: reference colors in CIE Lab, ``(N, 3, ...)``.
        lab2: colors to compare, of the same shape.

    Returns:
        ``(N, ...)`` float64, 0 or more.

    Raises:
        ValueError: when the shapes differ or axis 1 does not hold L, a and b.
    """
    _check_three("lab1", lab1)
    if lab1.shape != lab2.shape:
        raise ValueError(f"lab1 and lab2 must have one shape, got {tuple(lab1.shape)} and {tuple(lab2.shape)}.")
    l1, a1, b1 = to_float64(lab1).unbind(1)
    l2, a2, b2 = to_float64(lab2).unbind(1)

    # a is stretched near the gray axis, where Lab understates differences of chroma.
    stretch = 1.5 - 0.5 * _chroma_ratio((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = _hue(a1, b1), _hue(a2, b2)

    c_mean, l_offset = (c1 + c2) / 2, ((l1 + l2) / 2 - 50) ** 2
    hue_difference, hue_mean = _compare_hues(h1, h2, colorless=c1 * c2 == 0)
    t = (
        1
        - 0.17 * torch.cos(hue_mean - math.radians(30))
        + 0.24 * torch.cos(2 * hue_mean)
        + 0.32 * torch.cos(3 * hue_mean + math.radians(6))
        - 0.20 * torch.cos(4 * hue_mean - math.radians(63))
    )
    lightness = (l2 - l1) / (1 + 0.015 * l_offset / torch.sqrt(20 + l_offset))
    chroma = (c2 - c1) / (1 + 0.045 * c_mean)
    hue = 2 * torch.sqrt(c1 * c2) * torch.sin(hue_difference / 2) / (1 + 0.015 * c_mean * t)

    # In blue, chroma and hue are not independent; the cross term rotates the ellipses of equal difference.
    turn = math.radians(30) * torch.exp(-(((torch.rad2deg(hue_mean) - 275) / 25) ** 2))
    cross = -2 * _chroma_ratio(c_mean) * torch.sin(2 * turn)
    squared = lightness**2 + chroma**2 + hue**2 + cross * chroma * hue
    return squared.clamp(min=0).sqrt()


def _as_rgb(x: torch.Tensor) -> torch.Tensor:
    return x.expand(-1, 3, *x.shape[2:])


def _check_three(name: str, x: torch.Tensor) -> None:
    if x.ndim < 2 or x.shape[1] != 3:
        raise ValueError(f"{name} must have three channels in axis 1, (N, 3, ...), got the shape {tuple(x.shape)}.")


def _chroma_ratio(chroma: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def _hue(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Hue angle in radians, in ``[0, 2 pi)``."""
    angle = torch.atan2(b, a)
    return torch.where(angle < 0, angle + 2 * math.pi, angle)


def _compare_hues(h1: torch.Tensor, h2: torch.Tensor, colorless: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Signed difference and mean of two hues, both along the shorter arc of the circle.

    Where one of the colors has no chroma, and so no hue, the difference is 0 and the mean is the other's hue.
    """
    turn = 2 * math.pi
    difference, total = h2 - h1, h1 + h2
    wraps = difference.abs() > math.pi
    short = torch.where(wraps, difference - turn * difference.sign(), difference)
    mean = torch.where(wraps, torch.where(total < turn, total + turn, total - turn), total) / 2
    return short.masked_fill(colorless, 0), torch.where(colorless, total, mean)
