# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands of ``noisewise``, one file each. No other room imports this one."""
