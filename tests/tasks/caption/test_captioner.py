"""The captioner: batches that encode an image once, networks, scores and baselines, model folders, traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unspool
from unspool import Captioner
from unspool.decoding import DecodingSettings
from unspool.errors import DataError, SettingError, UsageError
from unspool.samples.scenes import Scene, generate
from unspool.tasks.caption.attended import mass_inside
from unspool.tasks.caption.baselines import Blind, best_constant, nearest_captions
from unspool.tasks.caption.data import CaptionedExamples
from unspool.tasks.caption.scores import caption_scores

SMALL: dict[str, Any] = {
    "hidden": 24,
    "embedding": 16,
    "widths": "8",
    "stem": "4",
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "warmup": 2,
    "threads": 1,
    "device": "cpu",
    "plan": False,
}
VARIANTS = ("initial", "additive", "bilinear", "transformer", "additive, learned", "bilinear, learned")


def _rows(scenes: list[Scene]) -> list[tuple[Any, list[str]]]:
    return [(scene.picture, [caption.text for caption in scene.captions]) for scene in scenes]


TRAIN, VALID = generate(96, 1), generate(24, 1, "valid")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Captioner:
    folder = tmp_path_factory.mktemp("captioner") / "model"
    task = Captioner(**SMALL, network="additive", dropout=0.1)
    return task.fit(_rows(TRAIN), valid=_rows(VALID), out=folder)


@pytest.fixture(scope="module")
def untrained() -> dict[str, Captioner]:
    """A captioner of each network with random weights, and a vocabulary."""
    tasks = {}
    for name in VARIANTS:
        network, _, start = name.partition(", ")
        task = Captioner(**{**SMALL, "epochs": 1}, network=network, start=start or "mean", dropout=0.0, seed=3)
        tasks[name] = task.fit(_rows(TRAIN[:16]), valid=_rows(VALID[:2]), baselines=False)
    return tasks


def _examples(task: Captioner, scenes: list[Scene]) -> CaptionedExamples:
    return task._read(task._data_source(_rows(scenes)))


@pytest.mark.parametrize("network", VARIANTS)
def test_captions_of_one_image_have_the_losses_of_each_alone(untrained: dict[str, Captioner], network: str) -> None:
    task = untrained[network]
    several = [scene for scene in TRAIN if len(scene.captions) == 2][:5]
    encoded = task.fitted.encode(_examples(task, several), every=True)
    batch = encoded.batch(np.arange(5))
    assert len(batch.inputs_once.values) == 5
    assert batch.index.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    alone = [
        task.fitted.encode(_examples(task, [Scene(scene.picture, (caption,))])).batch(np.array([0]))
        for scene in several
        for caption in scene.captions
    ]
    model = task.model.eval().double()
    try:
        whole = _gradients(model, [batch.to("cpu")])
        parts = _gradients(model, alone)
    finally:
        model.float()
    assert whole[0] == pytest.approx(parts[0], rel=1e-9)
    for one, other in zip(whole[1], parts[1], strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-9)


def _gradients(model: Any, batches: list[Any]) -> tuple[float, list[torch.Tensor]]:
    model.zero_grad()
    total = 0.0
    for batch in batches:
        images = batch.inputs_once
        double = type(images)(images.values.double(), images.steps)
        loss = model.loss(type(batch)(double, batch.target, batch.index)).total
        loss.backward()
        total += float(loss.detach())
    return total, [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


def test_shards_hold_the_captions_of_their_images(untrained: dict[str, Captioner]) -> None:
    task = untrained["bilinear"]
    batch = task.fitted.encode(_examples(task, TRAIN[:7])).batch(np.arange(7))
    whole = task.model.eval().loss(batch)
    shards = [batch.shard(rank, 3) for rank in range(3)]
    assert sum(len(shard.inputs_once.values) for shard in shards if shard is not None) == 7
    losses = [task.model.loss(shard) for shard in shards if shard is not None]
    assert sum(loss.count for loss in losses) == whole.count
    assert sum(float(loss.total.detach()) for loss in losses) == pytest.approx(float(whole.total.detach()), rel=1e-5)
    assert batch.shard(7, 8) is None


def test_epochs_draw_other_captions_of_many() -> None:
    captions = [f"a {colour} dog" for colour in ("red", "blue", "green", "white", "brown", "black")]
    task = Captioner(**SMALL, most_captions=2)
    examples = task._read(task._data_source([(TRAIN[0].picture, captions), (TRAIN[1].picture, captions[:1])]))
    task._learn(examples)
    encoded = task.fitted.encode(examples)

    def drawn(epoch: int) -> list[str]:
        batch = encoded.in_epoch(epoch).batch(np.array([0, 1]))
        assert batch.index.tolist() == [0, 0, 1]
        return [task.vocabulary.decode(batch.target.ids[:3, row].tolist()) for row in range(2)]

    epochs = [drawn(number) for number in range(12)]
    assert all(len(set(each)) == 2 for each in epochs)
    assert {caption for each in epochs for caption in each} == set(captions)
    assert drawn(4) == epochs[4]
    assert len(task.fitted.encode(examples, every=True).batch(np.array([0])).index) == 6


@pytest.mark.parametrize("network", VARIANTS)
def test_decoding_step_by_step_equals_one_pass(untrained: dict[str, Captioner], network: str) -> None:
    task = untrained[network]
    greedy = DecodingSettings(search="greedy", length_penalty=0.0)
    caption = task.predict(VALID[1].picture, decoding=greedy)  # type: ignore[call-overload]
    assert (caption.attention is None) == (network == "initial")
    assert caption.grid == (12, 12)
    task.settings = task.settings.replace(**{"decoding.search": "greedy"})
    trace = task.trace(VALID[1].picture)
    assert trace.prediction["caption"] == caption.caption
    assert trace.image is not None
    assert np.array_equal(trace.image.pixels, VALID[1].picture)
    assert ("attention" in trace.maps) == (network != "initial")
    if network != "initial":
        weights = trace.map("attention").values
        assert weights.shape == (len(caption.units), 144)
        assert np.allclose(weights.sum(1), 1, atol=1e-5)
        assert np.abs(weights - np.array(caption.attention)).max() < 1e-3
    assert trace.written is not None
    assert sum(trace.written.prediction["surprise"]) == pytest.approx(-caption.score, rel=1e-4)


@pytest.mark.parametrize("network", ["additive, learned", "bilinear, learned"])
def test_a_learned_start_is_the_same_for_every_image(untrained: dict[str, Captioner], network: str) -> None:
    task = untrained[network]
    batch = task.fitted.encode(_examples(task, TRAIN[:3])).batch(np.arange(3))
    start = task.model.start(batch)
    for layer in start.layers:
        for part in layer:
            for tensor in getattr(part, "inner", part):
                assert torch.equal(tensor, tensor[:1].expand_as(tensor))
    other = untrained[network.partition(",")[0]]
    assert not torch.equal(*other.model.start(batch).layers[0][0][0][:2])


def test_a_network_without_attention_starts_from_the_image() -> None:
    with pytest.raises(SettingError, match="start = learned does not fit"):
        Captioner(**SMALL, network="initial", start="learned").fit(_rows(TRAIN[:4]), valid=_rows(VALID[:2]))


def test_places_say_how_far_apart_two_cells_are(untrained: dict[str, Captioner]) -> None:
    assert untrained["bilinear"].model.source.places.shape == (144, 2)
    places = untrained["bilinear, learned"].model.source.places
    assert places.shape == (144, 4)
    across, down = places[[13, 22]].mean(0), places[[13, 121]].mean(0)
    spread = lambda mean: mean[2:] - mean[:2] ** 2  # noqa: E731
    assert spread(across).tolist() == pytest.approx([0.5625, 0.0], abs=1e-6)
    assert spread(down).tolist() == pytest.approx([0.0, 0.5625], abs=1e-6)


def test_a_caption_does_not_depend_on_its_batch(model: Captioner) -> None:
    pictures = [scene.picture for scene in VALID]
    together = model.predict(pictures)
    assert together[3].caption == model.predict(pictures[3]).caption  # type: ignore[call-overload]
    assert together[3].score == pytest.approx(model.predict([pictures[3]])[0].score, abs=1e-4)


def test_scores_stand_beside_baselines_and_shuffled_images(model: Captioner) -> None:
    assert model.record is not None
    scores = model.record.metrics["valid"]
    assert {"bleu-1", "bleu-4", "rouge-l", "cider-d", "exact", "distinct", "cider-d, images shuffled"} <= set(scores)
    again = model.evaluate(_rows(VALID))
    assert again == scores
    captions = [each.caption for each in model.predict([scene.picture for scene in VALID])]
    references = [[caption.text for caption in scene.captions] for scene in VALID]
    assert caption_scores(captions, references)["cider-d"] == pytest.approx(scores["cider-d"], abs=1e-3)
    shuffled = caption_scores([*captions[1:], captions[0]], references)["cider-d"]
    assert shuffled == pytest.approx(scores["cider-d, images shuffled"], abs=1e-3)
    assert list(model.record.baselines) == [
        "constant caption",
        "nearest training image",
        "language model without image",
    ]
    notes = model.score_notes(_rows(VALID))
    assert "24 images" in notes[0]


def test_a_saved_model_writes_the_same_captions(model: Captioner, tmp_path: Path) -> None:
    model.save(tmp_path / "copy")
    again = unspool.load(tmp_path / "copy")
    pictures = [scene.picture for scene in VALID[:6]]
    assert again.predict(pictures) == model.predict(pictures)
    assert isinstance(again, Captioner)


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    rows, valid = _rows(TRAIN[:32]), _rows(VALID[:4])
    settings = {**SMALL, "network": "bilinear", "most_captions": 1, "dropout": 0.2, "move": 2}
    whole = Captioner(**{**settings, "epochs": 3}).fit(rows, valid=valid, baselines=False, out=tmp_path / "whole")

    def stop(progress: Any, scores: Any) -> bool:
        return bool(progress.epoch >= 1)

    cut = tmp_path / "cut"
    Captioner(**{**settings, "epochs": 3}).fit(rows, valid=valid, baselines=False, out=cut, callbacks=[stop])
    resumed = Captioner(**{**settings, "epochs": 3}).fit(rows, valid=valid, baselines=False, out=cut, resume=True)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_two_captioners_are_compared_image_by_image(model: Captioner, untrained: dict[str, Captioner]) -> None:
    found = model.compare_with(untrained["bilinear"], _rows(VALID[:5]))
    assert len(found.examples) == 5


def test_edits_of_attention_change_the_caption_or_its_values(model: Captioner) -> None:
    picture = VALID[0].picture
    fork = model.fork(picture, ["attention = 0"])
    changed = fork.edited.map("attention").values
    assert not np.allclose(changed, fork.original.map("attention").values)


def test_training_learns_to_name_single_colours() -> None:
    singles = [scene for scene in generate(400, 7) if len(scene.captions) == 1]
    rows = [(scene.picture, scene.captions[0].words[2]) for scene in singles]
    task = Captioner(**{**SMALL, "epochs": 12, "widths": "12"}, network="bilinear", choose_by="exact", dropout=0.0)
    task.fit(rows[:100], valid=rows[100:], baselines=False)
    assert task.record is not None
    assert task.record.metrics["valid"]["exact"] > 0.9


# ---- baselines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["bleu-4", "cider-d", "exact"])
def test_the_constant_caption_is_the_one_that_fits_most_images(score: str) -> None:
    captions = [
        *[("a dog", "a dog runs on the wet grass")] * 5,
        *[("two men in the white snow", "two men in the snow")] * 2,
        ("a man in the snow",),
        ("a red ball",),
    ]
    every = dict.fromkeys(each for row in captions for each in row)
    best = {each: caption_scores([each] * len(captions), captions)[score] for each in every}
    chosen = best_constant(captions, score)
    assert best[chosen] == max(best.values())
    assert (chosen == "a dog") == (score == "exact")


def test_the_nearest_image_lends_its_most_typical_caption() -> None:
    train = np.array([[0.0, 0.0], [5.0, 1.0]], np.float32)
    captions = [("a cat",), ("snow falls", "a dog runs on grass", "a dog runs on the grass")]
    nearest = nearest_captions(train, captions, np.array([[4.0, 0.0], [0.4, 0.3]], np.float32))
    assert nearest[1] == "a cat"
    assert nearest[0].startswith("a dog runs")


def test_the_model_without_image_writes_the_likeliest_caption(model: Captioner) -> None:
    encoded = model.fitted.encode(_examples(model, TRAIN), every=True)
    blind = Blind.learn(encoded.captions, len(model.vocabulary), 20)
    words = model.vocabulary.decode(blind.caption).split()
    assert words[0] == "a"
    assert words[1] in ("small", "large")
    held_out = model.fitted.encode(_examples(model, VALID), every=True)
    assert 1 < blind.perplexity(encoded.captions) < blind.perplexity(held_out.captions) < len(model.vocabulary)


# ---- data ----------------------------------------------------------------------------------------------------------


def _write(folder: Path, names: list[str]) -> None:
    from unspool.inspection.png import png_bytes

    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(png_bytes(TRAIN[number].picture))


def test_rows_of_one_image_are_its_references(tmp_path: Path) -> None:
    _write(tmp_path, ["images/one.png", "two.png"])
    table = tmp_path / "train.tsv"
    table.write_text("image\tcaption\none.png\tA red dog .\ntwo.png\tsnow\nimages/one.png\ta dog\n")
    examples = Captioner()._read(str(table))
    assert examples.captions == [("A red dog .", "a dog"), ("snow",)]
    assert [image.name for image in examples.images] == [str(tmp_path / "images/one.png"), str(tmp_path / "two.png")]  # type: ignore[union-attr]
    assert examples.sizes() == {"images": 2, "captions": 3}
    train, valid = examples.divide(0.5, 1)
    assert sorted([*train.captions, *valid.captions]) == sorted(examples.captions)


def test_a_row_may_hold_a_list_of_captions(tmp_path: Path) -> None:
    _write(tmp_path, ["one.png"])
    (tmp_path / "rows.jsonl").write_text(json.dumps({"file": "one.png", "captions": ["a dog", "a cat"]}) + "\n")
    assert Captioner()._read(str(tmp_path / "rows.jsonl")).captions == [("a dog", "a cat")]


def test_a_folder_holds_images_with_texts(tmp_path: Path) -> None:
    _write(tmp_path, ["one.png", "two.png"])
    (tmp_path / "one.txt").write_text("a dog\n\na red dog\n")
    with pytest.raises(DataError, match=r"two\.txt"):
        Captioner()._read(str(tmp_path))
    (tmp_path / "two.txt").write_text("a cat")
    assert Captioner()._read(str(tmp_path)).captions == [("a dog", "a red dog"), ("a cat",)]


def test_flickrs_lists_choose_images_of_the_token_file(tmp_path: Path) -> None:
    _write(tmp_path, ["images/a.png", "images/b.png"])
    lines = ["a.png#0\tA dog .", "a.png#1\tA brown dog .", "b.png#0\tTwo men , one # 7"]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("b.png\n")
    assert Captioner()._read(str(tmp_path / "Flickr8k.token.txt")).sizes() == {"images": 2, "captions": 3}
    assert Captioner()._read(str(tmp_path / "Flickr_8k.trainImages.txt")).captions == [("Two men , one # 7",)]
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("b.png\nc.png\n")
    with pytest.raises(DataError, match=r"trainImages\.txt:2: there is no caption of 'c\.png'"):
        Captioner()._read(str(tmp_path / "Flickr_8k.trainImages.txt"))


def test_cocos_json_is_read(tmp_path: Path) -> None:
    _write(tmp_path, ["pictures/a.png"])
    content = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "annotations": [{"image_id": 7, "caption": "a dog"}, {"image_id": 7, "caption": "a cat"}],
    }
    file = tmp_path / "captions.json"
    file.write_text(json.dumps(content, indent=1))
    task = Captioner(format="coco", images=str(tmp_path / "pictures"))
    assert task._read(str(file)).captions == [("a dog", "a cat")]
    content["annotations"][1]["image_id"] = 8
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"captions\.json:2"):
        task._read(str(file))
    file.write_text("[1]")
    with pytest.raises(DataError, match="no captions of COCO"):
        task._read(str(file))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("none.png\ta dog", "train.tsv:2: .*no such file"),
        ("one.png\t ", "train.tsv:2: column 'caption' is empty"),
        (" \ta dog", "train.tsv:2: column 'image' is empty"),
        ("train.tsv\ta dog", "train.tsv:2: .*no image"),
    ],
)
def test_bad_rows_name_their_place(tmp_path: Path, row: str, message: str) -> None:
    _write(tmp_path, ["one.png"])
    (tmp_path / "train.tsv").write_text(f"image\tcaption\n{row}\none.png\tsnow\n")
    with pytest.raises(DataError, match=message):
        Captioner()._read(str(tmp_path / "train.tsv"))
    examples = Captioner(skip_bad=True)._read(str(tmp_path / "train.tsv"))
    assert examples.captions == [("snow",)]


def test_texts_are_no_images(model: Captioner) -> None:
    with pytest.raises(DataError, match="no such file"):
        model.predict("no-such-picture.png")
    with pytest.raises(UsageError, match="one image"):
        model.trace([VALID[0].picture, VALID[1].picture])


# ---- attention inside boxes ----------------------------------------------------------------------------------------


def test_mass_inside_spreads_a_cell_over_its_area() -> None:
    cells = np.array([[0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4], [2, 2, 4, 4]], float)
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    assert mass_inside(weights, cells, [(0, 0, 2, 4)]) == pytest.approx(0.6)
    assert mass_inside(weights, cells, [(1, 0, 3, 1)]) == pytest.approx(0.4 / 4 + 0.3 / 4)
    assert mass_inside(weights, cells, [(0, 0, 1, 1), (3, 3, 4, 4)]) == pytest.approx(0.1 + 0.025)
    assert mass_inside(2 * weights, cells, [(0, 0, 4, 4)]) == pytest.approx(1.0)
