# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The MONAI Deploy application: a folder of DICOM series in, the denoised series out."""

from .cuda_runtime import preload_cuda_runtime

# Before anything here imports the App SDK, which cannot be imported without it.
preload_cuda_runtime()
