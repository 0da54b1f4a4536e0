# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The residual audit: did a denoiser remove noise only, or anatomy too?"""
