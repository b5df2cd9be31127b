"""Features rank items that nobody had, users' features move recommendations, and both survive saving."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unspool
from unspool import Recommender
from unspool.errors import DataError, ModelFolderError, UsageError
from unspool.tasks.recommend.alike import most_alike

GENRES = ["action", "comedy", "drama", "war"]
EACH = 6
SMALL = {"hidden": 12, "embedding": 12, "threads": 1, "plan": False, "seed": 3, "k": EACH + 3, "patience": None}
SMALL |= {"dropout": 0.1, "batch_size": 16, "learning_rate": 0.03}


def people(count=160):
    """Histories whose genres follow in turn, a random item of each; women walk forwards, men backwards."""
    draw = np.random.default_rng(1)
    for user in range(count):
        start, woman = draw.integers(4), user % 2
        steps = np.arange(draw.integers(5, 8)) * (1 if woman else -1)
        yield f"u{user}", "F" if woman else "M", [(int(g), int(draw.integers(EACH))) for g in (start + steps) % 4]


def histories(women=True):
    return {user: [f"{g}-{n}" for g, n in items] for user, sex, items in people() if sex == "F" or not women}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of the items, with a new one of each genre, of later items, and of the users."""
    place = tmp_path_factory.mktemp("tables")
    rows = [f"{g}-{n},Film{g}n{n},{GENRES[g]}" for g in range(4) for n in range(EACH)]
    new = [f'new-{g},"The New One, {g}",{GENRES[g]}' for g in range(4)]
    (place / "items.csv").write_text("\n".join(["item,title,genre", *rows, *new]) + "\n")
    later = [f"later-{g},Later {g},{GENRES[g]}" for g in range(4)]
    (place / "later.csv").write_text("\n".join(["item,title,genre", rows[0], *later]) + "\n")
    (place / "users.csv").write_text("\n".join(["user,sex", *(f"{user},{sex}" for user, sex, _ in people())]) + "\n")
    return place


@pytest.fixture(scope="module")
def model(tables, tmp_path_factory):
    task = Recommender(items=str(tables / "items.csv"), epochs=8, **SMALL)
    return task.fit(histories(), out=tmp_path_factory.mktemp("models") / "films", overwrite=True)


@pytest.fixture(scope="module")
def of_users(tables):
    task = Recommender(users=str(tables / "users.csv"), epochs=16, mix=False, **SMALL)
    return task.fit(histories(women=False))


def genre(title):
    return title.removeprefix("Film")[0]


@pytest.mark.parametrize("follows", range(4))
def test_a_new_item_is_ranked_by_its_features(model, follows):
    history = [f"{(follows + 2) % 4}-1", f"{(follows + 3) % 4}-5"]
    ranked = model.predict(history, k=99).items
    place = ranked.index(f"The New One, {follows}")
    others = {ranked.index(f"The New One, {each}") for each in range(4) if each != follows}
    assert place <= EACH + 1
    assert place < min(others)
    assert {genre(title) for title in ranked[: EACH - 1] if "New" not in title} == {str(follows)}


def test_later_items_join_a_trained_model(model, tables, tmp_path):
    model.save(tmp_path / "copy")
    copy = unspool.load(tmp_path / "copy", Recommender)
    before = copy.predict(["0-1", "1-5"], k=99)
    assert copy.add_items(str(tables / "later.csv")) == 4
    assert copy.add_items(str(tables / "later.csv")) == 0
    after = copy.predict(["0-1", "1-5"], k=99)
    assert after.items.index("Later 2") <= EACH + 2
    assert [item for item in after.items if "Later" not in item] == before.items
    assert copy.trace("Later 1, 2-3").map("left out").columns == ("Later 1", "Film2n3")
    copy.save(tmp_path / "more")
    again = unspool.load(tmp_path / "more", Recommender)
    assert again.predict(["0-1", "1-5"], k=99) == after
    assert again.evaluate({"x": ["0-1", "1-2", "later-2"]})[f"hr@{EACH + 3}"] == 1


def test_new_items_learn_nothing_of_their_own(model):
    trained, weight = model.fitted.items.trained, model.model.embedding.table.weight
    assert trained == 4 * EACH
    assert model.fitted.items.items[trained:] == tuple(f"new-{g}" for g in range(4))
    assert weight[trained + 1 :].abs().max() == 0
    bias = model.model.softmax.bias
    torch.testing.assert_close(bias[trained + 1 :], bias[1 : trained + 1].mean().expand(4))


def test_new_items_take_the_counts_of_the_items_most_alike(model):
    items, alike = model.fitted.items, model.fitted.alike
    for g, row in enumerate(alike):
        assert {items.items[place][0] for place in row[:EACH]} == {str(g)}
    assert alike.shape == (4, 10)
    entries = items.entries
    by_hand = np.zeros((len(items), len(items.item_features)))
    counts = np.bincount(entries.features[: entries.offsets[items.trained]], minlength=by_hand.shape[1])
    rarity = np.log((1 + items.trained) / np.maximum(1, counts))
    for row, (begin, end) in enumerate(zip(entries.offsets[:-1], entries.offsets[1:], strict=True)):
        by_hand[row, entries.features[begin:end]] = entries.weights[begin:end]
    by_hand *= rarity
    by_hand /= np.linalg.norm(by_hand, axis=1, keepdims=True)
    cosines = by_hand[items.trained :] @ by_hand[: items.trained].T
    taken = np.take_along_axis(cosines, most_alike(entries, by_hand.shape[1], items.trained), 1)
    np.testing.assert_allclose(taken, -np.sort(-cosines, 1)[:, :10], rtol=1e-5)


def test_users_features_move_the_list(of_users):
    for sex, follows in (("F", "1"), ("M", "3")):
        ranked = of_users.predict([f"sex = {sex}", "0-2"], k=EACH).items
        assert {genre(title) for title in ranked} == {follows}
        assert of_users.predict(f"sex={sex}, 0-2", k=EACH).items == ranked
    assert of_users.record.metrics["test"][f"hr@{EACH + 3}"] > 0.8


def test_the_table_of_users_serves_predictions_and_scores(of_users, tables, tmp_path):
    (tmp_path / "data.csv").write_text("user,item\nu0,0-2\nu1,0-2\nstranger,0-2\n")
    one, two, three = (line.value for line in of_users.read_inputs(tmp_path / "data.csv"))
    assert (one, two, three) == (["sex = M", "0-2"], ["sex = F", "0-2"], ["0-2"])
    scores = of_users.evaluate({"u1": ["0-1", "1-2", "2-3"]}), of_users.evaluate({"u0": ["0-1", "3-2", "2-3"]})
    assert [each[f"hr@{EACH + 3}"] for each in scores] == [1, 1]
    (tmp_path / "swapped.csv").write_text("user,sex\nu0,F\nu1,M\n")
    of_users.use_users(str(tmp_path / "swapped.csv"))
    try:
        assert next(iter(of_users.read_inputs(tmp_path / "data.csv"))).value == ["sex = F", "0-2"]
        assert of_users.evaluate({"u1": ["0-1", "1-2", "2-3"]})["mrr"] != scores[0]["mrr"]
    finally:
        of_users.use_users(str(tables / "users.csv"))


def test_why_an_item_names_features_of_the_user(of_users):
    trace = of_users.trace("sex = F, 0-2")
    influence = trace.map("left out")
    assert influence.columns == ("sex = F", "0-2")
    assert influence.values[:, 0].max() > 0.3  # the list of a woman, who walks forwards
    assert trace.tokens == ("sex = F", "0-2")
    gradients = of_users.gradients("sex = F, 0-2, 1-3", jacobians=False)
    assert gradients.losses[0] == "0-2"


def test_training_predicts_the_first_item_after_the_features(of_users, tables):
    examples = of_users._read(of_users._data_source({"u1": ["0-1", "1-2"], "who": ["0-3", "1-1", "2-2"]}))
    encoded = of_users._encode(examples)
    items = of_users.fitted.items
    ids = {name: int(items.places([name], "x")[0]) + 1 for name in ("0-1", "1-2", "0-3", "1-1", "2-2", "sex = F")}
    assert [list(each) for each in encoded.tokens] == [[ids["sex = F"], ids["0-1"]], [ids["0-3"], ids["1-1"]]]
    assert [list(each) for each in encoded.targets] == [[ids["0-1"], ids["1-2"]], [ids["1-1"], ids["2-2"]]]


def test_a_resumed_training_ends_with_the_same_bits(tables, tmp_path):
    def run(out, resume=False, **more):
        paths = {"items": str(tables / "items.csv"), "users": str(tables / "users.csv")}
        task = Recommender(epochs=3, feature_dropout=0.3, loss="sampled", negatives=5, **paths, **SMALL)
        return task.fit(histories(women=False), out=out, resume=resume, **more)

    whole = run(tmp_path / "whole")
    run(tmp_path / "parts", callbacks=[lambda progress, scores: True])
    parts = run(tmp_path / "parts", resume=True)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, parts.model.state_dict()[name]), name
    assert whole.fitted.mixture == parts.fitted.mixture


def test_what_does_not_fit_is_one_sentence(model, of_users, tables, tmp_path):
    with pytest.raises(UsageError, match="learned no features of items, so it can't rank new ones"):
        of_users.add_items(str(tables / "later.csv"))
    with pytest.raises(UsageError, match="learned no features of users"):
        model.use_users(str(tables / "users.csv"))
    with pytest.raises(DataError, match=r"text 1: sex = 'X': expected one of F, M"):
        of_users.predict("sex = X, 0-1")
    with pytest.raises(DataError, match=r"text 1: there is no feature 'age'; the features are sex"):
        of_users.predict("age = 3, 0-1")
    (tmp_path / "other.csv").write_text("item,genre\nzz,war\nyy,war\n")
    with pytest.raises(DataError, match=r"other.csv: no item of the data, such as '\d-\d', is in the table of items"):
        Recommender(items=str(tmp_path / "other.csv"), **SMALL).fit(histories())
    model.save(tmp_path / "broken")
    file = tmp_path / "broken" / "vocabulary" / "items.json"
    file.write_text(file.read_text().replace('"drama",', ""))
    with pytest.raises(ModelFolderError):
        unspool.load(tmp_path / "broken")
