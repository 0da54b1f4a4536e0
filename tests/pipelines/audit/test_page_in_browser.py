# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The page is opened and used in a real browser: by the mouse, and by the keyboard alone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from noisewise.pipelines.audit.page import write_page

webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver")

OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --force-color-profile=srgb --window-size=1200,1000"
)
PIXELS = """
const canvas = document.getElementById(arguments[0]);
return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
"""


class Browser:
    """A page in Chromium."""

    def __init__(self, driver):
        self.driver = driver

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def names(self):
        return [cell.text for cell in self.driver.find_elements("css selector", "#images tbody td:first-child")]

    def pixels(self, name="before-after"):
        """Gray values of a canvas, ``(H, W)``."""
        size = self.driver.execute_script(f"const c = document.getElementById('{name}'); return [c.height, c.width]")
        return np.array(self.driver.execute_script(PIXELS, name)).reshape(*size, 4)[..., 0]

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self):
        return self.driver.switch_to.active_element

    def tab_to(self, identity):
        """Press Tab until an element has the focus."""
        for _ in range(40):
            self.press(Keys.TAB)
            if self.focused().get_attribute("id") == identity:
                return
        raise AssertionError(f"Tab does not reach {identity}")

    def wait(self, condition):
        WebDriverWait(self.driver, 60).until(lambda _: condition())


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS.split(), f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(option)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield Browser(driver)
    driver.quit()


@pytest.fixture
def page(tmp_path, browser, make_image, hostile_name):
    """A CT series with a finding in slice 1, a file with a hostile name and a color image, on the page."""
    images = [
        make_image("zebra.png", color=True, eight_bit=True),
        make_image(hostile_name, sigma=20.0, eight_bit=True),
        make_image("series", count=3, lesion=1, hounsfield=True),
    ]
    browser.images = {image.name: image for image in images}
    browser.driver.get(write_page(tmp_path / "page.html", images).as_uri())
    browser.wait(lambda: browser.pixels().any())
    yield browser
    # Neither an error nor an attempt to load anything.
    messages = [entry["message"] for entry in browser.driver.get_log("browser")]
    assert [text for text in messages if "willReadFrequently" not in text] == []  # That one is about this test.
    assert browser.driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_the_table_sorts(page, hostile_name):
    assert page.names()[0] == "series" and page.find("#name").text == "series"
    assert page.find("th:nth-child(2)").get_attribute("aria-sort") == "descending"
    page.find("th:first-child button").click()
    by_name = page.names()
    assert by_name.index("series") < by_name.index("zebra.png")
    assert page.find("th:first-child").get_attribute("aria-sort") == "ascending"
    assert page.find("th:nth-child(2)").get_attribute("aria-sort") is None
    page.press(Keys.ENTER)  # The heading has the focus.
    assert page.names() == by_name[::-1]
    page.find("th:nth-child(3) button").click()
    assert page.names()[0] == hostile_name


def test_a_hostile_name_is_text(page, hostile_name):
    assert hostile_name in page.names()
    page.find("tbody tr:not(.chosen) button").click()
    page.driver.find_elements("css selector", "#images tbody button")[page.names().index(hostile_name)].click()
    page.wait(lambda: hostile_name in page.find("#before-after").get_attribute("aria-label"))
    assert page.find("#name").text == hostile_name and page.driver.title == "What was removed"
    assert page.driver.find_elements("css selector", "img") == []
    assert len(page.driver.find_elements("css selector", "script:not([type])")) == 1


def test_the_divider_moves_by_keys_and_by_dragging(page):
    start = page.pixels()
    page.tab_to("divider")
    assert page.find("#divider").get_attribute("aria-valuenow") == "50"
    page.press(Keys.ARROW_LEFT * 5)
    left = page.pixels()
    assert page.find("#divider").get_attribute("aria-valuenow") == "40"
    # Only the columns that the divider passed have changed.
    changed = np.flatnonzero((left != start).any(axis=0))
    assert changed.min() == 26 and changed.max() == 31
    page.press(Keys.HOME)
    after = page.pixels()
    page.press(Keys.END)
    before = page.pixels()
    assert before[:, :32].std() > 0 and (before != after).mean() > 0.5
    np.testing.assert_array_equal(start[:, :32], before[:, :32])
    np.testing.assert_array_equal(start[:, 32:], after[:, 32:])
    drag = ActionChains(page.driver).move_to_element(page.find("#before-after"))
    drag.click_and_hold().move_by_offset(60, 0).release().perform()
    assert 50 < int(page.find("#divider").get_attribute("aria-valuenow")) < 80


def test_the_pixels_are_those_of_the_window(page):
    values = page.images["series"].read().slices(1)

    def expected(image, low, high):
        return np.clip(255 * (np.rint(image) - low) / (high - low), 0, 255)

    page.tab_to("divider")
    page.press(Keys.END)
    page.wait(lambda: page.find("#divider").get_attribute("aria-valuenow") == "100")
    np.testing.assert_allclose(page.pixels(), expected(values[0], -160, 240), atol=1)
    page.find("#choices label:nth-child(2)").click()
    np.testing.assert_allclose(page.pixels(), expected(values[0], -1350, 150), atol=1)
    page.press(Keys.ARROW_RIGHT)  # by the keyboard, from lung to bone
    np.testing.assert_allclose(page.pixels(), expected(values[0], -500, 1300), atol=1)
    assert [each.text for each in page.driver.find_elements("css selector", "#choices span")][:4] == [
        "Soft tissue", "Lung", "Bone", "Brain"
    ]  # fmt: skip
    removed = np.rint(values[0]) - np.rint(values[1])
    limit = 3 * page.images["series"].audit["shown"]["std"]
    np.testing.assert_allclose(page.pixels("removed"), np.clip(127.5 + 127.5 * removed / limit, 0, 255), atol=5)


def test_the_slice_slider_and_the_gain(page):
    assert page.find("#slice-value").text == "2 of 3"  # The slice with the finding comes first.
    assert len(page.driver.find_elements("css selector", "#places circle")) == 1
    both = page.pixels(), page.pixels("removed")
    page.tab_to("slice")
    page.press(Keys.ARROW_RIGHT)
    page.wait(lambda: page.find("#before-after").get_attribute("aria-label").endswith("slice 3 of 3"))
    assert page.find("#slice-value").text == "3 of 3"
    page.wait(lambda: (page.pixels() != both[0]).any())
    assert (page.pixels("removed") != both[1]).mean() > 0.5
    assert page.driver.find_elements("css selector", "#places circle") == []
    spread = page.pixels("removed").std()
    page.tab_to("gain")
    page.press(Keys.ARROW_LEFT * 2)
    assert page.pixels("removed").std() == pytest.approx(spread / 2, rel=0.1)
    assert "0.5" in page.find("#gain-value").text


def test_an_image_is_chosen_by_the_keyboard_and_the_focus_is_visible(page):
    for _ in range(30):
        page.press(Keys.TAB)
        if page.focused().text == "zebra.png":
            break
    page.press(Keys.ENTER)
    page.wait(lambda: "zebra.png" in page.find("#before-after").get_attribute("aria-label"))
    assert page.find("#name").text == "zebra.png" and page.focused().text == "zebra.png"
    assert page.driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert not page.find("#slice-control").is_displayed() and not page.find("#windows").is_displayed()
    for control in page.driver.find_elements("css selector", "#stage input, #stage [role=slider], canvas"):
        assert control.accessible_name or not control.is_displayed()
