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

from .console import user_errors

__all__ = ["mlflow_demo"]


def mlflow_demo(
    output: Annotated[Path, typer.Option(help="Folder of the store; an existing demo is shown again.")] = Path(
        "runs/mlflow_demo"
    ),
    serve: Annotated[bool, typer.Option(help="Serve the pages until Ctrl-C.")] = True,
    port: Annotated[int, typer.Option(help="Port of the pages, on 127.0.0.1.", min=1, max=65535)] = 5000,
) -> None:
    """Train a few methods briefly on the embedded images, all into one MLflow store, and serve its pages.

    This takes a few minutes. It shows comparisons, curves, image panels and registered models; so short a training does
    not show the quality of the methods.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with user_errors(RuntimeError):
        from ..tracking import demo
        from ..tracking.view import experiment_page

        if not demo.demo_is_complete(output):
            demo.build_demo(output, report=console.print)
    if os.environ.get("MLFLOW_TRACKING_URI"):
        console.print(f"The runs are in the store that MLFLOW_TRACKING_URI names, experiment '{demo.EXPERIMENT}'.")
        return
    command = demo.server_command(demo.store_uri(output / demo.STORE), port)
    console.print(f"results: {output}")
    console.print(shlex.join(command))
    if serve:
        # The demo is the first experiment of its own store.
        console.print(f"MLflow's pages (stop with Ctrl-C): http://127.0.0.1:{port}{experiment_page()}")
        # No usage reports, as in the runs, and no processes that evaluate chat applications.
        ours = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        try:
            status = subprocess.run(command, env={**ours, **os.environ}).returncode
        except KeyboardInterrupt:
            return
        raise typer.Exit(status)
