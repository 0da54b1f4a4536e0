# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Methods are read from their config files, and errors name the file."""

from __future__ import annotations

import pytest

from noisewise.networks import TwoStageWithoutAttention
from noisewise.pipelines.reproduce.methods import MethodError, choose_methods, read_methods


def test_a_method_is_one_file_and_the_order_is_its_own(methods_folder, method_writer):
    assert [method.name for method in read_methods(methods_folder)] == ["two_stage", "twn"]
    method_writer(methods_folder, "newcomer", order=1.5, title="Newcomer", standing="re-interpreted")
    found = read_methods(methods_folder)
    assert [method.name for method in found] == ["two_stage", "newcomer", "twn"]
    assert found[0].published == "TwoStage" and found[1].published is None
    assert [method.marked_title for method in found] == ["Two-stage", "Newcomer\u2020", "Twn"]
    assert isinstance(found[2].network(), TwoStageWithoutAttention)


def test_methods_are_chosen_by_name(methods_folder):
    found = read_methods(methods_folder)
    assert choose_methods(found, None) == found == choose_methods(found, ["twn", "two_stage"])
    with pytest.raises(MethodError, match="unknown method 'dncn'; choose from two_stage, twn"):
        choose_methods(found, ["dncn"])


# what the file holds, what the message says
MISTAKES = {
    "yaml": ("method_info: [", "cannot be read"),
    "no info": ("network_def: {}\n", "has no 'method_info'"),
    "key": ("method_info: {name: bad, title: Bad}\n", "lacks order, published, standing, single_stage, reference"),
    "name": (
        "{name: other, title: B, order: 1, published: null, standing: ours, single_stage: no, reference: r}",
        "must equal the file's name",
    ),
    "standing": (
        "{name: bad, title: B, order: 1, published: null, standing: great, single_stage: no, reference: r}",
        "'great'; it must be one of ours",
    ),
    "single": (
        "{name: bad, title: B, order: 1, published: null, standing: ours, single_stage: 2, reference: r}",
        "'single_stage' is 2",
    ),
    "order": (
        "{name: bad, title: B, order: x, published: null, standing: ours, single_stage: no, reference: r}",
        "'order' is 'x'",
    ),
    "no network": (
        "{name: bad, title: B, order: 1, published: null, standing: ours, single_stage: no, reference: r}",
        "has no 'network_def'",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_bad_file_is_named(tmp_path, text, message):
    content = text if text.startswith(("method_info", "network_def")) else f"method_info: {text}\n"
    (tmp_path / "bad.yaml").write_text(content)
    with pytest.raises(MethodError, match=r"bad\.yaml") as raised:
        read_methods(tmp_path)
    assert message in str(raised.value)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(MethodError, match="has no method"):
        read_methods(tmp_path)
