# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The paper's comparison: all methods trained at an equal budget, and the tables and figures made from them."""
