# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``monailabel start_server --app FOLDER`` loads this file and looks for a subclass of ``MONAILabelApp`` in it."""

from noisewise.pipelines.monai_label.app import DenoisingApp

__all__ = ["DenoisingApp"]
