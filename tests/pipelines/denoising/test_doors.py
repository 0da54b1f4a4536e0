# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Same pixels, same result: the command, the function, the transform, MONAI's loader and the bundle's transforms."""

from __future__ import annotations

import shutil
import warnings

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged
from PIL import Image
from pydicom.data import get_testdata_file
from scipy.ndimage import gaussian_filter

import noisewise
from noisewise.pipelines.bundle.inferer import DenoisingInferer
from noisewise.pipelines.denoising.denoiser import get_denoiser
from noisewise.pipelines.denoising.jobs import denoise_source, read_source
from noisewise.pipelines.denoising.settings import DenoisingSettings
from noisewise.pipelines.denoising.sources import find_sources
from noisewise.transforms import LoadMedicalImaged, ScaleFromUnitRanged, ScaleToUnitRanged, intensity
from noisewise.transforms.intensity import IntensityRangeWarning

EXACT = {"engine": "torch", "precision": "float32"}


@pytest.fixture(autouse=True)
def fresh_warnings():
    intensity._warned.clear()


def unit_image(seed=0, shape=(40, 44), sigma=0.08):
    """Smooth structure from black to white, and noise that overshoots it."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=shape), 6)
    smooth = np.clip(1.4 * (smooth - smooth.min()) / np.ptp(smooth) - 0.2, 0, 1)
    return smooth, smooth + rng.normal(0, sigma, shape)


def eight_bit():
    clean, noisy = unit_image()
    return 255 * clean, np.rint(np.clip(255 * noisy, 0, 255)).astype(np.uint8)


def by_command(path):
    (source,) = find_sources(path, path.with_name(f"out_{path.name}")).sources
    settings = DenoisingSettings(**EXACT, model="multimodal_denoising")
    return denoise_source(read_source(source, settings), settings).slices[0]


def by_loader(path):
    loaded = Compose([LoadImaged("image"), noisewise.Denoised("image", **EXACT)])({"image": str(path)})["image"]
    assert isinstance(loaded, MetaTensor)
    return loaded.numpy().swapaxes(0, 1)


def by_bundle(path):
    item = Compose([LoadMedicalImaged("image"), ScaleToUnitRanged("image")])({"image": str(path)})
    network = get_denoiser(DenoisingSettings(**EXACT, model="multimodal_denoising")).model.network
    with torch.no_grad():
        item["pred"] = DenoisingInferer(pass_through=True, transpose=True)(item["image"][None].as_tensor(), network)[0]
    return np.moveaxis(ScaleFromUnitRanged("pred")(item)["pred"].numpy(), 0, -1).swapaxes(0, 1).squeeze()


def rmse(image, clean):
    return float(np.sqrt(np.mean((np.asarray(image, np.float64) - clean) ** 2)))


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: a.astype(np.int64),
        lambda a: a.astype(np.int32),
        lambda a: a.astype(np.uint16),
        lambda a: a.astype(np.float32),
        lambda a: a.astype(np.float64),
        lambda a: a.tolist(),
        torch.from_numpy,
        lambda a: torch.from_numpy(a).long(),
        lambda a: torch.from_numpy(a).float(),
    ],
    ids=["int64", "int32", "uint16", "float32", "float64", "list", "tensor", "long tensor", "float tensor"],
)
@pytest.mark.filterwarnings("ignore::noisewise.transforms.intensity.IntensityRangeWarning")
def test_eight_bit_pixels_of_any_dtype_give_one_result(convert):
    clean, noisy = eight_bit()
    expected = noisewise.denoise(noisy, **EXACT)
    assert rmse(expected, clean) < rmse(noisy, clean) / 2
    result = np.asarray(noisewise.denoise(convert(noisy), **EXACT), np.float64)
    assert np.abs(np.clip(np.rint(result), 0, 255) - expected).max() <= 1
    assert (np.clip(np.rint(result), 0, 255) != expected).mean() < 1e-3


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.filterwarnings("ignore::noisewise.transforms.intensity.IntensityRangeWarning")
def test_a_png_gives_one_result_at_every_door(tmp_path, color):
    _, noisy = eight_bit()
    noisy = np.stack([noisy, noisy[::-1], noisy[:, ::-1]], -1) if color else noisy
    Image.fromarray(noisy).save(tmp_path / "a.png")
    expected = noisewise.denoise(noisy, **EXACT)
    assert np.array_equal(by_command(tmp_path / "a.png"), expected)
    for door in (by_loader, by_bundle):
        result = door(tmp_path / "a.png")
        assert np.abs(np.clip(np.rint(result), 0, 255) - expected).max() <= 1
    assert np.array_equal(noisewise.denoise(noisy.tolist(), **EXACT), expected)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
@pytest.mark.filterwarnings("ignore::noisewise.transforms.intensity.IntensityRangeWarning")
def test_twelve_bits_give_one_result_at_every_door(tmp_path, dtype):
    clean, noisy = unit_image(1)
    stored = np.rint(np.clip(4095 * noisy, 0, 4095)).astype(dtype)
    nibabel.save(nibabel.Nifti1Image(stored.T[..., None], np.eye(4)), tmp_path / "a.nii")
    expected = noisewise.denoise(stored, **EXACT)
    assert rmse(expected, 4095 * clean) < rmse(stored, 4095 * clean) / 2
    tolerance = 1 if stored.dtype.kind != "f" else 0.05
    assert np.abs(by_command(tmp_path / "a.nii") - expected.astype(float)).max() <= tolerance
    assert np.abs(by_loader(tmp_path / "a.nii")[..., 0] - expected).max() <= 1
    assert np.abs(noisewise.denoise(torch.from_numpy(stored), **EXACT).numpy() - expected.astype(float)).max() == 0
    for wide in (np.int32, np.int64, np.float64):
        result = np.clip(noisewise.denoise(stored.astype(wide), **EXACT), stored.min(), None)
        assert np.abs(result - expected.astype(float)).max() <= (1 if np.dtype(wide).kind == "i" else tolerance)


def test_hounsfield_units_are_denoised_where_something_states_them_and_refused_elsewhere(tmp_path):
    clean, noisy = unit_image(2, sigma=0.02)
    hu = np.rint(2000 * noisy - 1000).astype(np.int16)
    expected = noisewise.denoise(hu, intensity_range=(-1000, 1000), **EXACT)
    assert rmse(expected, 2000 * clean - 1000) < rmse(hu, 2000 * clean - 1000) / 2
    with pytest.raises(ValueError, match=r"negative.*Hounsfield units, pass intensity_range=\(-1000, 1000\)"):
        noisewise.denoise(hu, **EXACT)
    stated = MetaTensor(torch.from_numpy(hu).T[None].float(), meta={"00080060": {"vr": "CS", "Value": ["CT"]}})
    result = noisewise.Denoised("image", **EXACT)({"image": stated})["image"]
    assert np.abs(np.rint(result[0].numpy().T) - expected).max() <= 1
    ct_model = noisewise.denoise(hu, model="low_dose_ct_denoising", **EXACT)
    stated = {"model": "low_dose_ct_denoising", "intensity_range": (-1000, 1000), **EXACT}
    assert np.array_equal(ct_model, noisewise.denoise(hu, **stated))
    nibabel.save(nibabel.Nifti1Image(hu.T[..., None], np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"Hounsfield units, pass --modality ct"):
        by_command(tmp_path / "a.nii")


@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.3])
def test_floats_in_the_unit_range_stay_there_however_strong_the_noise(tmp_path, sigma):
    _, noisy = unit_image(3, sigma=sigma)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IntensityRangeWarning)
        result = noisewise.denoise(noisy.astype(np.float32), **EXACT)
    stated = noisewise.denoise(noisy.astype(np.float32), intensity_range=(0, 1), **EXACT)
    assert np.array_equal(result, stated)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(noisy.astype(np.float32)[None]), str(tmp_path / "a.mha"))
    assert np.abs(by_command(tmp_path / "a.mha") - result).max() < 1e-5


def test_floats_of_the_scale_255_with_noise_are_denoised():
    clean, noisy = unit_image(4)
    with pytest.warns(IntensityRangeWarning, match=r"0 is black.*intensity_range=\(low, high\) states another"):
        result = noisewise.denoise((255 * noisy).astype(np.float32), **EXACT)
    assert rmse(result, 255 * clean) < rmse(255 * noisy, 255 * clean) / 2


def test_black_with_noise_is_no_hounsfield_image():
    rng = np.random.default_rng(0)
    clean = np.zeros((60, 60))
    clean[20:40, 20:40] = 200
    noisy = (clean + rng.normal(0, 25, clean.shape)).astype(np.float32)
    with pytest.warns(IntensityRangeWarning):
        result = noisewise.denoise(noisy, **EXACT)
    assert rmse(result, clean) < rmse(noisy, clean) / 2


def test_a_guess_warns_once_and_a_stated_range_never():
    _, noisy = eight_bit()
    with pytest.warns(IntensityRangeWarning, match="8-bit gray levels: 0 is black and 255 is white"):
        noisewise.denoise(noisy.astype(np.int64), **EXACT)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IntensityRangeWarning)
        noisewise.denoise(noisy.astype(np.int64), **EXACT)
        noisewise.denoise(noisy, **EXACT)
        noisewise.denoise(noisy.astype(np.uint16) * 16, intensity_range=(0, 4095), **EXACT)


def test_scaled_values_count_more_than_the_metadata_of_their_file(tmp_path):
    _, noisy = eight_bit()
    Image.fromarray(noisy).save(tmp_path / "a.png")
    image = LoadImaged("image", ensure_channel_first=True)({"image": str(tmp_path / "a.png")})["image"]
    scaled = noisewise.Denoised("image", **EXACT)({"image": image / 255})["image"] * 255
    plain = noisewise.Denoised("image", **EXACT)({"image": image})["image"]
    assert float((scaled - plain).abs().max()) < 0.01


def test_channel_first_tensors_are_told_from_slices():
    color = torch.rand(3, 20, 22)
    with pytest.raises(ValueError, match="channels or slices: pass channel_first=True"):
        noisewise.denoise(color, **EXACT)
    with pytest.raises(ValueError, match="channels or slices"):
        noisewise.denoise(color[None], **EXACT)
    expected = noisewise.denoise(color.permute(1, 2, 0).numpy(), **EXACT)
    result = noisewise.denoise(color, channel_first=True, **EXACT)
    assert result.shape == color.shape and np.allclose(result.permute(1, 2, 0).numpy(), expected, atol=1e-6)
    batch = noisewise.denoise(torch.stack([color, color.flip(1)]), channel_first=True, **EXACT)
    assert batch.shape == (2, 3, 20, 22) and torch.allclose(batch[0], result, atol=1e-6)
    assert np.allclose(noisewise.denoise(color.numpy(), channel_first=True, **EXACT), result.numpy(), atol=1e-6)
    stack = noisewise.denoise(color, channel_first=False, **EXACT)
    assert np.allclose(stack[1].numpy(), noisewise.denoise(color[1].numpy(), **EXACT), atol=1e-6)
    meta = noisewise.denoise(MetaTensor(color.swapaxes(1, 2)), **EXACT)
    assert torch.allclose(meta.as_tensor().swapaxes(1, 2), result, atol=1e-6)
    gray = torch.rand(2, 1, 8, 8)
    assert noisewise.denoise(gray, channel_first=True, **EXACT).shape == gray.shape


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((4, 4)), {"intensity_range": (1, 0)}, "the intensity range 1 0 is reversed; state the lower value"),
        (np.zeros((4, 4)), {"intensity_range": "auto"}, r"must be two numbers \(low, high\).*leave it out"),
        (np.zeros((4, 4)), {"intensity_range": 255}, r"must be two numbers \(low, high\)"),
        (np.zeros((4, 4)), {"intensity_range": (0, float("nan"))}, "not finite"),
        (np.zeros((0, 4)), {}, "the array is empty"),
        ([], {}, "expected"),
        ("scan.png", {}, "'scan.png' is a path, and noisewise.denoise takes arrays"),
        (np.ma.masked_equal(np.eye(4), 0), {}, "masked arrays are not supported"),
        (np.eye(4), {"device": "cuda:7"}, "there is no device 'cuda:7' here"),
        (np.eye(4) * np.nan, {}, "NaN"),
        (torch.rand(2, 5, 8, 8), {"channel_first": True}, "1 or 3 channels"),
    ],
)
def test_wrong_input_gets_one_helpful_line(array, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        noisewise.denoise(array, **EXACT, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sigma", [10, 25, 50, 75])
def test_floats_with_noise_outside_the_range_score_as_the_network_alone(sigma):
    rng = np.random.default_rng(sigma)
    clean = np.zeros((56, 56), np.float32)
    clean[:, 28:], clean[14:42, 14:42], clean[20:30, 30:40] = 1.0, 0.5, 0.2
    noisy = clean + rng.normal(0, sigma / 255, clean.shape).astype(np.float32)
    network = get_denoiser(DenoisingSettings(**EXACT, model="multimodal_denoising")).model.network
    with torch.no_grad():
        alone = DenoisingInferer()(torch.from_numpy(noisy)[None, None], network)[0, 0].numpy()
    result = noisewise.denoise(noisy, **EXACT)
    assert abs(20 * np.log10(rmse(np.clip(result, 0, 1), clean) / rmse(np.clip(alone, 0, 1), clean))) < 0.05


@pytest.mark.parametrize("level", [-5.0, -0.4, 1.3, 8.0])
def test_constants_far_outside_pass_unshifted_beside_an_image(level):
    smooth, noisy = unit_image(5, shape=(40, 80), sigma=0.02)
    image = np.concatenate([noisy, np.full((60, 80), level)]).astype(np.float32)
    result = noisewise.denoise(image, intensity_range=(0, 1), **EXACT)
    assert abs(float((result[60:] - level).mean())) < 0.004 and np.abs(result[60:] - level).max() < 0.03
    assert rmse(result[:30], smooth[:30]) < rmse(noisy[:30], smooth[:30])


def test_a_clean_image_keeps_its_mean():
    clean, _ = unit_image(6)
    image = clean.astype(np.float32)
    assert abs(float(noisewise.denoise(image, **EXACT).mean() - image.mean())) < 1e-3


def test_tiles_do_not_change_what_lies_outside():
    _, noisy = unit_image(7, shape=(150, 40), sigma=0.3)
    noisy[20:60, 5:20], noisy[100, 7], noisy[64:80] = -0.7, 30, 1.6
    image = noisy.astype(np.float32)
    whole = noisewise.denoise(image, intensity_range=(0, 1), **EXACT)
    tiled = noisewise.denoise(image, intensity_range=(0, 1), tile_size=23, **EXACT)
    assert np.abs(whole - tiled).max() < 1e-5


@pytest.mark.parametrize(("name", "limits"), [("CT_small.dcm", (-1000, 1000)), ("MR_small.dcm", None)])
@pytest.mark.filterwarnings("ignore::noisewise.transforms.intensity.IntensityRangeWarning")
def test_dicom_gives_one_result_through_the_command_and_the_loader(name, limits, tmp_path):
    path = tmp_path / name
    shutil.copy(get_testdata_file(name), path)
    loaded = Compose([LoadImaged("image"), noisewise.Denoised("image", **EXACT)])({"image": str(path)})["image"]
    (source,) = find_sources(path, tmp_path / "out.dcm").sources
    read = read_source(source, DenoisingSettings(**EXACT, model="multimodal_denoising"))
    assert limits is None or read.real_range == limits
    denoised = denoise_source(read, DenoisingSettings(**EXACT, model="multimodal_denoising")).slices[0]
    real = denoised * np.float64(read.stack.slope) + read.stack.intercept
    assert np.abs(loaded.numpy().T - real).max() <= 0.51
