# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing DICOM, one series at a time."""

import lazy_loader

# What the package exports is listed in __init__.pyi, and each module is imported when a name of it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
