# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Functions and classes that the bundles call from their configs, and the reading of such configs."""
