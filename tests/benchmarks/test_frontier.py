"""The frontier benchmark: its peers learn, its runs resume, and its report says wins and losses."""

import json
import math
import random
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from test_benchmarks import tables


def text_of(language, seed, count):
    return "\n".join(" ".join(sentence.words) for sentence in language(seed).sentences(count))


@pytest.fixture
def frontier(script):
    return script("frontier")


@pytest.fixture
def language(script):
    return script("workloads.small_language").SmallLanguage


# ---- peers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", ["", "e", "un me", "\0\0", "zzz", "bab", "abababab"])
def test_probabilities_of_ppm_sum_to_one(script, language, history):
    ppm = script("rivals.ppm")
    for text in (text_of(language, 0, 60), "abababab", "a"):
        model = ppm.PPM(set(text)).learn(text)
        probabilities = [model.probability(history, symbol) for symbol in model.alphabet]
        assert min(probabilities) > 0
        assert sum(probabilities) == pytest.approx(1, abs=1e-12)


def test_ppm_has_the_probabilities_of_method_d(script):
    model = script("rivals.ppm").PPM("abc", order=1).learn("aab")
    assert model.probability("", "a") == pytest.approx(3 / 6)  # update exclusion: the second a counts behind a alone
    assert model.probability("a", "a") == pytest.approx(1 / 4)
    assert model.probability("b", "a") == model.probability("", "a")
    escapes = (2 / 4) * (1 / 1)  # a and b are excluded from the empty context; c shares the rest with the unknown
    assert model.probability("a", "c") == pytest.approx(escapes / 2)


def test_longer_contexts_of_ppm_predict_better(script, language):
    ppm = script("rivals.ppm")
    train, test = text_of(language, 0, 500), text_of(language, 1, 50)
    means = [sum(ppm.PPM(set(train), order).learn(train).nats(test, train)) / len(test) for order in (0, 2, 8)]
    assert means[0] > 2.5
    assert means[0] > means[1] + 0.5 > means[2] + 0.7


def test_ppm_that_adapts_learns_from_the_test_text(script):
    model = script("rivals.ppm").PPM("abcdefg \n").learn("abc abc abc")
    strange = "gfedcfg" * 5
    assert sum(model.nats(strange)) > 2 * sum(model.nats(strange, adapt=True))
    assert model.nats("é", "abc")[0] == pytest.approx(model.nats("\0", "abc")[0])


def learn(script, peer, data):
    module, _, name = script("rivals.frontier_peers").PEERS[peer].learn.partition(":")
    return getattr(script(module), name)(data, None, 0)


@pytest.mark.parametrize("peer", ["kneser-ney", "ppm", "ppm-adaptive", "lzma", "zlib"])
def test_peers_of_language_models_score_a_text(script, frontier, tmp_path, peer):
    data = frontier.SMALL["small-write"].prepare(tmp_path, tmp_path)
    scores = learn(script, peer, data)["scores"]
    assert 0.6 < scores["nats"] < 1.6
    assert scores["bits_per_character"] == pytest.approx(scores["nats"] / math.log(2))


def test_a_peer_runs_in_a_process_of_its_own(frontier, tmp_path):
    data = frontier.SMALL["small-tag"].prepare(tmp_path, tmp_path)
    record = frontier.execute(frontier.Run("small-tag", "perceptron", None, 0), data, "1234")
    assert "error" not in record
    assert record["score"] == record["scores"]["accuracy"] > 0.95
    assert 0 < record["processor_seconds"] < 60


def test_the_order_of_kneser_ney_is_chosen_on_validation_text(script, tmp_path):
    texts, sets = script("rivals.text_models"), script("workloads.frontier_sets")
    paths = [tmp_path / name for name in ("train.txt", "test.txt")]
    for path in paths:
        path.write_text("abcdefghij klmnopqrst uvwxyz\n" * 40)
    train, test = ((str(path),) for path in paths)
    by_character = texts.kneser_ney(sets.DataSet("write", "nats", train, (), test), None, 0)
    assert by_character["scores"]["nats"] < 0.1
    assert by_character["detail"].startswith("order ")
    words = texts.kneser_ney(sets.DataSet("write", "perplexity", train, test, test, ("--units", "blank")), None, 0)
    assert "bits_per_character" not in words["scores"]
    assert words["detail"] in ("order 3", "order 4", "order 5")


def test_features_of_a_word_show_its_form_and_its_neighbours(script):
    first, second = script("rivals.taggers").word_features(["Mr.", "McDonald12"])
    assert {"word=Mr.", "lower=mr.", "shape=Xx.", "-1=<s>", "+1=mcdonald12", "+2=</s>"} <= set(first)
    assert {"shape=XxXxxdd", "prefix=mcdo", "suffix=ld12", "-1=mr.", "-1suffix=mr.", "+1=</s>"} <= set(second)
    assert {"-1,0=mr. mcdonald12", "0,+1=mcdonald12 </s>"} <= set(second)


def test_the_averaged_perceptron_learns_words_and_history(script):
    taggers = script("rivals.taggers")
    # the tag of "x" is the one before it turned round: no feature of the words tells
    sentences = [(["on", "x", "x", "x"], ["A", "B", "A", "B"]), (["off", "x", "x", "x"], ["B", "A", "B", "A"])]
    examples = [(taggers.word_features(words), tags) for words, tags in sentences * 10]
    model = taggers.AveragedPerceptron(seed=1)
    for _ in range(5):
        model.epoch(examples)
    weights = model.averages()
    assert [model.tag(features, weights) for features, _ in examples[:2]] == [tags for _, tags in sentences]


def test_averages_are_the_mean_over_all_steps(script):
    taggers = script("rivals.taggers")
    model, steps = taggers.AveragedPerceptron(), []
    for tags in (["A"], ["B"], ["B"], ["A"], ["B"]):
        model.epoch([([["bias", "w", "l"]], tags)])
        model.tags = ["A", "B"]
        steps.append({tag: model._weights["bias"].get(tag, 0.0) for tag in "AB"})
    means = model.averages().get("bias", {})
    # the weights stand from the step after the change on
    for tag in "AB":
        expected = sum(step[tag] for step in steps[:-1]) / len(steps)
        assert means.get(tag, 0.0) == pytest.approx(expected)


@pytest.mark.parametrize(("peer", "package"), [("crf", "pycrfsuite"), ("linear", "sklearn")])
def test_peers_of_other_packages_learn(script, frontier, tmp_path, peer, package):
    pytest.importorskip(package, reason=f"{package} is not installed")
    data = frontier.SMALL["small-classify" if peer == "linear" else "small-tag"].prepare(tmp_path, tmp_path)
    assert learn(script, peer, data)["scores"]["accuracy"] > (0.6 if peer == "linear" else 0.95)


def test_taggers_score_entities_in_any_scheme(script, tmp_path):
    taggers, sets = script("rivals.taggers"), script("workloads.frontier_sets")
    rows = ["Ann I-PER", "met O", "Bob I-PER", "", "Rome I-LOC", "met O", "Ann I-PER", "Bob B-PER", ""] * 10
    file = tmp_path / "spans.conll"
    file.write_text("\n".join(rows) + "\n")
    files = (str(file),)
    scores = taggers.averaged_perceptron(sets.DataSet("tag", "f1", files, files, files), None, 0)["scores"]
    assert scores["f1"] == 1.0


def test_the_plain_translator_learns_to_turn_words_round(script):
    peer = script("rivals.torch_translator")
    sources, targets = (
        [f"a{n} b{n} {'c ' * (n % 2)}d" for n in range(8)],
        [f"d{' c' * (n % 2)} b{n} a{n}" for n in range(8)],
    )
    tokenizer = peer._tokenizer((sources, targets))
    train = peer._encode(tokenizer, sources, targets) * 8
    torch.manual_seed(0)
    model = peer.TorchTranslator(tokenizer.get_vocab_size(), width=32, dropout=0.0)
    adam, before = torch.optim.Adam(model.parameters(), lr=1e-2), peer._loss(model, train)
    order = random.Random(0)
    assert sum(peer._epoch(model, adam, train, order, math.inf) for _ in range(40)) == 40
    assert peer._loss(model, train) < before / 20
    assert peer._translate(model.eval(), tokenizer, sources) == targets


def test_the_plain_translator_keeps_to_its_limit(script, tmp_path):
    peer, sets = script("rivals.torch_translator"), script("workloads.frontier_sets")
    file = tmp_path / "pairs.tsv"
    file.write_text("one two\ttwo one\nthree\tthree\n")
    files = (str(file),)
    result = peer.torch_translator(sets.DataSet("translate", "bleu", files, files, files), 1e-9, 0)
    assert result["detail"].startswith("0 updates, 0.0 epochs")
    assert result["scores"]["bleu"] < 20


# ---- runs ------------------------------------------------------------------------------------------------------


def test_short_runs_come_first_and_peers_without_a_limit_run_once(frontier):
    sets = {name: frontier.SETS[name] for name in ("ewt", "shakespeare", "ptb", "multi30k")}
    runs = frontier.plan_runs(sets, ["unspool", "perceptron", "ppm", "kneser-ney", "torch"], [1.0, 3.0], [0, 1])
    limits = [run.minutes or 0 for run in runs]
    assert limits == sorted(limits)
    by_method = {(run.data, run.method) for run in runs}
    assert ("ptb", "ppm") not in by_method  # characters only
    assert {("ptb", "kneser-ney"), ("shakespeare", "ppm"), ("multi30k", "torch")} <= by_method
    assert sum(run.method == "perceptron" for run in runs) == 1
    assert sum(run.method == "torch" for run in runs) == sum(run.data == "ewt" for run in runs) - 1 == 4
    small = frontier.plan_runs(frontier.SMALL, ["unspool", "torch"], [None], [0])
    assert [(run.method, run.minutes) for run in small] == [("unspool", None)] * 4


def entry(data="sst2", method="unspool", minutes=1.0, seed=0, score=0.8, seconds=60.0, **more):
    task = {"sst2": "classify", "shakespeare": "write", "small-write": "write"}[data]
    run = {"data": data, "method": method, "minutes": minutes, "seed": seed, "task": task, "score": score}
    return run | {"processor_seconds": seconds, "wall_seconds": seconds + 5, "commit": "abc", "load": 1.5} | more


def without_running(frontier, monkeypatch, fail=()):
    """Answer every run with a made-up score; return the list of runs."""
    runs = []

    def execute(run, data, commit):
        runs.append(run)
        record = entry(run.data, run.method, run.minutes, run.seed, commit=commit)
        return record | ({"error": "exit status 1: no"} if run in fail else {})

    def prepare_sets(sets, scratch):
        return [(name, frontier.DataSet(each.task, each.score, (), (), ())) for name, each in sets.items()]

    monkeypatch.setattr(frontier, "execute", execute)
    monkeypatch.setattr(frontier, "prepare_sets", prepare_sets)
    return runs


def test_resume_runs_only_what_is_missing_or_failed(frontier, monkeypatch, tmp_path, capsys):
    file = tmp_path / "figures.json"
    words = ["--data", "sst2", "--minutes", "1,3", "--seeds", "0,1", "--peers", "none", "--json", str(file)]
    failing = frontier.Run("sst2", "unspool", 3.0, 1)
    runs = without_running(frontier, monkeypatch, fail=[failing])
    assert frontier.main(words) == 0
    assert len(runs) == 4
    assert "1 of 2 failed" in capsys.readouterr().out
    assert len(json.loads(file.read_text())["runs"]) == 4

    runs = without_running(frontier, monkeypatch)
    assert frontier.main([*words, "--resume", "--minutes", "1,3,10"]) == 0
    assert runs == [failing, frontier.Run("sst2", "unspool", 10.0, 0), frontier.Run("sst2", "unspool", 10.0, 1)]
    runs = json.loads(file.read_text())["runs"]
    assert len(runs) == 6
    assert not any("error" in run for run in runs)
    assert "3 of 6 runs are there already" in capsys.readouterr().err


def test_figures_are_not_overwritten_without_resume(frontier, tmp_path):
    file = tmp_path / "figures.json"
    file.write_text('{"runs": []}')
    with pytest.raises(SystemExit, match="pass --resume"):
        frontier.main(["--json", str(file)])
    assert file.read_text() == '{"runs": []}'
    file.write_text("[1, 2]")
    with pytest.raises(SystemExit, match="no file of this benchmark"):
        frontier.main(["--json", str(file), "--resume"])


def test_a_stop_after_any_run_keeps_the_figures_before(frontier, monkeypatch, tmp_path):
    file = tmp_path / "figures.json"
    runs = without_running(frontier, monkeypatch)
    answer = frontier.execute

    def stop(run, data, commit):
        if len(runs) == 2:
            raise KeyboardInterrupt
        return answer(run, data, commit)

    monkeypatch.setattr(frontier, "execute", stop)
    with pytest.raises(KeyboardInterrupt):
        frontier.main(["--data", "sst2", "--peers", "none", "--json", str(file)])
    assert [run["minutes"] for run in json.loads(file.read_text())["runs"]] == [1.0, 3.0]


def test_missing_data_and_peers_are_named_and_left_out(frontier, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("UNSPOOL_DATA", str(tmp_path))
    peers = frontier.PEERS
    for name in ("linear", "crf"):
        monkeypatch.setitem(
            peers, name, frontier.PEERS[name].__class__(**vars(peers[name]) | {"package": ("no_x", "x")})
        )
    assert frontier.main(["--tasks", "classify,tag"]) == 0
    lines = capsys.readouterr().err.splitlines()
    left_out = [line for line in lines if line.startswith("peers left out")]
    assert len(left_out) == 1
    assert "logistic regression (scikit-learn) (x is not installed), CRF (python-crfsuite) (x is not" in left_out[0]
    assert sum("is left out: there is no" in line for line in lines) == 4


def test_a_run_that_fails_is_recorded_with_its_message(frontier, tmp_path):
    data = frontier.DataSet("tag", "accuracy", (str(tmp_path / "no.conllu"),), (), ())
    record = frontier.execute(frontier.Run("ewt", "perceptron", None, 0), data, "1234")
    assert record["error"].startswith("exit status 1: ")
    assert "no.conllu" in record["error"]
    assert "score" not in record


def test_unspool_is_trained_with_its_defaults(frontier, monkeypatch, tmp_path):
    calls = []
    answer = {"model": "m", "valid": {"bleu": 1.0}, "test": {"bleu": 30.5}, "baselines": {}}
    lines = "train: 3 pairs\nnetwork: small\nplan: 1 layer of 128, 1 minute: 3 epochs\n"

    def launch(words, minutes, **options):
        calls.append(words)
        return frontier.Process("other\n" + json.dumps(answer) + "\n", lines, 0, 61.0, 70.0)

    monkeypatch.setattr(frontier, "_launch", launch)
    data = frontier.DataSet("translate", "bleu", ("a", "b"), ("c", "d"), ("e", "f"), ("--tokenization", "none"))
    record = frontier.execute(frontier.Run("multi30k", "unspool", 3.0, 2), data, "1234")
    ((_, script, *words),) = calls
    assert script.endswith("rivals/processor_clock.py")
    begin = ["train", "translate", "a", "b", "--valid", "c", "--valid", "d", "--test", "e", "--test", "f"]
    assert words[:14] == [*begin, "--tokenization", "none"]
    assert words[16:] == ["--no-baselines", "--json", "--threads", "1", "--seed", "2", "--minutes", "3"]
    assert (record["score"], record["detail"]) == (30.5, "1 layer of 128, 1 minute: 3 epochs")
    assert (record["processor_seconds"], record["wall_seconds"]) == (61.0, 70.0)


# ---- report ----------------------------------------------------------------------------------------------------


def figures():
    return {
        "conditions": {"machine": "a machine"},
        "runs": [
            entry(score=0.80, seed=0),
            entry(score=0.82, seed=1),
            entry(score=0.83, minutes=3.0, seconds=170.0),
            entry(score=0.815, method="linear", minutes=None, seconds=90.0),
            entry("shakespeare", score=1.53),
            entry("shakespeare", score=1.45, minutes=10.0, seconds=600.0),
            entry("shakespeare", "kneser-ney", None, score=1.517, seconds=8.0),
            entry("shakespeare", "ppm", None, score=1.663, seconds=6.0),
            entry("shakespeare", "ppm-adaptive", None, score=1.559, seconds=6.0),
        ],
    }


def test_the_report_says_wins_and_losses(frontier):
    text = frontier.report(figures(), frontier.SETS)
    assert "2 wins, 0 even, 2 losses" in text
    words, characters = ([dict(zip(rows[0], row, strict=True)) for row in rows[1:]] for rows in tables(text))
    ours, linear, verdict = words
    assert ours["1 min"] == "81.0 ±1.4 (1.0 min, 2 seeds)"
    assert (ours["3 min"], ours["10 min"], ours["ends by itself"]) == ("83.0 (2.8 min)", "not measured", "–")
    assert (linear["1 min"], linear["ends by itself"]) == ("–", "81.5 (1.5 min)")
    assert verdict["1 min"] == "**−0.5 loss**"  # the linear model counts, though it needed longer
    assert (verdict["3 min"], verdict["10 min"]) == ("+1.5 win", "–")
    against, adaptive = characters[-2:]
    assert (against["1 min"], against["10 min"]) == ("**−0.013 loss**", "+0.067 win")  # fewer nats are better
    assert (adaptive["1 min"], adaptive["10 min"]) == ("+0.029 win", "+0.109 win")


def test_the_report_takes_its_place_on_a_page(frontier, tmp_path, capsys):
    file, page, assets = tmp_path / "figures.json", tmp_path / "page.md", tmp_path / "assets"
    file.write_text(json.dumps(figures()))
    begin, end = "<!-- measured tables -->", "<!-- end of measured tables -->"
    page.write_text(f"# Title\n\n{begin}\nold\n{end}\n\nLast.\n")
    words = ["--json", str(file), "--report", str(page), "--plots", str(assets)]
    for _ in range(2):  # the second time changes nothing
        assert frontier.main(words) == 0
        text = page.read_text()
        assert text.startswith(
            f"# Title\n\n{begin}\n\n- machine: a machine\n- commit: abc\n- load before: 1.5 to 1.5\n"
        )
        assert text.endswith(f"\n\n{end}\n\nLast.\n")
        assert "old" not in text
        assert "![Score against processor minutes](assets/frontier-classify.svg)" in text
        assert text.count("| Unspool |") == 2
    page.write_text("no place")
    with pytest.raises(SystemExit, match="expected the lines <!-- measured tables -->"):
        frontier.main(words)
    with pytest.raises(SystemExit, match="pass --json FILE"):
        frontier.main(words[2:])


def test_a_picture_has_a_panel_for_each_set_and_a_point_for_each_cell(frontier):
    pictures = frontier.pictures(figures(), frontier.SETS)
    assert sorted(pictures) == ["frontier-classify.svg", "frontier-write.svg"]
    space = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(pictures["frontier-write.svg"])
    assert "prefers-color-scheme:dark" in pictures["frontier-write.svg"]
    (panel,) = root.findall(f"{space}g")
    circles = panel.findall(f"{space}circle")
    points, legend = circles[:-1], [circle for circle in circles if circle.get("cx") == "52"]
    assert len(legend) == 4
    assert len(circles) == 5 + len(legend)
    places = [
        (float(c.get("cx")), float(c.get("cy"))) for c in points if c.get("class") == "f0" and c.get("cx") != "52"
    ]
    (x1, y1), (x2, y2) = places
    assert x1 < x2  # ten minutes stand right of one
    assert y1 < y2  # fewer nats stand lower
    (line,) = [path for path in panel.findall(f"{space}path") if path.get("class") == "line s0"]
    assert line.get("d") == f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"


def test_a_picture_of_one_point_can_be_drawn(frontier):
    one = {"runs": [entry(score=0.0, seconds=0.5)]}
    assert "<circle" in frontier.pictures(one, frontier.SETS)["frontier-classify.svg"]


def test_scores_that_moved_are_named(frontier):
    before = {"runs": [entry("small-write", minutes=None, score=0.70), entry("small-write", "ppm", None, score=0.9)]}
    same = {"runs": [entry("small-write", minutes=None, score=0.71)]}
    worse = {"runs": [entry("small-write", minutes=None, score=0.75), before["runs"][1]]}
    failed = {"runs": [entry("small-write", minutes=None, error="took too long")]}
    (line,) = frontier.compare(same, before, frontier.SMALL)
    assert line == "frontier: 1 scores compared with the stored ones, none moved by more than the tolerance"
    warning, count = frontier.compare(worse, before, frontier.SMALL)
    assert warning == "warning: small-write, Unspool: 0.750 is worse than the stored 0.700 by more than 0.03"
    assert "2 scores compared" in count
    assert frontier.compare(failed, before, frontier.SMALL)[0].endswith("failed: took too long")


def test_the_small_version_is_generated_alike_everywhere(frontier, tmp_path):
    parts = [tmp_path / name for name in ("one", "two")]
    for part in parts:
        part.mkdir()
        for description in frontier.SMALL.values():
            description.prepare(tmp_path, part)
    one, two = ({path.name: path.read_text() for path in part.iterdir()} for part in parts)
    assert one == two
    assert len(one) == 12
    assert one["small-write-train.txt"].startswith("un malness gubegalate un retiparful limon .\n")
