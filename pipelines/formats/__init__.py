# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing files so that everything but the denoised pixels stays as it was."""

from .stack import FormatError, ImageStack

__all__ = ["FormatError", "ImageStack"]
