#!/usr/bin/env python3
"""Measure how long the studio takes from its start to the first paint of its page, in headless Chromium."""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time

from playwright.sync_api import Browser, sync_playwright

_PAINTS = """() => new Promise((done) => new PerformanceObserver((list) => {
  const paint = list.getEntriesByName('first-contentful-paint')[0];
  if (paint) done(performance.timeOrigin + paint.startTime);
}).observe({type: 'paint', buffered: true}))"""


def main() -> None:
    """Start the studio several times; the first start, which reads files from the disk, stands apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="model folder to open in the studio")
    parser.add_argument("--repeats", type=int, default=5, help="number of starts after the first")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no chromium on this machine")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        first, *warm = [paint_and_model(browser, options.model) for _ in range(options.repeats + 1)]
        browser.close()
    paints, opens = zip(*warm, strict=True)
    rows = [
        "| seconds from the start of the command | first paint | the model is open |",
        "|---|--:|--:|",
        f"| first start | {first[0]:.2f} | {first[1]:.2f} |",
        f"| warm, median of {len(warm)} | {statistics.median(paints):.2f} | {statistics.median(opens):.2f} |",
        f"| warm, longest | {max(paints):.2f} | {max(opens):.2f} |",
    ]
    sys.stdout.write("\n".join(rows) + "\n")


def paint_and_model(browser: Browser, model: str) -> tuple[float, float]:
    """Return the seconds until the first paint, and until the page can ask the model."""
    began = time.time()
    command = [sys.executable, "-m", "unspool", "studio", model, "--no-browser", "--port", "0"]
    studio = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert studio.stderr is not None
        address = next(line for line in studio.stderr if "http://" in line).split()[2]
        page = browser.new_page()
        page.goto(address)
        painted = page.evaluate(_PAINTS) / 1000
        page.wait_for_selector("#tabs button", timeout=60_000)
        opened = time.time()
        page.close()
    finally:
        studio.terminate()
        studio.wait(30)
    return painted - began, opened - began


if __name__ == "__main__":
    main()
