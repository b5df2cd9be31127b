"""Vendored files of the pages: unchanged, with licence and version."""

from __future__ import annotations

import hashlib
from importlib.resources import files

VENDOR = files("unspool.server") / "static" / "vendor"


def test_vendored_files_have_the_recorded_hashes():
    lines = (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    assert {line.split()[1] for line in lines} >= {"uPlot.js", "uPlot.css", "uPlot-LICENSE"}


def test_pages_name_no_other_host():
    open_folders = [files("unspool.server") / "static", files("unspool.inspection") / "static"]
    while open_folders:
        for entry in open_folders.pop().iterdir():
            if entry.is_dir():
                open_folders.append(entry)
            elif entry.name.endswith((".js", ".css", ".html", ".svg")):
                text = entry.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
                assert "http://" not in text, entry.name
                assert "https://" not in text.replace("https://github.com/leeoniya/uPlot", ""), entry.name
