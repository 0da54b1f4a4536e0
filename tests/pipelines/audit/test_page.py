# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The page holds what it should, within its limit, and no name reaches it as HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from noisewise.pipelines.audit.page import write_page


class Page(HTMLParser):
    """The tags of a page, and the text of its scripts and its style."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts, self.now = [], {}, None
        self.text = path.read_text("utf-8")
        self.feed(self.text)
        self.report = json.loads(self.texts["report"])

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.now = dict(attributes).get("id", tag) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.now = None

    def handle_data(self, data):
        if self.now:
            self.texts[self.now] = self.texts.get(self.now, "") + data


def test_rows_come_worst_first(tmp_path, make_image):
    images = [make_image("good"), make_image("bad", lesion=0), make_image("volume", count=4, lesion=2)]
    page = Page(write_page(tmp_path / "new" / "page.html", images))
    rows = page.report["images"]
    assert [row["name"] for row in rows] == ["bad", "volume", "good"]
    assert [row["severity"] for row in rows] == [3, 2, 1]
    assert page.report["summary"] == "3 images, 2 with findings." and page.report["note"] == ""
    assert rows[0]["marked"] == ["places"] and rows[2]["marked"] == []
    assert rows[1]["shown"] == 2 and [each["slice"] for each in rows[1]["pictures"]] == [0, 1, 2, 3]
    # The circle of the lesion is on the slice that has it.
    assert [len(each["places"]) for each in rows[1]["pictures"]] == [0, 0, 1, 0]
    row, column, _ = rows[1]["pictures"][2]["places"][0]
    assert abs(row - 32) < 5 and abs(column - 21) < 5
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["page.html"]


def test_names_cannot_leave_their_place(tmp_path, make_image, hostile_name):
    plain = Page(write_page(tmp_path / "plain.html", [make_image("a")]))
    page = Page(write_page(tmp_path / "hostile.html", [make_image(hostile_name)]))
    assert page.tags == plain.tags and page.report["images"][0]["name"] == hostile_name
    assert "<img" not in page.text and page.texts["script"] == plain.texts["script"]
    odd = Page(write_page(tmp_path / "odd.html", [make_image("\udcff\u2028.png")]))
    assert odd.report["images"][0]["name"] == "\\udcff\u2028.png"


def test_the_page_loads_nothing_and_runs_its_own_script_only(tmp_path, make_image):
    page = Page(write_page(tmp_path / "page.html", [make_image("a", hounsfield=True)]))
    assert not re.search("https?:", page.text.replace("http://www.w3.org/2000/svg", ""))
    assert not [tag for tag, attributes in page.tags if {"src", "href"} & set(attributes)]
    (policy,) = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.texts[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy


def test_windows(tmp_path, make_image):
    def windows(**pair):
        page = Page(write_page(tmp_path / "page.html", [make_image("a", **pair)]))
        return {each["name"]: (each["low"], each["high"]) for each in page.report["images"][0]["windows"]}

    ct = windows(hounsfield=True)
    assert list(ct) == ["Soft tissue", "Lung", "Bone", "Brain", "Automatic", "Full range"]
    assert ct["Soft tissue"] == (-160, 240) and ct["Lung"] == (-1350, 150) and ct["Brain"] == (0, 80)
    assert list(windows(eight_bit=True)) == ["As stored", "Contrast"]
    assert list(windows(eight_bit=True, color=True)) == ["As stored"]
    low, high = windows(inverted=True)["Full range"]
    assert low > 100 > high


def test_the_limit_holds_and_what_is_left_out_is_named(tmp_path, make_image):
    images = [make_image(f"{index}", count=20) for index in range(6)] + [make_image("bad", lesion=0)]
    limit = 100_000
    page = Page(write_page(tmp_path / "page.html", images, limit))
    rows = page.report["images"]
    used = sum(len(text) for name, text in page.texts.items() if name.startswith("pixels-"))
    assert limit / 2 < used <= limit
    assert rows[0]["name"] == "bad" and len(rows[0]["pictures"]) == 1
    volumes = [row for row in rows[1:] if row["pictures"]]
    assert volumes and all(1 <= len(row["pictures"]) < 20 for row in volumes)
    assert all(f"{len(row['pictures'])} of 20 slices" in row["note"] for row in volumes)
    assert all(row["shown"] in [each["slice"] for each in row["pictures"]] for row in volumes)

    small = Page(write_page(tmp_path / "page.html", images, 15_000)).report
    without = [row for row in small["images"] if not row["pictures"]]
    assert without and all("no space" in row["note"] for row in without)
    assert small["note"].startswith(f"{7 - len(without)} of 7 images have pictures")


def test_an_image_that_cannot_be_read_keeps_its_row(tmp_path, make_image):
    def read():
        raise OSError("a.png: is gone")

    page = Page(write_page(tmp_path / "page.html", [replace(make_image("a"), read=read)]))
    (row,) = page.report["images"]
    assert row["note"] == "No picture: a.png: is gone" and row["pictures"] == [] and row["std"] > 5


@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_the_gain_follows_what_was_removed(tmp_path, make_image, strength):
    image = make_image("a", strength=strength)
    (row,) = Page(write_page(tmp_path / "page.html", [image])).report["images"]
    assert row["gainLimit"] == pytest.approx(3 * 10 * strength, rel=0.05) and row["std"] == pytest.approx(10, rel=0.05)


def test_an_empty_page(tmp_path):
    assert Page(write_page(tmp_path / "page.html", [])).report["summary"] == "0 images, none with findings."


def test_the_template_is_installed():
    root = Path(__file__).resolve().parents[3]
    data = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = sorted(path.name for path in (root / "pipelines" / "audit").iterdir() if path.suffix not in (".py", ""))
    assert sorted(data["noisewise.pipelines.audit"]) == files == ["page.css", "page.html", "page.js"]
