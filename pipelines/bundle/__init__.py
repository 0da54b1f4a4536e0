# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Functions and classes for the bundles' configs, and reading of such configs."""
