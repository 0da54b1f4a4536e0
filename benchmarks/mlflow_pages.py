# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Open MLflow's pages of the demo store in a browser, check their content, and take the pictures of docs/mlflow.md.

This needs the Debian packages ``chromium`` and ``chromium-driver``, ``pip install selenium``, and a served demo:

    noisewise mlflow-demo --output runs/mlflow_demo &
    python benchmarks/mlflow_pages.py http://127.0.0.1:5000 docs/images

A page that does not show the expected texts in time is an error.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import requests
from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from noisewise.pipelines.tracking.view import experiment_page

SECONDS = 90
TRAININGS = "workflowType=machine_learning"
SHOWN_RUNS = 3
COMPARED = (
    "train two_stage physical seed 0",
    "train two_stage author_code seed 0",
    "train dncnn physical seed 0",
    "train two_stage physical tuned seed 0",
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-dev-shm-usage",
)


class Pages:
    """A browser on the pages of one MLflow server.

    Args:
        address: the address of the server.
        folder: the folder of the pictures.
        profile: an empty folder for the browser.
    """

    def __init__(self, address: str, folder: Path, profile: str) -> None:
        self.address, self.folder = address, folder
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        self.browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))

    def open(self, page: str, *texts: str, height: int = 1000) -> None:
        """Open a page and wait for texts on it."""
        self.browser.set_window_size(1400, height)
        self.browser.get("about:blank")
        self.browser.get(f"{self.address}/#/{page}")
        self.wait_for(*texts)
        time.sleep(3)
        # MLflow's assistant covers a quarter of the page; its close button is in the upper right corner.
        self.browser.execute_script(
            "const found = document.elementFromPoint(innerWidth - 36, 36)?.closest('button'); if (found) found.click()"
        )
        time.sleep(3)

    def wait_for(self, *texts: str) -> None:
        """Wait until the page shows all texts."""

        def shown(browser: webdriver.Chrome) -> bool:
            body = browser.execute_script("return document.body.innerText")
            return all(text in body for text in texts)

        WebDriverWait(self.browser, SECONDS).until(shown, f"the page does not show {texts}")

    def wait_for_images(self, count: int) -> None:
        """Wait until the charts show a number of images."""
        script = "return [...document.querySelectorAll('.rc-image img')].filter(i => i.naturalWidth > 100).length"
        WebDriverWait(self.browser, SECONDS).until(
            lambda browser: browser.execute_script(script) >= count, f"the charts show fewer than {count} images"
        )

    def filter_charts(self, text: str) -> None:
        """Show the charts whose names match a regular expression."""
        box = self.browser.find_element(By.CSS_SELECTOR, "input[placeholder='Search metric charts']")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(text)
        time.sleep(10)

    def click(self, element: str | object) -> None:
        """Click an element, or the first one that matches an XPath."""
        if isinstance(element, str):
            element = self.browser.find_element(By.XPATH, element)
        ActionChains(self.browser).move_to_element(element).click().perform()
        time.sleep(3)

    def picture(self, name: str) -> None:
        """Save the window as a PNG of 256 colors."""
        path = self.folder / f"{name}.png"
        self.browser.save_screenshot(str(path))
        Image.open(path).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=0).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size // 1000} kB", flush=True)


def main(address: str, folder: Path) -> None:
    """Take all pictures."""
    api = f"{address}/api/2.0/mlflow"
    query = {"experiment_name": "noisewise demo"}
    experiment = requests.get(f"{api}/experiments/get-by-name", query, timeout=60).json()["experiment"]["experiment_id"]
    found = requests.post(f"{api}/runs/search", json={"experiment_ids": [experiment]}, timeout=60).json()["runs"]
    runs = {run["info"]["run_name"]: run["info"]["run_id"] for run in found}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        pages = Pages(address, folder, profile)
        try:
            _charts(pages, experiment)
            _models(pages)
            _comparison(pages, experiment, [runs[name] for name in COMPARED])
        finally:
            pages.browser.quit()


def _charts(pages: Pages, experiment: str) -> None:
    # As a reader of the README opens it: nothing is configured.
    pages.open(experiment_page(experiment).removeprefix("/#/"), "dncnn physical", "panels", "train", height=1300)
    body = pages.browser.execute_script("return document.body.innerText")
    empty = [name for name in ("Model metrics", "System metrics") if name in body]
    if empty:
        raise SystemExit(f"the page has empty sections: {', '.join(empty)}")
    pages.wait_for_images(SHOWN_RUNS)
    pages.picture("mlflow_images")
    # Folded, so that the curves are in sight.
    pages.click("//*[starts-with(normalize-space(text()), 'panels')]")
    pages.filter_charts("psnr|loss")
    pages.wait_for("train/rn_loss", "val/best_psnr")
    pages.picture("mlflow_curves")


def _models(pages: Pages) -> None:
    pages.open(f"models/multimodal_denoising?{TRAININGS}", "champion", "challenger", "sha256")
    pages.picture("mlflow_models")


def _comparison(pages: Pages, experiment: str, runs: list[str]) -> None:
    query = f"runs={json.dumps(runs)}&experiments={json.dumps([experiment])}&{TRAININGS}"
    pages.open(f"compare-runs?{query}", "Run details", COMPARED[-1])
    for switch in pages.browser.find_elements(By.CSS_SELECTOR, "button[role=switch]"):
        pages.browser.execute_script("arguments[0].click()", switch)
    heading = pages.browser.find_element(By.XPATH, "//*[normalize-space(text())='Parameters']")
    pages.browser.execute_script("arguments[0].scrollIntoView()", heading)
    time.sleep(3)
    pages.picture("mlflow_compare")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2]))
