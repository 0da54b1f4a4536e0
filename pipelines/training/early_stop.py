# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Early stopping that a checkpoint can keep."""

from __future__ import annotations

from typing import Any

from monai.handlers import EarlyStopHandler

__all__ = ["ResumableEarlyStop"]


class ResumableEarlyStop(EarlyStopHandler):
    """``monai.handlers.EarlyStopHandler`` whose best score and count are part of a training checkpoint.

    MONAI's own starts counting anew when a run is resumed. Arguments as in the parent class.
    """

    def state_dict(self) -> dict[str, Any]:
        """The count of validations without a better score, and the best score (None before the first)."""
        return {} if self._handler is None else dict(self._handler.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`; the trainer must have been set."""
        if state_dict and self._handler is not None:
            self._handler.load_state_dict(state_dict)
