"""Images as input: found in tables and folders, brought to one size, standardised, augmented, and encoded."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from image_samples import image_bytes, many_stripes, stripes, write_image
from unspool.data import Bucketed, FeatureGrid, Picture, image_of
from unspool.errors import DataError, ModelFolderError, SettingError
from unspool.inputs import read_labelled
from unspool.inputs.images.augmentation import changed_images
from unspool.inputs.images.entry import read_image_paths
from unspool.inputs.images.fitted import FittedImages
from unspool.inputs.images.geometry import fitted_pixels, permutation, permutation_hash, usual_size
from unspool.inputs.images.settings import ImageSettings
from unspool.tasks.classify.settings import ClassifierSettings

SIZE = {"width": 13, "height": 10}


def settings(network: str = "convolutional", **image: object) -> ClassifierSettings:
    return ClassifierSettings().replace(
        **{"network.network": network, "network.cell": "gru", "network.hidden": 6, "network.dropout": 0.0},
        **{"network.heads": 2, "network.feedforward": 7, "image.residual.widths": "4,6", "image.patch": 3},
        **{f"image.{name}": value for name, value in image.items()},
    )


def pictures(count: int = 6, channels: int = 1, **size: int) -> list[Picture]:
    images, _ = many_stripes(count, channels=channels, **(SIZE | size))
    return [image_of(pixels, f"{place}.png") for place, pixels in enumerate(images)]


def learned(values: list | None = None, network: str = "convolutional", **image: object) -> FittedImages:
    return FittedImages.learn(pictures() if values is None else values, ("path",), settings(network, **image))


def values_of(fitted: FittedImages, images: list, epoch: int | None = None) -> np.ndarray:
    encoded = fitted.encode(images, [""] * len(images))
    encoded = encoded if epoch is None else encoded.in_epoch(epoch)
    return encoded.batch(np.arange(len(images))).values.numpy()


# ---- tables and folders ----------------------------------------------------------------------------------------------


def folder(place, count: int = 6, **size: int):
    for number, (pixels, label) in enumerate(zip(*many_stripes(count, **size), strict=True)):
        write_image(place / label / f"{number}.png", pixels)
    return place


def test_a_folder_of_class_folders_gives_its_files_with_the_folders_as_labels(tmp_path):
    reader = read_labelled(folder(tmp_path / "data"))
    rows = list(reader)
    assert [(row.labels[0], row.value.name[-5:]) for row in rows][:4] == [
        ("across", "0.png"),
        ("across", "3.png"),
        ("down", "1.png"),
        ("down", "4.png"),
    ]
    assert (reader.layout.input, reader.layout.values) == ("images", ("image",))
    assert_array_equal(rows[2].value.pixels(), stripes("down", 1))


def test_the_paths_of_a_table_are_relative_to_its_folder_and_lists_are_read(tmp_path, monkeypatch):
    folder(tmp_path / "data")
    monkeypatch.chdir("/")
    table = tmp_path / "data" / "train.csv"
    table.write_text("poster,genres\ndown/1.png,x\n./across/../across/0.png,y\n")
    assert [(row.where, row.labels) for row in read_labelled(table)] == [
        (f"{table}:2", ("x",)),
        (f"{table}:3", ("y",)),
    ]
    (tmp_path / "list.txt").write_text("data/down/1.png\n\ndata/across/0.png\n")
    paths = [line.value for line in read_image_paths(tmp_path / "list.txt")]
    assert paths == [str(tmp_path / "data/down/1.png"), "", str(tmp_path / "data/across/0.png")]
    assert [line.value for line in read_image_paths(table)] == [paths[0], f"{tmp_path}/data/across/../across/0.png"]
    assert len(list(read_image_paths(tmp_path / "data" / "down"))) == 2


def test_bad_images_name_line_and_file_or_are_left_out(tmp_path):
    write_image(tmp_path / "good.png", stripes("down", 1))
    (tmp_path / "bad.png").write_bytes(b"no image at all")
    table = tmp_path / "train.tsv"
    table.write_text("path\tlabel\n" + "good.png\ta\n" * 3 + "bad.png\ta\nmissing.png\tb\n\tb\ngood.png\t\n")
    with pytest.raises(DataError) as caught:
        list(read_labelled(table))
    assert str(caught.value).startswith(f"{table}:5: {tmp_path}/bad.png: no image: the file begins with b'no image at ")
    reader = read_labelled(table, skip_bad=True)
    assert len(list(reader)) == 3
    messages = [str(error) for error in reader.bad]
    assert reader.skipped == 4
    assert "missing.png: no such file" in messages[1]
    assert "column 'path' is empty; expected the path of an image" in messages[2]


def test_rows_of_pixels_are_numbers_unless_images_are_asked_for(tmp_path):
    table = tmp_path / "digits.csv"
    table.write_text("".join(f"{','.join(str(3 * place + row) for place in range(6))},{row % 2}\n" for row in range(8)))
    assert next(iter(read_labelled(table))).value == (0.0, 3.0, 6.0, 9.0, 12.0, 15.0)
    reader = read_labelled(table, input="images", settings=settings(resolution="3x2"))
    picture = list(reader)[1].value
    assert_array_equal(picture.pixels()[:, :, 0], [[1, 4, 7], [10, 13, 16]])
    assert reader.layout.input == "images"
    with pytest.raises(DataError, match=r"6 columns of pixels are no square image; pass .*resolution"):
        list(read_labelled(table, input="images", settings=settings()))
    with pytest.raises(DataError, match="the columns do not hold audio; they are"):
        list(read_labelled(table, input="audio"))


def test_npy_files_of_a_table_are_images_if_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", stripes("down", 1))
    (tmp_path / "t.tsv").write_text("path\tlabel\na.npy\tx\n")
    (row,) = read_labelled(tmp_path / "t.tsv", input="images")
    assert isinstance(row.value, Picture)


# ---- size, colour, standardisation -----------------------------------------------------------------------------------


def test_the_size_is_the_common_one_or_the_median_shape():
    assert usual_size(pictures(3)) == (13, 10)
    mixed = [
        *pictures(1, width=200, height=100),
        *pictures(1, width=100, height=300),
        *pictures(1, width=90, height=60),
    ]
    assert usual_size(mixed) == (64, 43)
    assert usual_size(pictures(2, width=150, height=300)) == (32, 64)
    assert learned(resolution="5x4").view(pictures()[0]).shape == (4, 5, 1)
    assert learned(resolution="7").steps == learned(resolution="7x7").steps
    for size in ("0", "5x", "a", "5x5x5", "5000"):
        with pytest.raises(SettingError, match=f"resolution = '{size}': expected a number of pixels up to 4096"):
            ImageSettings(resolution=size)


def test_images_of_another_shape_are_cropped_padded_or_stretched():
    wide = np.zeros((20, 60, 1), np.uint8)
    wide[:, 20:40] = 200  # a bright middle third
    crop, pad, stretch = (fitted_pixels(wide, 10, 10, 1, fit)[:, :, 0] for fit in ("crop", "pad", "stretch"))
    assert_array_equal(crop[:, 1:-1], np.full((10, 8), 200))  # the filter reaches beyond the edges
    assert_array_equal(pad[[0, 2, 6, 9]], 0)  # three rows of a picture of 10 x 3, black above and below
    assert pad[4, 5] == 200
    assert pad[4, 0] == 0
    assert stretch[5, 5] == 200
    assert stretch[0].tolist() == stretch[9].tolist()
    assert stretch[5, 0] == 0


def test_colour_becomes_luma_and_grey_becomes_colour():
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert fitted_pixels(colours, 3, 1, 1, "crop")[0, :, 0].tolist() == [76, 150, 29]  # ITU-R BT.601
    grey = stripes("down", 1)
    assert_array_equal(fitted_pixels(grey, 13, 10, 3, "crop"), grey.repeat(3, 2))
    mixed = [*pictures(2), *pictures(2, channels=3)]
    assert (learned(mixed).channels, learned(mixed, color="grey").channels, learned(color="color").channels) == (
        3,
        1,
        3,
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_each_channel_is_standardised_by_the_training_data(channels):
    values = pictures(8, channels)
    fitted = learned(values)
    whole = values_of(fitted, values)
    assert whole.shape == (8, channels, 10, 13)
    assert_allclose(whole.mean((0, 2, 3)), np.zeros(channels), atol=1e-5)
    assert_allclose(whole.std((0, 2, 3)), np.ones(channels), atol=1e-4)
    raw = values[2].pixels()[4, 5, channels - 1] / 255
    expected = (raw - fitted.mean[channels - 1]) / fitted.deviation[channels - 1]
    assert whole[2, channels - 1, 4, 5] == pytest.approx(expected, abs=1e-5)


def test_streamed_images_are_those_of_memory_and_little_is_kept(tmp_path):
    paths = [write_image(tmp_path / f"{place}.png", each.pixels()) for place, each in enumerate(pictures(8))]
    files = [image_of(path, "x") for path in paths]
    kept, streamed = learned(files), learned(files, cache=0)
    assert_array_equal(values_of(kept, files), values_of(streamed, files))
    assert (len(kept._cache), len(streamed._cache)) == (8, 0)
    assert_array_equal(kept.mean, streamed.mean)
    batches = list(Bucketed(streamed.encode(files, [""] * 8), batch_tokens=96).epoch(0))
    assert sorted(len(batch.values) for batch in batches) == [2, 3, 3]


def test_mixed_kinds_and_other_shapes_are_refused():
    grids = [FeatureGrid(np.random.default_rng(seed).normal(size=(2, 3, 5)).astype(np.float32)) for seed in range(4)]
    with pytest.raises(DataError, match="6 images and 4 grids of features came; expected one kind"):
        learned([*pictures(), *grids])
    with pytest.raises(DataError, match=r"features of different shapes came \(2 x 3 x 4, 2 x 3 x 5\)"):
        learned([*grids, FeatureGrid(grids[0].values[:, :, :4])])
    with pytest.raises(SettingError, match="resolution and augmentation change images, and these data are features"):
        learned(grids, flip=True)
    fitted = learned(grids)
    assert_allclose(values_of(fitted, grids).mean((0, 2, 3)), np.zeros(5), atol=1e-5)
    refused = {
        "an image came, and the model was trained on features": pictures()[0],
        "features of shape 1 x 3 x 5 came; expected 2 x 3 x 5": FeatureGrid(grids[0].values[:1]),
    }
    for message, value in refused.items():
        with pytest.raises(DataError, match=f"a:3: {message}"):
            fitted.encode([value], ["a:3"])


# ---- augmentation ----------------------------------------------------------------------------------------------------


def test_augmentation_follows_from_seed_epoch_and_index_alone():
    values = pictures(8)
    fitted = learned(values, move=3, flip=True)
    first = values_of(fitted, values, epoch=1)
    assert_array_equal(first, values_of(learned(values, move=3, flip=True), values, epoch=1))
    assert not np.array_equal(first, values_of(fitted, values, epoch=2))
    assert not np.array_equal(first, values_of(fitted, values))
    encoded = fitted.encode(values, [""] * 8).in_epoch(1)
    assert_array_equal(encoded.batch(np.array([5, 2])).values.numpy(), first[[5, 2]])  # whatever the batch


def test_moves_and_mirrors_are_exact():
    image = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 4, 1)
    changes = {}
    for epoch in range(200):
        changed = changed_images(image, [0], ImageSettings(move=1, flip=True), 0, epoch)[0, :, :, 0]
        changes[changed.tobytes()] = changed
    expected = []
    for base in (image[0, :, :, 0], image[0, :, ::-1, 0]):
        padded = np.pad(base, 1)
        expected += [padded[y : y + 3, x : x + 4].tobytes() for y in range(3) for x in range(3)]
    assert set(changes) == set(expected)  # nine places, mirrored or not


@pytest.mark.parametrize("change", [{"random_crop": 0.5}, {"rotate": 90.0}], ids=str)
def test_crops_and_rotations_sample_the_image(change):
    y, x = np.mgrid[:21, :21]
    image = (40 + 5 * x + 3 * y).astype(np.uint8)[None, :, :, None]
    changed = changed_images(image.repeat(50, 0), list(range(50)), ImageSettings(**change), 0, 0).astype(float)
    middle = changed[:, 10, 10, 0]
    step_x, step_y = changed[:, 10, 11, 0] - middle, changed[:, 11, 10, 0] - middle
    if "rotate" in change:  # the gradient keeps its length and turns; the middle stays
        assert_allclose(middle, 120, atol=1)
        assert_allclose(np.hypot(step_x, step_y), np.hypot(5, 3), atol=1.6)
        assert step_x.min() < -1
    else:  # a ramp of a crop is less steep, by up to half
        assert_allclose(step_x / 5, step_y / 3, atol=0.4)
        assert 2 <= step_x.min() <= 3.5
        assert step_x.max() >= 4.5
        assert middle.std() > 5


def test_settings_without_augmentation_change_nothing_in_training():
    values = pictures(4)
    assert_array_equal(values_of(learned(values), values, epoch=3), values_of(learned(values), values))


# ---- scans and encoders ----------------------------------------------------------------------------------------------


def test_a_permutation_is_the_published_one():
    order = permutation(92916, 784)
    assert sorted(order.tolist()) == list(range(784))
    assert permutation_hash(order) == "e9d5df78b04e"
    assert permutation_hash(permutation(92917, 784)) != permutation_hash(order)


NETWORKS = {
    "convolutional": ({}, (5, 7)),
    "recurrent": ({}, (10, 1)),
    "pixels": ({"scan": "pixels"}, (10, 13)),
    "permuted": ({"scan": "pixels", "permute": 3}, (10, 13)),
    "transformer": ({}, (4, 5)),
    "feedforward": ({}, (1, 1)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_states_have_the_steps_and_labels_of_the_grid(name, channels):
    torch.manual_seed(2)
    image, grid = NETWORKS[name]
    network = "recurrent" if name in ("pixels", "permuted") else name
    values = pictures(5, channels)
    fitted = learned(values, network, **image)
    encoder = fitted.encoder(settings(network, **image).network, "gru")
    batch = fitted.encode(values, [""] * 5).batch(np.arange(5))
    vectors = encoder.embedding.eval()(batch)
    states = vectors if encoder.stack is None else encoder.stack.eval()(vectors, batch.lengths).outputs
    assert fitted.grid == grid
    assert states.shape == (fitted.steps, 5, encoder.size)
    assert batch.lengths.tolist() == [fitted.steps] * 5
    assert len(fitted.positions(values[0])) == len(fitted.boxes()) == fitted.steps
    alone = fitted.encode(values[3:4], [""]).batch(np.array([0]))
    vectors = encoder.embedding(alone)
    assert_close(states[:, 3:4], vectors if encoder.stack is None else encoder.stack(vectors, alone.lengths).outputs)


def test_rows_pixels_and_patches_are_those_of_the_image():
    values = pictures(2, 3)
    raw = values_of(learned(values), values)  # (batch, channels, height, width)

    def vectors(network: str, **image: object) -> torch.Tensor:
        fitted = learned(values, network, **image)
        embedding = fitted.encoder(settings(network, **image).network, "gru").embedding
        return embedding(fitted.encode(values, ["", ""]).batch(np.arange(2))).numpy()

    assert_array_equal(vectors("recurrent")[4, 1], raw[1, :, 4].T.ravel())
    assert_array_equal(vectors("recurrent", scan="pixels")[4 * 13 + 5, 1], raw[1, :, 4, 5])
    order = permutation(7, 130)
    assert_array_equal(vectors("recurrent", scan="pixels", permute=7)[60, 0], raw[0].reshape(3, -1)[:, order[60]])
    assert_array_equal(vectors("transformer")[5 + 2, 1], raw[1, :, 3:6, 6:9].ravel())
    corner = vectors("transformer")[19, 0].reshape(3, 3, 3)
    assert_array_equal(corner[:, 0, 0], raw[0, :, 9, 12])
    assert not corner[:, 1:].any()  # black beyond the last row


def test_boxes_and_labels_name_the_place_of_a_step():
    fitted = learned(network="transformer")
    assert_allclose(fitted.boxes()[5 + 2], [2 / 5, 1 / 4, 3 / 5, 2 / 4], atol=1e-6)
    assert fitted.positions(pictures()[0])[5 + 2] == "2,3"
    permuted = learned(network="recurrent", scan="pixels", permute=7)
    place = int(permutation(7, 130)[60])
    assert permuted.positions(pictures()[0])[60] == f"{place // 13 + 1},{place % 13 + 1}"
    assert_allclose(permuted.boxes()[60][:2], [place % 13 / 13, place // 13 / 10], atol=1e-6)
    assert learned(network="recurrent").positions(pictures()[0])[3] == "row 4"


def test_grids_of_features_are_states_themselves():
    grids = [FeatureGrid(np.random.default_rng(seed).normal(size=(2, 3, 5)).astype(np.float32)) for seed in range(4)]
    fitted = learned(grids)
    encoder = fitted.encoder(settings().network, "gru")
    states = encoder.embedding(fitted.encode(grids, [""] * 4).batch(np.arange(4)))
    assert (encoder.stack, encoder.size, states.shape) == (None, 5, (6, 4, 5))
    assert_allclose(states[4, 2].numpy(), (grids[2].values[1, 1] - fitted.mean) / fitted.deviation, atol=1e-5)


def test_networks_of_other_inputs_are_refused():
    with pytest.raises(SettingError, match="network = bag does not read images: expected convolutional, recurrent"):
        learned(network="bag").encoder(settings("bag").network, "gru")
    long = learned(network="recurrent", scan="pixels", resolution="300x300")
    with pytest.raises(SettingError, match="images of 300 x 300 have 90,000 pixels, one step each; expected at most"):
        long.encoder(settings("recurrent", scan="pixels").network, "gru")
    with pytest.raises(SettingError, match="permute = 3 permutes pixels, and scan = rows"):
        ImageSettings(permute=3)


# ---- values from callers, model folders ------------------------------------------------------------------------------


def test_a_server_takes_base64_and_no_paths(tmp_path):
    path = write_image(tmp_path / "a.png", stripes("down", 1))
    fitted = learned()
    assert fitted.value(str(path), "text 1").name == str(path)
    fitted.refuse_files()
    for attempt in (str(path), path, "/etc/passwd", "é"):
        with pytest.raises(DataError, match=r"no Base64|no image"):
            fitted.value(attempt, "text 1")
    sent = fitted.value(base64.b64encode(path.read_bytes()).decode(), "text 1")
    assert_array_equal(sent.pixels(), stripes("down", 1))


def test_one_image_is_told_from_several():
    fitted, x = learned(), stripes("down", 1)
    assert all(map(fitted.is_one, ["a.png", x, x[:, :, 0], image_bytes(x), pictures()[0]]))
    assert not any(map(fitted.is_one, [["a.png", "b.png"], [x, x], np.stack([x, x]), np.stack([x[:, :, 0]] * 5)]))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_fitted_input_loads_as_saved(tmp_path, channels):
    values = pictures(5, channels)
    fitted = learned(values)
    fitted.save(tmp_path)
    loaded = FittedImages.load(tmp_path, settings())
    assert_array_equal(values_of(loaded, values), values_of(fitted, values))
    assert loaded.summary() == f"13 x 10 pixels in {'colour' if channels == 3 else 'grey'}"


@pytest.mark.parametrize(
    "damage",
    ['"channels":1->"channels":2', '"channels":1->"channels":3', '"height":10->"height":0', '"mean":[->"mean":["a",'],
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    learned().save(tmp_path)
    before, after = damage.split("->")
    text = (tmp_path / "images.json").read_text()
    assert before in text
    (tmp_path / "images.json").write_text(text.replace(before, after))
    with pytest.raises(ModelFolderError, match=r"images\.json"):
        FittedImages.load(tmp_path, settings())


def test_the_baseline_sees_means_of_blocks():
    values = pictures(4, width=30, height=20)
    fitted = learned(values)
    features = fitted.features(values).reshape(4, 7, 10)
    block = values[1].pixels()[3:6, 6:9].astype(float).mean()
    expected = (np.rint(block) / 255 - fitted.mean[0]) / fitted.deviation[0]
    assert features[1, 1, 2] == pytest.approx(expected, abs=1e-5)
