"""A recommender learns what follows, keeps its promises about seen items, and says which items moved it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unspool
from unspool import Recommender
from unspool.data import Tokens
from unspool.errors import DataError, ModelFolderError, SettingError, UsageError
from unspool.tasks.recommend.data import Histories

TITLES = ["Alien (1979)", "Brazil (1985)", "Casablanca (1942)", "Good, the Bad and the Ugly, The (1966)", "Diva (1981)"]
TITLES += ["Eraserhead (1977)", "Fargo (1996)", "Sabrina (1954)", "Sabrina (1995)", "Gandhi (1982)", "Heat (1995)"]
SMALL = {"hidden": 12, "embedding": 12, "threads": 1, "plan": False, "seed": 3, "k": 3}


def cycles(count=60, seed=0):
    """Histories that walk along a cycle of the items, each from a place of its own: the next item is certain."""
    draw, items = np.random.default_rng(seed), len(TITLES)
    starts, lengths = draw.integers(items, size=count), draw.integers(4, 9, size=count)
    return {
        f"u{user}": [str(10 + (start + step) % items) for step in range(length)]
        for user, (start, length) in enumerate(zip(starts, lengths, strict=True))
    }


@pytest.fixture(scope="module")
def titles(tmp_path_factory):
    path = tmp_path_factory.mktemp("titles") / "films.csv"
    rows = [f'{10 + place},"{title}"' for place, title in enumerate(TITLES)]
    path.write_text("\n".join(["item,title", *rows]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def model(titles, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "films"
    task = Recommender(titles=titles, epochs=25, learning_rate=0.02, dropout=0.1, batch_size=16, **SMALL)
    return task.fit(cycles(), out=out)


def test_the_next_item_is_learned(model):
    assert model.record.metrics["test"]["hr@3"] > 0.9
    assert model.predict(["Brazil (1985)", "Casablanca (1942)"]).items[0] == TITLES[3]
    assert {"popularity", "Markov chain", "item neighbours"} == set(model.record.baselines)


def test_a_history_has_many_spellings(model):
    wanted = model.predict(["10", "11", "13"])
    assert wanted.history == [TITLES[0], TITLES[1], TITLES[3]]
    for same in (
        "Alien, Brazil, Good, the Bad and the Ugly, The (1966)",
        "alien (1979); BRAZIL; the good, the bad and the ugly",
        "10 11 13",
        ["Alien", "Brazil", "13"],
        [10, 11, 13],
        np.array(["10", "11", "13"]).tolist(),
    ):
        assert model.predict(same) == wanted
    assert model.predict([["10", "11", "13"], "Fargo"])[0].items == wanted.items  # batched with a shorter one
    assert [len(each.history) for each in model.predict_each(["Alien, Brazil", "Fargo"])] == [2, 1]


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ("Allien", r"text 1: there is no item 'Allien' in this model \(did you mean 'Alien \(1979\)'\?\)"),
        (["Sabrina"], r"'Sabrina' may be Sabrina \(19\d\d\) or Sabrina \(19\d\d\); write the whole title"),
        ("", "the history is empty"),
        ([["Alien"], []], "text 2: the history is empty"),
        ([["Alien"], ["Alien", None]], "expected a list of items"),
    ],
)
def test_a_bad_history_is_one_sentence(model, history, message):
    with pytest.raises(DataError, match=message):
        model.predict(history)


def test_lists_have_k_items_none_seen_or_excluded(model):
    one = model.predict("Alien, Brazil", k=4, exclude=["Casablanca", "13"])
    assert len(one.items) == 4
    assert not {*TITLES[:4]} & {*one.items}
    everything = model.predict("Alien, Brazil", k=99)
    assert len(everything.items) == len(TITLES) - 2
    assert sum(everything.probabilities) == pytest.approx(1, abs=1e-5)
    assert everything.probabilities == sorted(everything.probabilities, reverse=True)
    with pytest.raises(UsageError, match="k = 0"):
        model.predict("Alien", k=0)


def test_what_is_predicted_writes_itself(model):
    one = model.predict("Alien, Brazil", k=2)
    first = one.record()["items"][0]
    assert first == {"id": one.ids[0], "title": one.items[0], "probability": one.probabilities[0]}
    assert one.line().startswith(f"{TITLES[2]} {one.probabilities[0]:.3f}; {one.items[1]} ")
    assert one.table().splitlines()[0] == "after Alien (1979), Brazil (1985):"


def test_a_loaded_model_predicts_and_scores_the_same(model, tmp_path):
    model.save(tmp_path / "again")
    loaded = unspool.load(tmp_path / "again", Recommender)
    assert loaded.predict("Alien, Fargo") == model.predict("Alien, Fargo")
    assert loaded.evaluate(cycles(seed=5)) == model.evaluate(cycles(seed=5))
    assert loaded.fitted.mixture == model.fitted.mixture
    file = tmp_path / "again" / "vocabulary" / "items.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"10"', '"11"'), encoding="utf-8")
    with pytest.raises(ModelFolderError, match="the list of items is damaged"):
        unspool.load(tmp_path / "again")


def test_a_resumed_training_ends_with_the_same_bits(tmp_path):
    def run(out, resume=False, **more):
        task = Recommender(epochs=4, dropout=0.2, item_dropout=0.1, loss="sampled", negatives=5, **SMALL)
        return task.fit(cycles(), out=out, resume=resume, **more)

    whole = run(tmp_path / "whole")
    seen = []
    run(tmp_path / "parts", callbacks=[lambda progress, scores: seen.append(1) or len(seen) == 2])
    assert len(seen) == 2
    parts = run(tmp_path / "parts", resume=True)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, parts.model.state_dict()[name]), name
    assert whole.fitted.mixture == parts.fitted.mixture


NETWORKS = [
    {"cell": "gru"},
    {"cell": "mingru", "layers": 2},
    {"network": "transformer", "heads": 2, "feedforward": 8, "layers": 2, "positions": "learned"},
    {"network": "window", "window": 3, "layers": 2},
]


def untrained(**values):
    task = Recommender(**{**SMALL, "mix": False, **values})
    histories = task._read(task._data_source(cycles()))
    task._learn(histories)
    torch.manual_seed(1)
    task.model = task._build().eval()
    with torch.no_grad():
        for weight in task.model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.7)
    return task, histories


@pytest.mark.parametrize("values", NETWORKS, ids=lambda values: values.get("network", values.get("cell")))
def test_no_step_sees_a_later_item_or_padding(values):
    task, _ = untrained(**values)
    ids = torch.tensor([[3, 5, 2, 9, 1], [4, 4, 7, 8, 8]]).T
    whole = task.model.states(Tokens(ids, torch.tensor([5, 3])))
    for row, length in enumerate((5, 3)):
        for steps in range(1, length + 1):
            alone = task.model(Tokens(ids[:steps, row : row + 1], torch.tensor([steps])))
            expected = task.model.softmax.logits(whole[steps - 1, row])
            torch.testing.assert_close(alone[0], expected, rtol=1e-4, atol=1e-4)


def test_a_window_ends_at_its_width():
    task, _ = untrained(network="window", window=3)
    near, far = (task.model(Tokens(torch.tensor([[first], [5], [2], [9]]), torch.tensor([4]))) for first in (3, 7))
    assert torch.equal(near, far)
    assert not torch.equal(near, task.model(Tokens(torch.tensor([[3], [5], [1], [9]]), torch.tensor([4]))))


def test_training_targets_each_item_once_from_those_before_it():
    task, histories = untrained(max_history=3)
    encoded = task._encode(histories)
    targets = np.bincount(np.concatenate(list(encoded.targets)), minlength=12)
    flat, offsets = histories.flat, histories.offsets
    later = np.setdiff1d(np.arange(len(flat)), offsets[:-1])
    ids = task.fitted.items.table(histories.names)[flat[later]] + 1
    np.testing.assert_array_equal(targets, np.bincount(ids, minlength=12))
    assert encoded.lengths.max() == 3


def test_the_ranking_is_that_of_predict():
    task, histories = untrained()
    scores = task._score(task.model, histories)
    hits = 0
    for user in range(len(histories)):
        codes = histories.flat[histories.offsets[user] : histories.offsets[user + 1]]
        *history, target = [histories.names[code] for code in codes]
        hits += target in task.predict(history).ids
    assert scores["hr@3"] == pytest.approx(hits / len(histories))


def test_seen_items_may_be_ranked():
    task, _ = untrained(seen="rank")
    assert len(task.predict(["10", "11"], k=99).items) == len(TITLES)
    assert "10" not in task.predict(["10", "11"], k=99, exclude=["10"]).ids


def test_influence_is_the_change_without_an_item(model):
    history = ["Alien (1979)", "Brazil (1985)", "Fargo (1996)"]
    influence = model.trace(history).map("left out")
    assert influence.columns == tuple(history)
    assert influence.rows == tuple(model.predict(history).items)
    whole = model.predict(history, k=99)
    for place, item in enumerate(history):
        rest = [each for each in history if each != item]
        without = model.predict(rest, k=99, exclude=[item])
        for row, title in enumerate(influence.rows):
            before, after = (dict(zip(each.items, each.probabilities, strict=True))[title] for each in (whole, without))
            assert influence.values[row, place] == pytest.approx(np.log(before) - np.log(after), abs=2e-3)
    assert model.trace("Alien").map("left out").values.shape == (3, 1)


def test_a_trace_has_gates_and_an_edit_may_replace_an_item(model):
    trace = model.trace("Alien, Brazil")
    assert trace.tokens == ("Alien (1979)", "Brazil (1985)")
    assert trace.array("layer 1 / update").shape == (2, 12)
    assert list(trace.prediction["probabilities"]) == model.predict("Alien, Brazil").items
    replaced = model.trace("Alien, Brazil", edits="token = 'Fargo' @ 2")
    assert list(replaced.prediction["probabilities"]) == model.predict("Alien, Fargo").items
    gradients = model.gradients("Alien, Brazil, Fargo", jacobians=False)
    assert gradients.losses[:2] == ("Brazil (1985)", "Fargo (1996)")
    assert gradients.norms["layer 1 / h"].shape == (3, 3)


def test_settings_that_leave_nothing_are_refused():
    with pytest.raises(SettingError, match="hold everything out"):
        Recommender(valid_fraction=0.5, test_fraction=0.5)
    with pytest.raises(UsageError, match="labels came"):
        Recommender().fit([["a", "b"]], ["x"])
    with pytest.raises(DataError, match="no history is left"):
        Recommender(**SMALL).fit({"ann": ["a"], "bob": ["b"]})


def test_titles_of_other_items_are_refused(titles):
    with pytest.raises(DataError, match=r"films.csv: no item of the data, such as 'a', is in the table of titles"):
        Recommender(titles=titles, **SMALL).fit([["a", "b", "c", "d"]] * 3)


def test_strange_and_repeated_targets_are_noted(model):
    examples = Histories(
        ["u"] * 2, ["10", "11", "zz"], np.array([0, 1, 2, 0, 1, 0]), np.array([0, 3, 6]), np.array([2, 2])
    )
    one, two = model.fitted.score_notes(examples)
    assert one == "1 target of 2 were not in the training data, and count as missed"
    assert "1 of 2 targets were in the history before" in two
    assert "seen='rank'" in unspool.errors.for_python(two)
