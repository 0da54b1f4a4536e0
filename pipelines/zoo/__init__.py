# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Self-contained copies of the bundles for MONAI's model zoo, which checks them without this package."""

from .bundle_copy import copy_bundle
from .modules import ZooError

__all__ = ["ZooError", "copy_bundle"]
