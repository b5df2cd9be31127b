"""`unspool studio`: which folders it opens, its demo, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from unspool.cli import studio as studio_verb
from unspool.server.run_list import folders_of_studio
from unspool.server.settings import ServerSettings


@pytest.fixture
def calls(monkeypatch):
    """The arguments with which the verb would start a server."""
    started = []
    monkeypatch.setattr(studio_verb, "run_server", lambda *args, **options: started.append((args, options)))
    return started


def test_models_and_flags_reach_the_server(shell, models, calls):
    shell("studio", models / "writer", "--port", "0", "--no-browser", "--max-batch", "7")
    ((folders, cell, device, settings), options) = calls[0]
    assert folders == (str(models / "writer"),)
    assert (cell, device) == (None, "auto")
    assert settings == ServerSettings(port=0, max_batch=7)
    assert options == {"studio": True, "browser": False}


def test_a_folder_opens_all_its_models_and_runs(models, tmp_path):
    names, runs = folders_of_studio([str(models)])
    assert sorted(Path(name).name for name in names) == ["classifier", "tagger", "writer"]
    assert runs == [models]
    only, _ = folders_of_studio([str(models / "tagger")])
    assert only == [str(models / "tagger")]


def test_an_unfinished_run_is_watched_but_not_opened(tmp_path):
    (tmp_path / "run" / "training").mkdir(parents=True)
    (tmp_path / "run" / "training" / "log.jsonl").write_text("")
    assert folders_of_studio([str(tmp_path / "run")]) == ([], [tmp_path / "run"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected a model folder, a folder of them, or --demo alone; for a first look: --demo"),
        (["here", "--demo"], "expected a model folder, a folder of them, or --demo alone; for a first look: --demo"),
        (["here", "--out", "there"], "--out belongs to --demo"),
        (["nowhere"], "there is no folder nowhere; expected a model folder, a run, or a folder of them"),
        (["here"], "here holds neither a model nor a training run"),
    ],
)
def test_folders_that_hold_nothing_are_refused(shell, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert shell.refuses("studio", *words, code=2) == sentence


def test_a_missing_package_names_the_extra(shell, models, monkeypatch):
    monkeypatch.delitem(sys.modules, "unspool.server.serving", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    sentence = shell.refuses("studio", models / "writer", code=2)
    assert "uvicorn" in sentence
    assert "'.[server]'" in sentence


@pytest.mark.learn
def test_the_demo_trains_and_opens_a_fork_that_flips_the_verb(shell, tmp_path, calls):
    shell("studio", "--demo", "--out", tmp_path / "demo", "--no-browser")
    (((folder,), *_), options) = calls[0]
    state = {name: values[0] for name, values in parse_qs(options["fragment"]).items()}
    assert state["view"] == "travel"
    import unspool

    fork = unspool.load(folder).fork(state["text"], json.loads(state["edits"]))
    assert fork.original.prediction["label"] == "plural"
    assert fork.edited.prediction["label"] == "singular"
    assert fork.edited.prediction["probabilities"]["singular"] > 0.95
