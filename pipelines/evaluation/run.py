# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Running a bundle's evaluation from Python."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn

from ...bundles import bundle_path
from ...listing import check_known
from ..bundle.config import network_from_config, root_cause
from ..bundle.weights import load_weights
from .score_table import ScoreTable, read_scores
from .settings import EvaluationSettings

__all__ = ["ScoredNetwork", "evaluate_into", "load_network", "run_evaluation", "run_evaluation_config"]

BUNDLE = "multimodal_denoising"
THROUGH = ("network", "product")


@dataclass(frozen=True)
class ScoredNetwork:
    """A network with its weights, under the name that the tables give it.

    Attributes:
        name: its name in the tables.
        weights: the file with its weights.
        network: the network that the weights belong to; None for the bundle's own.
    """

    name: str
    weights: str | os.PathLike
    network: nn.Module | None = None

    @classmethod
    def from_config(cls, name: str, weights: str | os.PathLike, config: str | os.PathLike | None) -> ScoredNetwork:
        """Take the network from the ``network_def`` of a config file; the bundle's own when ``config`` is None.

        Raises:
            ValueError: when the config cannot be used; the message names the file.
        """
        return cls(name, weights, None if config is None else network_from_config(config))

    def overrides(self) -> dict[str, Any]:
        """Return the network as keys and values of ``evaluate.yaml``."""
        network = {} if self.network is None else {"network_def": self.network}
        return {"method": self.name, "weights": str(self.weights), **network}


def evaluate_into(
    folder: str | os.PathLike,
    manifest: str | os.PathLike,
    settings: EvaluationSettings,
    network: ScoredNetwork | None = None,
    references: Sequence[str] = (),
) -> pd.DataFrame:
    """Score a network and references into a folder; scores that the folder already has are not computed again.

    Args:
        folder: the folder of the scores.
        manifest: manifest of the images.
        settings: which images, under which noise.
        network: the network to score; None scores the references alone.
        references: names in :data:`~noisewise.pipelines.evaluation.REFERENCES`.

    Returns:
        All rows of the folder; see :func:`~noisewise.pipelines.evaluation.read_scores`.

    Raises:
        ValueError: when the manifest, the weights or a condition is not valid, or the folder has scores of another
            setup.
        ImportError: when a reference's package is not installed.
    """
    overrides = {
        "manifest": str(manifest),
        "output_dir": str(folder),
        "bundle_root": str(bundle_path(BUNDLE)),
        "references": list(references),
        "picture": None,
        "track": False,
        **settings.overrides(),
        **({"method": None} if network is None else network.overrides()),
    }
    return read_scores(run_evaluation(overrides).scores_path)


def load_network(weights: str | os.PathLike, config: str | os.PathLike | None = None) -> tuple[nn.Module, str]:
    """Build a network and load its weights.

    Args:
        weights: the file.
        config: file with the ``network_def``; the bundle's own network when None.

    Returns:
        The network and the weights' SHA-256.

    Raises:
        ValueError: when one of the files cannot be used; the message names it.
    """
    network = network_from_config(bundle_path(BUNDLE) / "configs" / "evaluate.yaml" if config is None else config)
    return network, load_weights(network, weights)


def run_evaluation(overrides: Mapping[str, Any]) -> ScoreTable:
    """Run the multimodal bundle's ``evaluate.yaml``.

    Args:
        overrides: keys of that config and their values.

    Returns:
        The folder's table of scores.

    Raises:
        ValueError, OSError, ImportError: when a value, a file or a package is at fault.
        RuntimeError: MONAI's, when anything else fails.
    """
    return run_evaluation_config(BUNDLE, overrides).get_parsed_content("table")


def run_evaluation_config(bundle: str, overrides: Mapping[str, Any]) -> ConfigParser:
    """Run a bundle's ``evaluate.yaml``.

    Args:
        bundle: its name.
        overrides: keys of that config and their values, and ``through``: ``"network"`` scores the network alone,
            ``"product"`` as :func:`noisewise.denoise` runs it, by the overlay ``through_product.yaml``.

    Returns:
        The config, with the objects that it has made.

    Raises:
        ValueError, OSError, ImportError: when a value, a file or a package is at fault.
        RuntimeError: MONAI's, when anything else fails.
    """
    # Otherwise MONAI warns that the bundle's logging.conf is not used.
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    overrides = dict(overrides)
    through = overrides.pop("through", "network")
    check_known("through", through, THROUGH)
    overlay = [] if through == "network" else [f"through_{through}.yaml"]
    configs = bundle_path(bundle) / "configs"
    workflow = ConfigWorkflow(
        [str(configs / name) for name in ("evaluate.yaml", *overlay)],
        logging_file=False,
        run_id="evaluating",
        workflow_type="inference",
        **overrides,
    )
    try:
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    except Exception as error:
        # MONAI wraps every error in a RuntimeError; the cause is the one to tell a user.
        cause = root_cause(error)
        if cause is not error and isinstance(cause, (ValueError, OSError, ImportError)):
            raise cause from error
        raise
    return workflow.parser
