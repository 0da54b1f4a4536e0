# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

import noisewise
from noisewise.pipelines.denoising import Denoiser
from noisewise.pipelines.denoising.function import to_slices

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 3), (2, 9, 11), (2, 9, 11, 3), (1, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_shape_and_dtype_are_kept(shape, dtype):
    array = (RNG.random(shape) * (255 if dtype == "uint8" else 1)).astype(dtype)
    before = array.copy()
    result = noisewise.denoise(array, engine="torch")
    assert isinstance(result, np.ndarray) and result.shape == shape and result.dtype == dtype
    assert np.array_equal(array, before)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int16]
)
def test_tensors_return_tensors(dtype):
    tensor = torch.from_numpy(RNG.random((8, 10)))
    tensor = (tensor * 200).to(dtype) if not dtype.is_floating_point else tensor.to(dtype)
    result = noisewise.denoise(tensor, engine="torch")
    assert isinstance(result, torch.Tensor) and result.dtype == dtype and result.shape == tensor.shape
    if dtype == torch.float32:
        assert np.array_equal(result.numpy(), noisewise.denoise(tensor.numpy(), engine="torch"))


def test_a_tensor_that_requires_grad_and_a_strided_one_are_read():
    tensor = torch.rand(8, 12, requires_grad=True)
    assert noisewise.denoise(tensor.T, engine="torch").shape == (12, 8)


def test_a_stack_is_its_slices():
    stack = RNG.random((3, 12, 14), dtype=np.float32)
    together = noisewise.denoise(stack, engine="torch")
    alone = np.stack([noisewise.denoise(image, engine="torch") for image in stack])
    assert np.abs(together - alone).max() < 1e-5


def test_a_stack_three_pixels_wide_can_be_told_from_color():
    stack = RNG.random((4, 6, 3), dtype=np.float32)
    as_stack = noisewise.denoise(stack, engine="torch", color=False)
    assert np.allclose(as_stack[1], noisewise.denoise(stack[1], engine="torch"), atol=1e-6)
    assert np.abs(as_stack - noisewise.denoise(stack, engine="torch")).max() > 1e-4


def test_a_stated_intensity_range_maps_to_black_and_white():
    image = RNG.integers(0, 4096, (16, 16)).astype(np.uint16)
    stated = noisewise.denoise(image, engine="torch", intensity_range=(0, 4095))
    unit = noisewise.denoise((image / 4095).astype(np.float32), engine="torch")
    assert np.abs(stated - unit * 4095.0).max() <= 0.6


def test_the_weights_are_loaded_once(monkeypatch):
    made = []
    init = Denoiser.__init__
    monkeypatch.setattr(Denoiser, "__init__", lambda self, *args, **kw: (made.append(1), init(self, *args, **kw))[1])
    for _ in range(3):
        noisewise.denoise(np.zeros((4, 4), np.float32), engine="torch", memory=123_456_789)
    assert made == [1]


def test_a_noisy_edge_comes_out_cleaner_and_in_place():
    clean = np.full((48, 48), 0.3, np.float32)
    clean[:, 24:] = 0.7
    noisy = clean + RNG.normal(0, 0.1, clean.shape).astype(np.float32)
    result = noisewise.denoise(noisy, engine="torch")
    assert ((result - clean) ** 2).mean() < ((noisy - clean) ** 2).mean() / 10
    crossings = np.argmax(result > 0.5, axis=1)
    assert np.abs(crossings - 24).max() <= 1


@pytest.mark.parametrize("level", [0, 50, 128, 255])
def test_a_constant_image_moves_by_at_most_one_gray_level_away_from_the_border(level):
    image = np.full((200, 200), level, np.uint8)
    moved = noisewise.denoise(image, engine="torch").astype(int) - level
    assert np.abs(moved[94:-94, 94:-94]).max() <= 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3), bool), "real numbers"),
        (np.zeros((2, 3), complex), "real numbers"),
        (np.zeros(5), "expected"),
        (np.zeros((2, 3, 4, 5)), "expected"),
        (np.full((3, 3), np.nan), "NaN"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(ValueError, match=message):
        noisewise.denoise(array, engine="torch")


def test_an_empty_stack_comes_back_empty():
    assert noisewise.denoise(np.zeros((0, 4, 4), np.uint8), engine="torch").shape == (0, 4, 4)


def test_a_missing_model_is_named():
    with pytest.raises(FileNotFoundError, match="nothing_denoising"):
        noisewise.denoise(np.zeros((4, 4)), model="nothing_denoising")


def test_views_are_not_copied():
    stack = np.zeros((2, 4, 4))
    assert to_slices(stack) is stack
    assert np.shares_memory(to_slices(stack[0]), stack)


def test_metatensors_are_accepted():
    assert noisewise.denoise(MetaTensor(torch.rand(5, 6)), engine="torch").shape == (5, 6)


def test_the_package_is_imported_without_torch():
    code = "import sys, noisewise; noisewise.__version__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_values_outside_the_range_pass_through_unshifted():
    image = np.full((40, 40), 0.5, np.float32)
    image[10:20, 10:20] = 1.75
    image[25:30, 25:30] = -0.5
    clipped = np.clip(image, 0, 1)
    change = noisewise.denoise(image, engine="torch", intensity_range=(0, 1)) - image
    expected = noisewise.denoise(clipped, engine="torch", intensity_range=(0, 1)) - clipped
    assert np.allclose(change, expected, atol=1e-6)
