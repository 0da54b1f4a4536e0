# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The app of a MONAI Label server: denoising on request, and the noisiest images first."""
