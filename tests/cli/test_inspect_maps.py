"""`unspool inspect` of a translator: the map first, then the gates of both sides."""

import csv

import pytest

from unspool.inspection import read_trace


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("translators")


@pytest.fixture
def translator(shell, folder):
    model = folder / "reverser"
    if not model.exists():
        texts = [f"{a} {b} {c}" for a in "abc" for b in "abc" for c in "abc"]
        (folder / "pairs.tsv").write_text("".join(f"{text}\t{text[::-1].upper()}\n" for text in texts))
        small = ("--hidden", 4, "--embedding", 4, "--epochs", 1, "--units", "blank", "--max-length", 6)
        shell("train", "translate", folder / "pairs.tsv", "--out", model, *small)
    return model


def test_the_translation_then_the_map_then_both_sides(shell, translator, tmp_path):
    files = [tmp_path / f"t.{ending}" for ending in ("npz", "csv", "svg", "html")]
    shown = shell("inspect", translator, "a b c", *(word for path in files for word in ("--out", path))).stdout
    parts = ["translation: ", "\nattention\n", "→", "\nencoder layer 1 forward\n", "\nwritten\n", "\ndecoder layer 1\n"]
    places = [shown.index(part) for part in parts]
    assert places == sorted(places)
    trace = read_trace(files[0])
    assert trace.map("attention").columns == ("a", "b", "c")
    with files[1].open(newline="") as file:
        weights = [row for row in csv.DictReader(file) if row["array"] == "attention"]
    assert len(weights) == trace.map("attention").values.size
    for path in files[2:]:
        assert "attention" in path.read_text()


def test_maps_are_asked_for_by_pattern(shell, translator):
    assert "\nattention\n" in shell("inspect", translator, "a b c", "--maps", "att*").stdout
    said = shell.refuses("inspect", translator, "a b c", "--maps", "head 1", code=2)
    assert "no map matches 'head 1'; there are 'attention'" in said


def test_an_array_of_the_decoder_is_drawn_too(shell, translator):
    shown = shell("inspect", translator, "a b c", "--array", "decoder layer 1 / forget").stdout
    assert "\ndecoder layer 1 / forget\n" in shown


def test_a_network_without_maps_says_so(shell, models):
    assert "no map matches '*'; there are none" in shell.refuses(
        "inspect", models / "classifier", "a", "--maps", "*", code=2
    )


def test_the_memory_of_a_machine_is_drawn_after_a_step(shell, folder):
    model = folder / "machine"
    small = ("--cell", "ntm(slots=5, width=3)", "--hidden", 4, "--width", 3, "--epochs", 1, "--examples", 8)
    lengths = ("--max-length", 3, "--test-lengths", 3, "--valid-examples", 4, "--min-length", 1)
    shell("train", "algorithm", "copy", "--out", model, *small, *lengths)
    drawn = shell("inspect", model, "101 110", "--memory", 2, "--maps", "*write*").stdout
    assert drawn.index("\nlayer 1 / write head 1\n") < drawn.index("\nlayer 1 / memory after step 2\n")
    assert "5 slot␣5" in drawn.partition("memory after step 2")[2]
    said = shell.refuses("inspect", model, "101 110", "--memory", 9, code=2)
    assert "there is no step 9; the trace has steps 1 to 5" in said


def test_a_network_without_memory_says_so(shell, models):
    said = shell.refuses("inspect", models / "classifier", "a", "--memory", 1, code=2)
    assert "this trace has no memory with heads" in said
