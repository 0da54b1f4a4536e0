# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise mlflow-demo``: a store with several runs in it, and MLflow's pages that show it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..bundle.config import root_cause
from ..tracking import demo

__all__ = ["mlflow_demo"]

# The demo's is the first experiment of a store of its own; without the last word the pages of chat applications open.
PAGE = "#/experiments/1/runs?workflowType=machine_learning"


def mlflow_demo(
    output: Annotated[Path, typer.Option(help="Folder of the store; a demo that it holds is shown again.")] = Path(
        "runs/mlflow_demo"
    ),
    serve: Annotated[bool, typer.Option(help="Whether the pages are served until Ctrl-C.")] = True,
    port: Annotated[int, typer.Option(help="Port of the pages, on 127.0.0.1.", min=1, max=65535)] = 5000,
) -> None:
    """Train a few methods briefly on the embedded images, all into one MLflow store, and serve its pages.

    Takes some minutes; shows comparisons, curves, image panels and registered models, not what the methods can do.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        if not demo.demo_is_complete(output):
            demo.build_demo(output, report=console.print)
    except (ValueError, OSError, RuntimeError) as error:
        if os.environ.get("NOISEWISE_TRACEBACK"):
            raise
        errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        errors.print(f"error: {root_cause(error)}", style="red")
        raise typer.Exit(1) from error
    if os.environ.get("MLFLOW_TRACKING_URI"):
        console.print(f"The runs are in the store that MLFLOW_TRACKING_URI names, experiment '{demo.EXPERIMENT}'.")
        return
    command = demo.server_command(demo.store_uri(output / demo.STORE), port)
    console.print(shlex.join(command))
    if serve:
        console.print(f"MLflow's pages (Ctrl-C ends them): http://127.0.0.1:{port}/{PAGE}")
        # No usage reports, like the runs; and none of the processes that judge the answers of chat applications.
        ours = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        try:
            status = subprocess.run(command, env={**ours, **os.environ}).returncode
        except KeyboardInterrupt:
            return
        raise typer.Exit(status)
