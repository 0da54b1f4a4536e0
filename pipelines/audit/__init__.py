# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The residual audit: whether a denoiser removed noise or anatomy."""
