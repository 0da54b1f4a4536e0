# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""noisewise: two-stage denoising of medical images, built on MONAI."""

__version__ = "0.2.0"
