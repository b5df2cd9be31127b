"""The page about the server: its commands of curl run, and its table has every flag."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from live import serving

from unspool.cli import unspool
from unspool.server.models import Served
from unspool.server.settings import ServerSettings
from unspool.settings import describe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serve.md"
NAMES = {"my-model": "classifier", "my-novel": "writer", "my-assistant": "assistant"}


def commands():
    """The commands of curl on the page, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith("curl ")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_commands_of_curl_run(served):
    by_name = {one.name: one for one in served}
    models = [Served(name, by_name[own].folder, by_name[own].entry) for name, own in NAMES.items()]
    seen = []
    with serving(models) as live:
        session = ""
        for command in commands():
            words = command.replace("127.0.0.1:8321", live.host).replace("/ID", f"/{session}")
            ended = subprocess.run(
                f"{words} -w '%{{http_code}}'", shell=True, capture_output=True, text=True, timeout=60
            )
            content, status = ended.stdout[:-3], ended.stdout[-3:]
            assert status in ("200", "201", "204"), (command, ended.stdout)
            route = re.search(r"8321(\S+)", command)[1]
            seen.append(route)
            if route == "/api/sessions":
                session = json.loads(content)["id"]
            elif status == "200" and "-sN" not in command and route != "/metrics":
                assert json.loads(content)
    assert {"/api/predict", "/api/trace", "/api/generate", "/api/sessions/ID/advance", "/v1/chat/completions"} <= {
        *seen
    }


def test_the_help_and_the_table_have_every_flag():
    shown = CliRunner().invoke(unspool, ["serve", "--help"]).stdout
    for name in describe(ServerSettings):
        assert f"--{name.replace('_', '-')}" in shown
    assert "<!-- limits -->" in PAGE.read_text(encoding="utf-8")
