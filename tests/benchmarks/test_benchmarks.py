"""The benchmarks run, refuse to time what disagrees, and print a well-formed table; no times are looked at."""

import json

import msgspec
import pytest
import torch

from unspool.cells import CELLS
from unspool.engine.native import NativePath


def tables(text: str) -> list[list[list[str]]]:
    """Every Markdown table of a text, as rows of cells, the rule left out."""
    found: list[list[list[str]]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        before = line
    return [[rows[0], *rows[2:]] for rows in found]


def test_engine_checks_agreement_and_prints_a_table_for_each_mode(script, capsys, tmp_path):
    engine, file = script("engine"), tmp_path / "times.json"
    sizes = ["--sizes", "1,2,5", "--sizes", "7,3,4,ragged"]
    short = ["--repeats", "3", "--minutes", "1", "--threads", "1", "--jax", "none", "--json", str(file)]
    assert engine.main(["--cells", "lstm,lstm-peephole,mingru", *sizes, *short]) == 0
    said = capsys.readouterr()

    assert "agreement: checked in all 12 cases before timing" in said.out
    training, inference = tables(said.out)
    for rows in (training, inference):
        assert rows[0][:5] == ["cell", "time, batch, hidden", "path", "unspool auto", "GFLOP/s"]
        assert {len(row) for row in rows} == {len(rows[0])}
        cells = {(row[0], row[1]): dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
        assert set(cells) == {
            (c, s) for c in ("lstm", "lstm-peephole", "mingru") for s in ("1, 2, 5", "7, 3, 4, ragged")
        }
        lstm, peephole = cells["lstm", "7, 3, 4, ragged"], cells["lstm-peephole", "1, 2, 5"]
        assert (lstm["path"], peephole["path"], cells["mingru", "1, 2, 5"]["path"]) == ("cpu", "reference", "scan")
        assert peephole["unspool reference"] == "is auto"
        assert peephole["torch.nn"].endswith("(nn.LSTM)")  # another cell, and said so
        assert "(" not in lstm["torch.nn"]
        assert lstm["repeats"] == "3"

    kept = json.loads(file.read_text())["rows"]
    assert len(kept) == 12
    assert max(row["agreement"] for row in kept) < 1e-5
    assert {len(times) for row in kept for times in row["seconds"].values()} == {3}
    weights, steps = 2 * 4 * 5 * 5, 1 * 2
    assert kept[0]["gigaflop"] == pytest.approx(3 * 2e-9 * weights * steps)


@pytest.mark.slow
def test_calls_checks_agreement_and_prints_both_tables(script, capsys, monkeypatch):
    calls = script("calls")
    small = ["--hidden", "5", "--batch", "1,3", "--repeats", "2"]
    assert calls.main(["--cells", "lstm,mingru", "--only", "stream", *small]) == 0
    (steps,) = tables(capsys.readouterr().out)
    assert [row[:3] for row in steps[1:]] == [
        ["lstm", "5", "1"],
        ["lstm", "5", "3"],
        ["mingru", "5", "1"],
        ["mingru", "5", "3"],
    ]
    assert steps[1][-1].endswith("(nn.LSTMCell)")
    assert steps[3][-1] == "–"
    assert calls.main(["--cells", "lstm", "--only", "first-use", *small]) == 0  # two new processes for each cell
    (first,) = tables(capsys.readouterr().out)
    assert [row[0] for row in first[1:]] == ["lstm"]
    assert all(cell.endswith(" ms") for row in first[1:] for cell in row[1:])

    step = calls.Stepper.__call__
    monkeypatch.setattr(calls.Stepper, "__call__", lambda *given: (step(*given)[0], type(given[2])(*given[2])))
    with pytest.raises(calls.Disagreement, match="Stepper: lstm, 5 units"):
        calls.main(["--cells", "lstm", "--hidden", "5", "--batch", "1", "--repeats", "1", "--only", "stream"])


def test_engine_counts_no_padding(script):
    engine = script("engine")
    case = engine.Case("gru", engine.Size(40, 10, 3, ragged=True), training=False)
    real = int(case.problem.lengths.sum())
    assert 0.5 < real / 400 < 0.6
    assert case.gigaflop == pytest.approx(2e-9 * (2 * 9 * 3) * real)


@pytest.mark.parametrize(("wrong", "mode"), [("outputs", "inference"), ("gradient", "training")])
def test_engine_does_not_time_a_wrong_path(script, monkeypatch, wrong, mode):
    engine, run = script("engine"), NativePath.run

    def off(self, request):
        outputs, state = run(self, request)
        return (outputs * 1.01 if wrong == "outputs" else outputs + 0.01 * (outputs - outputs.detach())), state

    monkeypatch.setattr(NativePath, "run", off)
    with pytest.raises(engine.Disagreement, match=f"unspool native: gru, 5, 3, 4, {mode}: {wrong}"):
        engine.main(["--cells", "gru", "--sizes", "5,3,4", "--only", mode, "--jax", "none", "--repeats", "1"])


def test_engine_says_what_it_leaves_out(script, monkeypatch, capsys):
    engine = script("engine")
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    assert engine.main(["--cells", "elman,lstm", "--sizes", "2,1,3", "--minutes", "1e-9", "--repeats", "1"]) == 1
    said = capsys.readouterr()
    assert "jax is left out: it is not installed" in said.err
    assert "4 cases are left out" in said.err


def test_engine_agrees_with_jax(script, capsys):
    pytest.importorskip("jax", reason="jax is not installed")
    engine = script("engine")
    sizes = ["--sizes", "5,3,4,ragged", "--sizes", "2,1,3"]
    assert engine.main([*sizes, "--jax", "all", "--repeats", "1", "--threads", "1", "--only", "training"]) == 0
    (rows,) = tables(capsys.readouterr().out)
    column = rows[0].index("jax scan")
    assert {row[0] for row in rows[1:]} == {*CELLS, "mgu"}
    assert len(rows) == 1 + 2 * (len(CELLS) + 1)
    in_jax = script("rivals.jax_cells").CELLS
    assert len(in_jax) > 8
    assert all(("ms" in row[column]) == (row[0] in in_jax) for row in rows[1:])


SMALL = ["--generated", "--set", "hidden=4", "--set", "embedding=6", "--updates", "2", "--repeats", "3"]
SMALL += ["--peer-sentences", "0", "--threads", "1"]


@pytest.mark.slow
def test_training_checks_agreement_and_prints_a_line_for_each_task(script, capsys, tmp_path):
    training, file = script("training"), tmp_path / "times.json"
    assert training.main([*SMALL, "--json", str(file)]) == 0
    said = capsys.readouterr().out
    assert "agreement: checked before timing" in said
    (rows,) = tables(said)
    assert {len(row) for row in rows} == {len(rows[0])}
    assert [row[0] for row in rows[1:]] == ["tagger", "classifier", "language model"]
    assert all(row[1] == "generated text" and row[-1] == "3" for row in rows[1:])
    ratios = [row[rows[0].index("ours / bare")] for row in rows[1:]]
    assert all("reached" in ratio or "**below 0.95**" in ratio for ratio in ratios)
    kept = json.loads(file.read_text())["rows"]
    assert [set(row["seconds"]) for row in kept] == [{"ours", "bare", "torch.nn"}] * 3
    assert all(row["tokens"] > 0 and row["updates"] == 2 for row in kept)


@pytest.mark.slow
def test_training_does_not_time_a_loop_that_does_something_else(script, monkeypatch):
    training = script("training")
    bare_loop = training.bare_loop

    def faster(model, batches, settings):
        bare_loop(model, batches, msgspec.structs.replace(settings, learning_rate=1.1 * settings.learning_rate))

    monkeypatch.setattr(training, "bare_loop", faster)
    with pytest.raises(training.Disagreement, match="classifier: our loop and the bare one end"):
        training.main([*SMALL, "--tasks", "classifier"])


@pytest.mark.slow
def test_training_does_not_time_a_network_that_computes_something_else(script, monkeypatch):
    training = script("training")
    plain_network = training.plain_network

    def other(model):
        network = plain_network(model)
        with torch.no_grad():
            network.lstm.weight_hh_l0.mul_(1.5)
        return network

    monkeypatch.setattr(training, "plain_network", other)
    with pytest.raises(training.Disagreement, match=r"classifier: torch\.nn's network has loss"):
        training.main([*SMALL, "--tasks", "classifier"])


def test_a_comparison_says_win_even_loss_or_unclear(script):
    measure = script("measure")
    still, twice = measure.Timing((1.0, 1.0, 1.0)), measure.Timing((2.0, 2.0, 2.0))
    wild = measure.Timing((0.5, 1.2, 9.0))
    assert str(measure.Comparison(still, twice)) == "2.00 win"
    assert str(measure.Comparison(twice, still)) == "**0.50 loss**"
    assert str(measure.Comparison(still, measure.Timing((1.02, 1.02, 1.02)))) == "1.02 even"
    assert str(measure.Comparison(still, wild)) == "1.20 unclear"
    assert measure.Comparison(measure.Timing((1.0,)), measure.Timing((5.0,))).verdict == "unclear"  # run but once
    assert measure.Timing((4.0, 1.0, 2.0, 3.0, 5.0)).median == 3.0
    assert measure.Timing((4.0, 1.0, 2.0, 3.0, 5.0)).spread == pytest.approx(1 / 3)


@pytest.mark.parametrize("warm", [False, True])
def test_runs_take_turns_in_an_order_drawn_by_lot(warm, script, monkeypatch):
    measure = script("measure")
    monkeypatch.setattr(measure, "_SHORT", 0.0)
    order = []
    times = measure.interleaved({name: lambda name=name: order.append(name) for name in "abc"}, 12, warm=warm)
    if warm:
        assert order[::2] == order[1::2]
        order = order[::2]
    rounds = ["".join(order[place : place + 3]) for place in range(0, 36, 3)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len(set(rounds)) > 3
    assert {len(timing.seconds) for timing in times.values()} == {12}


def test_a_clock_of_choice_tells_the_time(script):
    measure = script("measure")
    hours = iter(range(100))
    times = measure.interleaved({"a": lambda: None}, 3, clock=lambda: float(next(hours)))
    assert times["a"].seconds == (1.0, 1.0, 1.0)


def test_a_traced_lstm_is_timed_beside_one_written_by_hand(script, capsys):
    engine = script("engine")
    words = [
        "--cells",
        "lstm,gru",
        "--only",
        "training",
        "--sizes",
        "3,2,8",
        "--sizes",
        "9,3,17,ragged",
        "--repeats",
        "3",
    ]
    assert engine.main([*words, "--jax", "none", "--clock", "processor"]) == 0
    shown = capsys.readouterr().out
    (table,) = tables(shown)
    column = table[0].index("hand")
    assert [row[column] == "–" for row in table[1:]] == [False, False, True, True]
    assert "processor time" in shown


def test_after_the_deadline_three_rounds_are_made(script):
    measure = script("measure")
    times = measure.interleaved({"a": lambda: None, "b": lambda: None}, 9, until=0.0)
    assert [len(timing.seconds) for timing in times.values()] == [3, 3]


def test_the_turing_machine_is_timed_after_it_agrees(script, capsys):
    ntm = script("ntm")
    sizes = ["--length", "3", "--batch", "2", "--hidden", "6", "--slots", "5", "--width", "4", "--repeats", "3"]
    assert ntm.main(sizes) == 0
    (table,) = tables(capsys.readouterr().out)
    assert [row[0] for row in table] == ["program", "unspool", "plain torch"]
    ours = ntm.StepwiseModel(ntm.Recurrent("ntm(slots=5, width=4)", 9, 6), 8)
    plain = ntm.PlainNTM(ours)
    with torch.no_grad():
        plain.writer.gate.bias += 1
    with pytest.raises(SystemExit, match="computes something else"):
        ntm.agree(ours, plain, ntm.Copy().draw(ntm.np.random.default_rng(0), 2, 3))


def test_products_compares_errors_before_times(script, capsys, monkeypatch):
    products = script("products")
    if products.missing() is not None:
        pytest.skip(products.missing())
    words = ["--sizes", "40,33,70", "--threads", "1", "--repeats", "3"]
    if not products.host_target().tiled:
        with pytest.raises(SystemExit, match="no tiles"):
            products.main([*words, "--way", "tiles"])
    assert products.main(words) == 0
    ((head, *rows),) = tables(capsys.readouterr().out)
    assert head[-1] == "error, torch's is 1"
    assert [row[0].partition(" ")[2] for row in rows] == ["product", "inputs' gradient", "weight's gradient"]
    assert all(0.1 < float(row[-1]) < 2 for row in rows)
    monkeypatch.setattr(products, "multiplied", lambda rows, matrices, by: [rows @ matrices[0] * 1.001])
    with pytest.raises(SystemExit, match="an error of"):
        products.main(words)


def test_epochs_trains_through_each_path_and_gives_both_scores(script, capsys, monkeypatch, tmp_path):
    epochs, corpora, file = script("epochs"), script("workloads.corpora").corpora, tmp_path / "epochs.json"
    monkeypatch.setitem(epochs.SHARE, "classifier", 0.02)
    monkeypatch.setattr(epochs, "corpora", lambda folder: corpora(folder, generated=True))
    words = ["--tasks", "classifier", "--cells", "own", "--epochs", "2", "--threads", "1", "--json", str(file)]
    assert epochs.main(words) == 0
    ((_, row),) = tables(capsys.readouterr().out)
    assert row[:3] == ["classifier, generated text", "own", "reference"]
    runs = json.loads(file.read_text())["runs"]
    assert [run["path"] for run in runs] == ["reference", "cpu"]
    assert all(run["processor"] > 0 for run in runs)
    assert row[-2:] == [f"{run['accuracy']:.4f}" for run in runs]


def test_images_checks_agreement_and_prints_a_line_for_each_network(script, capsys, tmp_path):
    images, file = script("images"), tmp_path / "times.json"
    short = ["--updates", "2", "--batch", "4", "--repeats", "1", "--json", str(file)]
    assert images.main(short) == 0
    (rows,) = tables(capsys.readouterr().out)
    assert rows[0] == ["network", "unspool", "plain torch", "ratio", "target 0.95"]
    assert [row[0] for row in rows[1:]] == ["convolutional", "LSTM by rows", "feed-forward"]
    runs = json.loads(file.read_text())["runs"]
    assert all(run["apart"] <= 1e-2 and len(run["ours"]) == 2 for run in runs)


def test_images_does_not_time_a_loop_that_does_something_else(script, monkeypatch):
    images = script("images")
    monkeypatch.setattr(images, "plain_loop", lambda *arguments: None)
    with pytest.raises(images.Disagreement, match="the weights of both loops are"):
        images.main(["--networks", "feed-forward", "--updates", "2", "--batch", "4", "--repeats", "1"])
