# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The paper's comparison: equal-budget training of all methods, and every table and figure from weights and logs."""
