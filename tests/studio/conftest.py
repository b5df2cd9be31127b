"""A studio with small models, and a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch.nn.functional as F
from studio_server import LABELS, TEXTS, running_studio, small_models
from torch import Tensor

from house_assistant import write_house
from unspool import Cell, Classifier
from unspool.cells import ElmanState
from unspool.server.settings import ServerSettings

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class LeakyCell(Cell[ElmanState]):
    """A person's own cell, with names of its own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias = self.parameter(hidden_size, input_size), self.parameter(hidden_size)
        self.weight_hh = self.parameter(hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> ElmanState:
        return ElmanState(h=self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: ElmanState) -> tuple[Tensor, ElmanState]:
        leak = F.linear(x, self.weight_ih, self.bias).sigmoid()
        h = leak * state.h + (1 - leak) * F.linear(state.h, self.weight_hh).tanh() + 0.1 * leak
        self.record(leak=leak)
        return h, ElmanState(h)


class Studio(NamedTuple):
    """An address and the models behind it."""

    address: str
    tasks: dict[str, Any]
    corrections: Any
    run: Any
    calls: Any
    """File with a line for each call of a command's function."""


@pytest.fixture(scope="session")
def studio(tmp_path_factory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    tasks = small_models(folder, LeakyCell)
    (folder / "functions").mkdir()
    files = {"corrections": "corrections.jsonl", "pruned": "pruned"}
    settings = ServerSettings(
        port=0,
        commands=str(write_house(folder / "functions")),
        **{key: str(folder / file) for key, file in files.items()},
    )
    run = folder / "run"
    Classifier(cell="elman", hidden=5, epochs=3, threads=1, ngrams=False, plan=False).fit(TEXTS, LABELS, out=run)
    with running_studio(tasks, folder, settings, run) as address:
        yield Studio(address, tasks, folder / "corrections.jsonl", run, folder / "functions" / "house.log")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; install it for the tests of the studio's pages")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, studio) -> Iterator[Any]:
    """A page that fails its test on a console message, a page error, a CSP report or a request to another host."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("request", lambda request: problems.append(request.url) if not _own(request.url, studio.address) else None)
    page.set_default_timeout(15_000)
    page.problems = problems
    yield page
    context.close()
    assert page.problems == []


def _own(url: str, address: str) -> bool:
    return url.startswith((address, "blob:", "data:", "file:"))
