# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``--no-skips``: a test that would be skipped, because a tool or package is missing, fails instead.

So does a run without a single test. ``--may-skip`` names the tools that may be missing all the same.
"""

from __future__ import annotations

import os

import pytest

# Tests import ONNX Runtime themselves; its reports' thread (see pipelines/engines/onnx_engine.py) has no place here.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

SKIPPED = pytest.StashKey[bool]()


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="Fail where a test would be skipped.")
    parser.addoption("--may-skip", action="append", default=[], metavar="TEXT", help="Allow skips for this reason.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    return _strict((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _strict((yield), collector.config)


def _strict(report, config):
    if config.getoption("no_skips") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if any(text in reason for text in config.getoption("may_skip")):
            config.stash[SKIPPED] = True
        else:
            report.outcome, report.longrepr = "failed", f"{reason} (--no-skips)"
    return report


def pytest_sessionfinish(session, exitstatus):
    config, empty = session.config, exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
    if empty and config.getoption("no_skips") and not config.stash.get(SKIPPED, False):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
