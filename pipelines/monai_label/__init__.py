# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The app of a MONAI Label server: denoises on request, and shows the noisiest images first."""
