# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the review page of docs/audit.md: a screenshot of ``noisewise review`` in headless Chromium.

    python benchmarks/review_page.py docs/images/review.png

The images come inside pydicom-data and scikit-image (extra ``embedded``); Gaussian noise of sigma 12 (of 255) is added
to the photographs. A disk with a radius of 6 pixels is brightened by twice as much in the result of the retina, so that
the page has a finding. Needs the extra ``test`` and the programs chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from pydicom.data import get_testdata_file
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait
from skimage import data

OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --force-color-profile=srgb --window-size=1180,1310"
)
DISK = (210, 120, 6)  # row, column, radius
SIGMA = 12


def main() -> None:
    """Draw the screenshot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--keep", type=Path, help="also copy the page here")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder / "in")
        noisewise("denoise", folder / "in", folder / "out")
        brighten_disk(folder / "out" / "retina.png")
        page = folder / "page.html"
        noisewise("review", folder / "out", "--output", page)
        if options.keep:
            shutil.copy(page, options.keep)
        screenshot(page, options.picture, folder / "profile")


def make_images(folder: Path) -> None:
    """Two CT slices, and two noisy photographs."""
    folder.mkdir()
    shutil.copy(get_testdata_file("693_UNCR.dcm"), folder / "head.dcm")
    shutil.copy(get_testdata_file("CT_small.dcm"), folder / "spine.dcm")
    random = np.random.RandomState(0)
    for name, image in (("retina.png", data.retina()[400:760, 300:720]), ("cell.png", data.cell()[150:410, 100:400])):
        noisy = image + SIGMA * random.standard_normal(image.shape)
        Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)).save(folder / name)


def brighten_disk(path: Path) -> None:
    """Brighten a disk of a result, as a denoiser would that has erased a dark structure."""
    with Image.open(path) as image:
        pixels = np.asarray(image).astype(int)
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    pixels[np.hypot(rows - DISK[0], columns - DISK[1]) <= DISK[2]] += 2 * SIGMA
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def noisewise(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "noisewise", *map(str, arguments)], check=True)


def screenshot(page: Path, picture: Path, profile: Path) -> None:
    """Open the page, choose the CT head and the window for brain, and take the picture."""
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS.split(), f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.binary_location = shutil.which("chromium")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.get(page.as_uri())
        find_all = driver.find_elements
        label = "return document.getElementById('before-after').getAttribute('aria-label') || ''"
        next(each for each in find_all("css selector", "#images td button") if each.text == "head.dcm").click()
        WebDriverWait(driver, 60).until(lambda _: "head.dcm" in driver.execute_script(label))
        next(each for each in find_all("css selector", "#choices label") if each.text == "Brain").click()
        driver.execute_script("document.activeElement.blur()")
        driver.save_screenshot(str(picture))
    finally:
        driver.quit()
    with Image.open(picture) as taken:  # a palette keeps the file small
        small = taken.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small.save(picture, optimize=True)


if __name__ == "__main__":
    main()
