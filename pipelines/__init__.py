# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training, evaluation and inference built on the networks and transforms."""

from . import moved  # noqa: F401 - makes the old names of modules known
