# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The view of an experiment that MLflow's pages open: curves and panels, without sections that stay empty.

MLflow keeps a view that one user shares with others in a tag of the experiment, and its pages open the view that an
address names. Charts of metrics that the view does not list are added by the pages themselves.
"""

from __future__ import annotations

import json
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment

__all__ = ["PANEL_KEY", "experiment_page", "share_view"]

NAME = "noisewise"
TAG = f"mlflow.sharedViewState.{NAME}"
PANEL_KEY = "val/panel_{}"
PANELS = "panels"
PANEL_HEIGHT = 420
MOST_PANELS = 16


def experiment_page(experiment_id: str = "1") -> str:
    """The page of an experiment's charts, with the view of :func:`share_view`.

    Args:
        experiment_id: its number; the first experiment of a store is 1.

    Returns:
        The part of the address after the server's, such as ``"/#/experiments/1/runs?..."``.
    """
    # Without workflowType, MLflow opens its pages for chat applications.
    query = f"viewStateShareKey={NAME}&compareRunsMode=CHART&workflowType=machine_learning"
    return f"/#/experiments/{experiment_id}/runs?{query}"


def share_view(client: MlflowClient, experiment: Experiment, panels: int) -> None:
    """Store the view in an experiment; MLflow's errors are raised.

    Args:
        client: of the store.
        experiment: the experiment.
        panels: number of validation images that are drawn; a view that has as many already stays as it is.
    """
    before = experiment.tags.get(TAG)
    if before is None or _panels(before) < min(panels, MOST_PANELS):
        client.set_experiment_tag(experiment.experiment_id, TAG, json.dumps(_view(min(panels, MOST_PANELS))))


def _view(panels: int) -> dict[str, Any]:
    shared = {"display": True, "isReordered": False, "deleted": False, "isGenerated": True}
    sections = [{"uuid": name, "name": name, **shared} for name in ("train", "val")]
    if panels:
        # One wide chart a row, so that the images of several runs are side by side.
        sections.insert(0, {"uuid": PANELS, "name": PANELS, "columns": 1, "cardHeight": PANEL_HEIGHT, **shared})
    charts = [
        {
            "uuid": f"panel_{index}",
            "type": "IMAGE",
            "metricSectionId": PANELS,
            "imageKeys": [PANEL_KEY.format(index)],
            "step": 0,
            # MLflow would write all parameters over every image.
            "showRunParams": False,
            "deleted": False,
            "isGenerated": True,
            "runsCountToCompare": 10,
        }
        for index in range(panels)
    ]
    return {"compareRunSections": sections, "compareRunCharts": charts}


def _panels(view: str) -> int:
    try:
        return len(json.loads(view)["compareRunCharts"])
    except (ValueError, KeyError, TypeError):
        return 0
