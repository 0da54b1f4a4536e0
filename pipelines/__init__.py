# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training, evaluation and inference built on the networks and transforms."""
