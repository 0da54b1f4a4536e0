# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The MLflow runs of the bundles' evaluations."""

from __future__ import annotations

import pytest

from noisewise.data_manifest import Manifest
from noisewise.pipelines.tracking import bundle_evaluation

# function, module of the scores, name of the reader, further arguments
KINDS = [
    (bundle_evaluation.log_comparison, "evaluation", "read_scores", {}),
    (bundle_evaluation.log_low_dose_ct, "low_dose_ct", "read_rows", {"scored": {"dose": 0.25}}),
]


@pytest.mark.parametrize(("log", "module", "reader", "more"), KINDS)
def test_scores_digest_and_counts_become_a_run(monkeypatch, tmp_path, store, client, log, module, reader, more):
    read = []
    scores = getattr(bundle_evaluation, module)
    monkeypatch.setattr(scores, reader, lambda path: read.append(path) or "scores")
    monkeypatch.setattr(
        scores, "summary_metrics", lambda table: {"method": {"psnr": 30.0 if table == "scores" else 0.0}}
    )
    monkeypatch.setattr(Manifest, "read", classmethod(lambda cls, path: cls([], path)))
    params = {"split": "test", "window": [40, 400]}
    run_id = log(
        tmp_path,
        manifest="my.csv",
        split="test",
        images=[{}, {}],
        params=params,
        tracking_uri=store,
        run_name="mine",
        **more,
    )
    assert read == [tmp_path / "scores.csv"]
    run = client.get_run(run_id)
    assert run.info.run_name == "mine" and run.data.metrics == {"test/method/psnr": 30.0}
    logged = {key: value for key, value in run.data.params.items() if not key.startswith("data.")}
    assert logged == {"split": "test", "window": "[40, 400]", **({"dose": "0.25"} if more else {})}
    assert run.data.params["data.test"] == "2" and run.data.params["data.digest"]
