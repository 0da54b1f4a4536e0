# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from monai.transforms import Compose

from noisewise.transforms import (
    AIR_HU,
    PHOTONS_PER_MA,
    LineIntegralsd,
    LowDoseCT,
    LowDoseCTd,
    LowDoseRecord,
    RandLowDoseCropd,
    RandLowDoseCT,
    line_integrals,
    low_dose_noise,
)

WATER_PER_MM = 0.0192


def phantom(height: int = 96, width: int = 96, rows: float = 30, columns: float = 30) -> torch.Tensor:
    """An ellipse of water in air, ``(1, H, W)`` in HU."""
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    return torch.where((y / rows) ** 2 + (x / columns) ** 2 < 1, 0.0, -1000.0)[None]


def noise(image: torch.Tensor, mA: float = 10, kernel: str = "soft", seed: int = 0, **settings) -> torch.Tensor:
    dose = settings.pop("dose", 0.25)
    record = LowDoseRecord(dose, mA * PHOTONS_PER_MA, kernel, 1.0, seed)
    return low_dose_noise(line_integrals(image[0], 2.0), image.shape[1:], record, 2.0, **settings)


def inner(values: torch.Tensor) -> torch.Tensor:
    return values[36:60, 36:60]


def test_line_integrals_are_the_attenuation_along_the_rays():
    integrals = line_integrals(phantom()[0], pixel_mm=2.0)
    assert float(integrals.max()) == pytest.approx(120 * WATER_PER_MM, rel=0.02)
    # A body that is moved to one side moves in the views but keeps its mass.
    moved = line_integrals(torch.roll(phantom()[0], 10, 1), pixel_mm=2.0)
    assert torch.allclose(moved.sum(1), integrals.sum(1), rtol=2e-3)


def test_the_noise_has_no_mean_and_scales_as_photons_do():
    image = phantom()
    level = inner(noise(image)).std()
    assert abs(float(inner(noise(image)).mean())) < 0.1 * float(level)
    ratio = float(inner(noise(image, mA=40, seed=1)).std() / inner(noise(image, mA=10, seed=2)).std())
    assert ratio == pytest.approx(0.5, rel=0.1)
    # (1 - a) / a: 3 at a quarter of the dose, 1 at half of it.
    ratio = float(inner(noise(image, dose=0.5, seed=3)).std() / inner(noise(image, dose=0.25, seed=4)).std())
    assert ratio == pytest.approx(3**-0.5, rel=0.1)


def test_the_noise_grows_with_the_body_as_the_exponential_says():
    """Water of 40 mm more: exp(40 mm * 0.0192 / mm / 2) times the noise, in the middle of a round body."""
    thin, thick = phantom(rows=25, columns=25), phantom(rows=35, columns=35)
    levels = [torch.stack([inner(noise(image, seed=s)).std() for s in range(3)]).mean() for image in (thin, thick)]
    assert float(levels[1] / levels[0]) == pytest.approx(np.exp(40 * WATER_PER_MM / 2), rel=0.08)


def test_against_the_analytic_variance_of_filtered_back_projection():
    """No body, so that each reading has the same variance: sigma**2 = var_p * pi**2 / views * sum(h**2)."""
    record = LowDoseRecord(0.25, 1e9, "soft", 1.0, 5)
    image = torch.full((96, 96), -1000.0)
    values = low_dose_noise(line_integrals(image, 0.7), image.shape, record, 0.7)
    views, bin_mm = 480, 0.7
    reading = 3 / (1e9 * bin_mm / views)  # (1 - a) / (a N)
    frequency = np.abs(np.fft.fftfreq(4096, bin_mm))
    kernel = record.reconstruction_kernel.response(torch.from_numpy(frequency)).numpy()
    # Readings are interpolated between two bins, w and 1 - w: averaged over w this leaves (2 + cos) / 3 of the power.
    weighted = np.mean((frequency * kernel) ** 2 * (2 + np.cos(2 * np.pi * frequency * bin_mm)) / 3)
    expected = np.sqrt(reading * np.pi**2 / views * weighted) * 1000 / WATER_PER_MM
    assert float(values[24:72, 24:72].std()) == pytest.approx(expected, rel=0.06)


def test_noise_runs_along_the_long_axis_of_the_body():
    """An ellipse that is wider than high: few photons pass along its width, which makes horizontal streaks."""
    image = phantom(rows=18, columns=44)
    along = torch.zeros(2)
    for seed in range(2):
        part = noise(image, seed=seed)[40:56, 30:66]
        along += torch.stack([(part[:, 1:] * part[:, :-1]).mean(), (part[1:] * part[:-1]).mean()]) / part.var()
    assert float(along[0]) > float(along[1]) + 0.2
    # A tube current that follows the attenuation makes the noise more even.
    even = noise(image, seed=9, modulation=0.5)[40:56, 30:66]
    assert float(even.std()) < float(noise(image, seed=9)[40:56, 30:66].std())


def test_a_sharp_kernel_gives_more_and_finer_noise():
    image = phantom()
    integrals = line_integrals(image[0], 0.7)
    soft, sharp = (
        inner(low_dose_noise(integrals, (96, 96), LowDoseRecord(0.25, 1e7, kernel, 1.0, 2), 0.7))
        for kernel in ("soft", "sharp")
    )
    assert float(sharp.std()) > 1.5 * float(soft.std())
    neighbors = [float((each[:, 1:] * each[:, :-1]).mean() / each.var()) for each in (soft, sharp)]
    assert neighbors[0] > neighbors[1] + 0.2


def test_electronic_noise_adds_to_thick_bodies_most():
    gains = []
    for radius in (15, 40):
        image = phantom(rows=radius, columns=radius)
        gains.append(float(inner(noise(image, seed=1, electronic=60)).std() / inner(noise(image, seed=1)).std()))
    assert gains[0] < gains[1] and gains[1] > 1.02


def test_starved_readings_stay_finite():
    values = noise(phantom(rows=45, columns=45), mA=1e-4)
    assert bool(torch.isfinite(values).all())


def test_the_image_keeps_its_sharpness_and_its_kind():
    image = phantom()
    lower = LowDoseCT(photons=1e15, pixel_mm=2.0)  # so many photons that nothing is added; and nothing is blurred
    assert torch.allclose(lower(image), image, atol=0.05)
    stored = image.to(torch.int16).numpy()
    made = LowDoseCT(photons=20 * PHOTONS_PER_MA, pixel_mm=2.0)(stored)
    assert isinstance(made, np.ndarray) and made.dtype == np.int16 and made.shape == stored.shape
    assert made.min() == AIR_HU and not np.array_equal(made, stored)


def test_replay_is_exact_and_seeds_differ():
    image = phantom()
    random = RandLowDoseCT(pixel_mm=2.0)
    random.set_random_state(seed=4)
    drawn = random(image)
    replayed = LowDoseCT(**random.record.as_dict(), pixel_mm=2.0)(image)
    assert torch.equal(drawn, replayed)
    assert torch.equal(random(image, randomize=False), drawn)
    assert not torch.equal(random(image), drawn)


def test_draws_lie_in_their_ranges():
    random = RandLowDoseCT((0.1, 0.5), (1e8, 1e9), ("sharp",), (0.9, 1.1))
    random.set_random_state(seed=0)
    for _ in range(50):
        random.randomize()
        record = random.record
        assert 0.1 <= record.dose <= 0.5 and 1e8 <= record.photons <= 1e9
        assert record.kernel == "sharp" and 0.9 <= record.scale <= 1.1


@pytest.mark.parametrize("shape", [(96, 64), (64, 96), (65, 96)])
def test_slices_that_are_not_square(shape):
    image = phantom(*shape, rows=20, columns=20)
    values = noise(image)
    assert tuple(values.shape) == shape
    # The same body in a square of air has the same noise.
    assert float(values[shape[0] // 2 - 8 : shape[0] // 2 + 8].std()) > 0


def test_a_patch_equals_that_part_of_the_whole_slice():
    item = {"image": phantom()}
    made = Compose(
        [LineIntegralsd("image", pixel_mm=2.0), RandLowDoseCropd("image", (32, 24), pixel_mm=2.0, body_share=0.9)]
    )
    made.set_random_state(seed=3)
    patch = made(item)
    assert patch["image"].shape == patch["label"].shape == (1, 32, 24) and "line_integrals" not in patch
    top, left = made.transforms[1].corner
    whole = LowDoseCTd("image", pixel_mm=2.0)({**item, "low_dose": patch["low_dose"]})
    cut = (slice(None), slice(top, top + 32), slice(left, left + 24))
    assert torch.allclose(patch["image"], whole["image"][cut], atol=1e-3)
    assert torch.equal(patch["label"], item["image"][cut])
    assert float((patch["label"] > -500).float().mean()) >= 0.9


def test_patches_repeat_with_the_seed():
    item = LineIntegralsd("image", pixel_mm=2.0)({"image": phantom()})
    made = [RandLowDoseCropd("image", (16, 16), pixel_mm=2.0).set_random_state(seed=8)(item) for _ in range(2)]
    assert torch.equal(made[0]["image"], made[1]["image"])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: LowDoseCT(dose=1.0), "dose"),
        (lambda: LowDoseCT(photons=0), "photons"),
        (lambda: LowDoseCT(kernel="bone"), "kernel"),
        (lambda: LowDoseCT(pixel_mm=0), "pixel_mm"),
        (lambda: LowDoseCT(electronic=-1), "electronic"),
        (lambda: RandLowDoseCT(dose_range=(0.5, 0.2)), "dose_range"),
        (lambda: RandLowDoseCT(dose_range=(0.5, 1.0)), "dose_range"),
        (lambda: RandLowDoseCT(kernels=()), "kernels"),
        (lambda: RandLowDoseCropd("image", (0, 3)), "roi_size"),
        (lambda: RandLowDoseCropd(["a", "b"], (3, 3)), "one key"),
        (lambda: LowDoseCT()(torch.zeros(1, 16, 16)), "Hounsfield"),
        (lambda: LowDoseCT()(torch.full((1, 16, 16), float("nan"))), "Hounsfield"),
        (lambda: LowDoseCT()(torch.full((2, 16, 16), -1000.0)), "one CT slice"),
        (lambda: LowDoseCTd("image")({"image": phantom()}), "nothing to replay"),
        (
            lambda: RandLowDoseCropd("image", (99, 9))(LineIntegralsd("image")({"image": phantom()})),
            "does not fit",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_line_integrals_of_another_image_are_refused():
    record = LowDoseRecord(0.25, 1e8, "soft", 1.0, 0)
    with pytest.raises(ValueError, match="bins"):
        low_dose_noise(torch.zeros(96, 40), (96, 96), record, 0.7)


# docs/low_dose_ct.md: cutoff in cycles/mm, order and boost of the kernel.
PUBLISHED = {"soft": (0.371, 1.8, 0.76), "sharp": (0.954, 1.0, 4.2)}


def expected_std(kernel: str, reading: float, bin_mm: float) -> float:
    """Noise in HU of filtered back-projection, from the variance of a reading and the published kernel."""
    cutoff, order, boost = PUBLISHED[kernel]
    frequency = np.abs(np.fft.fftfreq(4096, bin_mm))
    x = frequency / cutoff
    response = frequency * (1 + boost * x**2) * np.exp(-(x**order))
    weighted = np.mean(response**2 * (2 + np.cos(2 * np.pi * frequency * bin_mm)) / 3)
    return float(np.sqrt(reading * np.pi**2 / 480 * weighted) * 1000 / WATER_PER_MM)


@pytest.mark.parametrize("kernel", PUBLISHED)
def test_the_noise_of_a_tube_current_follows_from_the_published_constants(kernel):
    """300 mA at a quarter of the dose: 1.14e6 photons per mm and mA, in air."""
    image = torch.full((1, 96, 96), -1000.0)
    lower = LowDoseCT(dose=0.25, photons=300 * PHOTONS_PER_MA, kernel=kernel, pixel_mm=0.7, electronic=0, modulation=0)
    values = lower.noise(line_integrals(image[0], 0.7), (96, 96))
    reading = 3 / (300 * 1.14e6 * 0.7 / 480)
    assert float(values[24:72, 24:72].std()) == pytest.approx(expected_std(kernel, reading, 0.7), rel=0.04)


@pytest.mark.parametrize("dose", [0.1, 0.25, 0.5])
def test_electronic_noise_is_that_of_the_lower_dose_less_that_of_the_normal_one(dose):
    """Its part of a reading's variance is e**2 (1 / (a N)**2 - 1 / N**2), written for the N a / (1 - a) photons."""
    image = torch.full((96, 96), -1000.0)
    record = LowDoseRecord(dose, 1e10, "soft", 1.0, 5)
    photons, electronic = 1e10 * 0.7 / 480, 1e5
    values = low_dose_noise(line_integrals(image, 0.7), image.shape, record, 0.7, electronic=electronic)
    reading = (1 - dose) / (dose * photons) + electronic**2 * (1 / (dose * photons) ** 2 - 1 / photons**2)
    assert electronic**2 > 10 * photons  # it outweighs the photons' own noise
    assert float(values[24:72, 24:72].std()) == pytest.approx(expected_std("soft", reading, 0.7), rel=0.06)
