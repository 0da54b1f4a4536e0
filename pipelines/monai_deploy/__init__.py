# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The MONAI Deploy application: denoises the DICOM series of a folder."""

from .cuda_runtime import preload_cuda_runtime

# The App SDK cannot be imported without it.
preload_cuda_runtime()
