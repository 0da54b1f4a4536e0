# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""How every command ends after an error and after Ctrl-C."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from noisewise.pipelines.cli.app import app
from noisewise.pipelines.cli.console import TRACEBACK, fail, fail_if_any, printable, say, user_errors

MISSING = {
    "denoise": (["denoise", "nowhere.png", "out.png"], 2),
    "manifest": (["manifest", "verify", "nowhere.csv"], 1),
    "evaluate": (["evaluate", "--manifest", "nowhere.csv", "--no-track", "--output", "out"], 1),
    "evaluate-numbers": (["evaluate", "--stds", "many"], 1),
    "reproduce": (["reproduce", "train", "--manifest", "nowhere.csv", "--methods", "nowhere"], 1),
    "low-dose-ct": (["low-dose-ct", "evaluate", "--manifest", "nowhere.csv", "--only", "nothing"], 1),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(TRACEBACK, raising=False)


@pytest.mark.parametrize(("words", "status"), MISSING.values(), ids=MISSING)
def test_an_error_is_one_line_or_a_traceback_where_that_is_wanted(words, status, monkeypatch):
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, len(result.stderr.splitlines())) == (status, 1), result.output
    assert result.stderr.startswith("error: ") or words[0] == "denoise"
    monkeypatch.setenv(TRACEBACK, "1")
    result = CliRunner().invoke(app, words)
    assert not isinstance(result.exception, SystemExit) and isinstance(
        result.exception, (ValueError, OSError, RuntimeError)
    )


def raised_in(error, *others, **options):
    with pytest.raises(typer.Exit) as ended, user_errors(*others, **options):
        raise error
    return ended.value.exit_code


def test_an_error_within_an_error_of_monai_is_named(capsys):
    within = RuntimeError("Failed to evaluate")
    within.__cause__ = ValueError("no [b]device[/b] \udcff")
    assert raised_in(within) == 1
    assert capsys.readouterr().err == "error: no [b]device[/b] \\udcff\n"


def test_status_and_prefix_are_the_commands_own(capsys):
    assert raised_in(OSError("no"), status=2, prefix="") == 2
    assert capsys.readouterr().err == "no\n"


def test_bugs_keep_their_traceback(capsys):
    for bug in (RuntimeError("x"), TypeError("x"), KeyError("x")):
        with pytest.raises(type(bug)), user_errors():
            raise bug
    assert raised_in(RuntimeError("x"), RuntimeError) == 1
    assert capsys.readouterr().err == "error: x\n"


def test_an_exit_within_is_kept(capsys):
    assert raised_in(typer.Exit(7), RuntimeError) == 7
    assert capsys.readouterr().err == ""


def test_ctrl_c_is_one_line(capsys):
    assert raised_in(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted.\n"


def test_failed_rows_are_named(capsys):
    class Row:
        def __init__(self, name, outcome):
            self.name, self.outcome = name, outcome

    fail_if_any([Row("a", "done")], "not trained")
    with pytest.raises(typer.Exit):
        fail_if_any([Row("a", "done"), Row("b", "failed"), Row("c", "failed")], "not trained")
    assert capsys.readouterr().err == "error: not trained: b, c.\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x1b]0;title\x07", r"a\x1b[31mred\x1b]0;title\x07"),
        ("\x9b2J\x7f\r\b", r"\x9b2J\x7f\r\x08"),
        ("gnp.\u202edoc\u2066", r"gnp.\u202edoc\u2066"),
        ("Größe 10\u00a0µm 日本 \U0001f600", "Größe 10\u00a0µm 日本 \U0001f600"),
        ("\udcff", r"\udcff"),
    ],
)
def test_terminals_obey_no_name(capsys, text, shown):
    say(text)
    with pytest.raises(typer.Exit):
        fail(text)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{shown}\n", f"error: {shown}\n")


def test_a_name_of_two_lines_is_one_line(capsys):
    assert printable("a\nerror: b", lines=False) == r"a\nerror: b"
    assert printable("first\nsecond") == "first\nsecond"


def test_file_names_with_escapes_are_shown_escaped(tmp_path):
    name = "evil\x1b[2J\nerror: all is lost.png"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(b"no PNG")
    for words in (["in", "out"], ["in", "out", "--dry-run"], [f"in/{name}", "out.png"], ["in/\x1b[2J.txt", "out"]):
        result = CliRunner().invoke(app, ["denoise", *words])
        shown = result.stdout + result.stderr
        assert "\x1b" not in shown and r"\x1b" in shown
