# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``monailabel start_server --app FOLDER`` loads: it looks for a class of this file on ``MONAILabelApp``."""

from noisewise.pipelines.monai_label.app import DenoisingApp

__all__ = ["DenoisingApp"]
