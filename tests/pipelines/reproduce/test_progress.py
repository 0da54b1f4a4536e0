# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from noisewise.pipelines.reproduce.progress import TrainingWatch, duration, numbered


def test_lines_begin_with_their_place():
    lines = []
    for name, report in numbered(["a", "b"], lines.append):
        report(f"{name}: scoring")
    assert lines == ["[1/2] a: scoring", "[2/2] b: scoring"]


def test_a_single_item_has_no_number():
    lines = []
    for name, report in numbered(["a"], lines.append):
        report(name)
    assert lines == ["a"]


def test_late_lines_keep_their_place():
    lines = []
    reports = [report for _, report in numbered("ab", lines.append)]
    reports[0]("late")
    assert lines == ["[1/2] late"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (720, "12 min"), (7140, "119 min"), (7200, "2 h 00 min"), (12000, "3 h 20 min")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.fixture
def history(tmp_path):
    def write(*epochs):
        (tmp_path / "validation.jsonl").write_text("".join(json.dumps({"epoch": epoch}) + "\n" for epoch in epochs))

    write.path = tmp_path / "validation.jsonl"
    return write


def test_the_time_left_follows_from_the_epochs_of_this_attempt(history):
    lines = []
    watch = TrainingWatch(history.path, begun=4, epochs=10, report=lines.append)
    watch.look(30)
    history(1, 2, 3, 4)
    watch.look(90)
    assert lines == []
    history(1, 2, 3, 4, 5, 6)
    watch.look(600)
    assert lines == ["epoch 6 of 10, about 20 min left"]


def test_no_line_is_repeated_or_hasty_and_the_last_epoch_is_left_to_others(history):
    lines = []
    watch = TrainingWatch(history.path, begun=0, epochs=4, report=lines.append)
    history(1)
    watch.look(59)
    assert lines == []
    watch.look(61)
    watch.look(200)
    history(1, 2)
    watch.look(100)
    history(1, 2, 3, 4)
    watch.look(1000)
    assert lines == ["epoch 1 of 4, about 3 min left"]


def test_a_line_that_is_being_written_is_no_error(history):
    lines = []
    history.path.write_text('{"epoch": 1}\n{"epo')
    TrainingWatch(history.path, 0, 4, lines.append).look(100)
    assert lines == []
