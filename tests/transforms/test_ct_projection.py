# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch

from noisewise.transforms import KERNELS, ParallelBeam, ReconstructionKernel

transform = pytest.importorskip("skimage.transform")

# A kernel so wide that only the ramp has an effect.
RAMP = ReconstructionKernel(cutoff=1e6)


def disk(size: int, row: float, column: float, radius: float, value: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return value * ((y - row) ** 2 + (x - column) ** 2 < radius**2).float()


def test_line_integrals_of_a_disk_are_its_chords():
    beam = ParallelBeam(size=128, pixel_mm=0.5, views=8)
    sinogram = beam.project(disk(128, 63.5, 63.5, 40, 0.02))
    offset = (torch.arange(beam.bins) - (beam.bins - 1) / 2) * beam.bin_mm
    chord = 0.02 * 2 * torch.sqrt((20.0**2 - offset**2).clamp(min=0))
    inside = offset.abs() < 18  # the rim of a disk made of pixels is not round
    assert torch.allclose(sinogram[:, inside], chord[inside].expand(8, -1), atol=0.02)


def test_projection_equals_that_of_scikit_image():
    image = disk(96, 40, 55, 20, 1.0) + disk(96, 60, 30, 8, 2.0)
    beam = ParallelBeam(size=96, pixel_mm=1.0, views=12)
    # scikit-image's y axis points upward.
    theirs = transform.radon(image.flip(0).numpy(), theta=np.arange(12) * 15.0, circle=False).T
    ours = beam.project(image).numpy()
    assert np.allclose(ours.sum(1), theirs.sum(1), rtol=2e-3)
    bins = np.arange(beam.bins)[None], np.arange(theirs.shape[1])[None]
    # The same rays: the projections' centers of mass agree, once counted from the middle of the detector.
    ours_at = (ours * (bins[0] - (beam.bins - 1) / 2)).sum(1) / ours.sum(1)
    theirs_at = (theirs * (bins[1] - theirs.shape[1] // 2)).sum(1) / theirs.sum(1)
    assert np.allclose(ours_at, theirs_at, atol=0.75)  # scikit-image rotates about a pixel, not about the middle


@pytest.mark.parametrize("size, pixel_mm", [(128, 0.7), (127, 1.3)])
def test_reconstruction_gives_the_attenuation_back(size, pixel_mm):
    image = disk(size, 50, 70, 30, 0.02)
    beam = ParallelBeam(size, pixel_mm, views=180)
    back = beam.reconstruct(beam.project(image), RAMP)
    assert back.shape == image.shape
    assert float(back[40:60, 60:80].mean()) == pytest.approx(0.02, rel=0.01)
    assert float(back[5:15, 5:15].mean()) == pytest.approx(0, abs=2e-4)


def test_the_middle_of_the_image_stays_where_it_is():
    image = disk(64, 20, 44, 3, 1.0)
    back = ParallelBeam(64, 1.0, views=120)
    found = back.reconstruct(back.project(image), RAMP)
    rows, columns = (found.sum(axis) for axis in (1, 0))
    peak = np.unravel_index(int(found.argmax()), found.shape)
    assert abs(peak[0] - 20) <= 2 and abs(peak[1] - 44) <= 2
    assert rows.argmax() == pytest.approx(20, abs=1) and columns.argmax() == pytest.approx(44, abs=1)


def test_a_part_equals_that_part_of_the_whole():
    beam = ParallelBeam(80, 0.7, views=60)
    filtered = beam.filter(torch.randn(60, beam.bins, generator=torch.Generator().manual_seed(0)), KERNELS["soft"])
    whole = beam.back_project(filtered)
    part = beam.back_project(filtered, slice(10, 42), slice(33, 51))
    assert part.shape == (32, 18)
    assert torch.allclose(part, whole[10:42, 33:51], atol=1e-6)


def test_noise_power_rises_with_the_ramp_and_falls_with_the_kernel():
    """White noise in the projections: the image's spectrum is f * A(f)**2."""
    beam = ParallelBeam(128, 0.7, views=360)
    kernel = ReconstructionKernel(cutoff=0.4)
    generator = torch.Generator().manual_seed(1)
    power = torch.zeros(128, 128)
    for _ in range(3):
        power += torch.fft.fft2(beam.reconstruct(torch.randn(360, beam.bins, generator=generator), kernel)).abs() ** 2
    frequency = torch.hypot(*torch.meshgrid(torch.fft.fftfreq(128, 0.7), torch.fft.fftfreq(128, 0.7), indexing="ij"))
    edges = torch.arange(0.06, 0.5, 0.04)
    measured = torch.stack([power[(frequency > low) & (frequency <= low + 0.04)].mean() for low in edges])
    middle = edges + 0.02
    # Linear interpolation between bins multiplies the spectrum by sinc**2 squared.
    expected = middle * kernel.response(middle) ** 2 * torch.sinc(middle * 0.7) ** 4
    ratio = measured / expected
    assert float(ratio.std() / ratio.mean()) < 0.15


def test_kernels():
    frequency = torch.tensor([0.0, 0.3, 0.6])
    for kernel in KERNELS.values():
        assert float(kernel.response(frequency)[0]) == 1
    soft, sharp = (KERNELS[name].response(frequency) for name in ("soft", "sharp"))
    assert bool((soft[1:] < sharp[1:]).all()) and float(sharp[2]) > 1 > float(soft[2])
    assert float(ReconstructionKernel(2.0, 2.0, 0.5).response(torch.tensor(1.0))) == pytest.approx(
        1.125 * math.exp(-0.25)
    )


@pytest.mark.parametrize("arguments", [{"cutoff": 0}, {"cutoff": 1, "order": 0}, {"cutoff": 1, "boost": -1}])
def test_impossible_kernels_are_refused(arguments):
    with pytest.raises(ValueError, match="cutoff"):
        ReconstructionKernel(**arguments)


@pytest.mark.parametrize("arguments", [{"size": 1}, {"pixel_mm": 0}, {"views": 0}, {"bins": -1}, {"bin_mm": -0.1}])
def test_impossible_geometries_are_refused(arguments):
    with pytest.raises(ValueError, match="positive"):
        ParallelBeam(**{"size": 8, "pixel_mm": 1.0} | arguments)


# cycles/mm, cutoff, order and boost as docs/low_dose_ct.md states them
@pytest.mark.parametrize(("name", "cutoff", "order", "boost"), [("soft", 0.371, 1.8, 0.76), ("sharp", 0.954, 1, 4.2)])
def test_kernels_have_their_published_response(name, cutoff, order, boost):
    frequency = torch.linspace(0, 1.5, 16, dtype=torch.float64)
    x = frequency / cutoff
    expected = (1 + boost * x**2) * torch.exp(-(x**order))
    torch.testing.assert_close(KERNELS[name].response(frequency), expected)
