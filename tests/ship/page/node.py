"""Run scripts of pages under node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


def run_node(script: str, folder: Path) -> Any:
    """What an async function with this body returns; skips where there is no node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    file = folder / "script.mjs"
    body = f"const result = await (async () => {{\n{script}\n}})();\nprocess.stdout.write(JSON.stringify(result));\n"
    file.write_text('import fs from "fs";\n' + body, encoding="utf-8")
    done = subprocess.run([node, str(file)], capture_output=True, text=True, encoding="utf-8", timeout=100)
    assert done.returncode == 0, "\n".join(line[:200] for line in done.stderr.splitlines()[-12:])
    return json.loads(done.stdout)
