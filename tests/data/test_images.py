"""Image files, arrays and IDX files: pixels as people see them, and one sentence for each file that is none."""

from __future__ import annotations

import gzip
import io
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from image_samples import header_of_png, idx_bytes, image_bytes, stripes, write_image
from unspool.data import FeatureGrid, Picture, image_of, read_image, read_rows
from unspool.data.forms.arrays import read_idx
from unspool.data.images import picture_of_row, resized
from unspool.errors import DataError, MissingExtraError

GREY, COLOUR = stripes("across", 1), stripes("down", 2, width=7, height=9, channels=3)


# ---- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_file_gives_its_pixels(tmp_path, pixels, form):
    picture = read_image(write_image(tmp_path / "a.png", pixels, form))  # the content decides, not the name
    assert (picture.height, picture.width, picture.channels) == pixels.shape
    assert_array_equal(picture.pixels(), pixels)
    assert picture.name == str(tmp_path / "a.png")


@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_exif_orientation_is_obeyed(tmp_path, orientation, turned):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_image(write_image(tmp_path / "a.png", COLOUR, exif=exif))
    assert_array_equal(picture.pixels(), np.rot90(COLOUR, turned))
    assert (picture.height, picture.width) == np.rot90(COLOUR, turned).shape[:2]


def test_transparency_lies_on_white():
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, :, 3] = 0, 51, 255  # opacity
    pixels[1] = 100, 200, 50, 255
    expected = np.array([[[255] * 3, [204] * 3, [0] * 3], [[100, 200, 50]] * 3], np.uint8)
    assert_array_equal(image_of(image_bytes(pixels), "x").pixels(), expected)
    assert_array_equal(image_of(pixels, "x").pixels(), expected)
    grey = np.array([[[10, 255], [10, 0]]], np.uint8)
    assert_array_equal(image_of(image_bytes(grey), "x").pixels(), [[[10], [255]]])


def test_palettes_bits_and_sixteen_bits_become_bytes():
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(COLOUR).quantize(256).save(buffer, "PNG")
    assert image_of(buffer.getvalue(), "x").channels == 3
    assert_array_equal(image_of(image_bytes(GREY[:, :, 0] > 128), "x").pixels()[:, :, 0], 255 * (GREY[:, :, 0] > 128))
    deep = np.array([[0, 257, 65_535], [514, 300, 32_768]], np.uint16)
    assert_array_equal(image_of(image_bytes(deep), "x").pixels()[:, :, 0], [[0, 1, 255], [2, 1, 127]])


def test_arrays_images_of_pillow_and_lists_are_images():
    from PIL import Image

    for value in (GREY[:, :, 0], GREY.astype(int), GREY[:, :, 0].tolist(), Image.fromarray(GREY[:, :, 0])):
        assert_array_equal(image_of(value, "x").pixels(), GREY)
    assert image_of(GREY, "x").digest == image_of(image_bytes(GREY), "x").digest
    assert image_of(GREY, "x").digest != image_of(GREY.transpose(1, 0, 2), "x").digest
    with pytest.raises(DataError, match="pixels from -1 to 5 came; expected 0 to 255"):
        image_of(np.array([[-1, 5]]), "x")
    with pytest.raises(DataError, match=r"x: an array of type bool and shape \(2, 2\) came; expected whole numbers"):
        image_of(np.ones((2, 2), bool), "x")


def test_floating_point_arrays_are_features(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 3, 5))
    np.save(tmp_path / "a.npy", values)
    grid = read_image(tmp_path / "a.npy")
    assert isinstance(grid, FeatureGrid)
    assert_array_equal(grid.values, values.astype(np.float32))
    assert image_of(values[0, 0], "x").values.shape == (1, 1, 5)
    with pytest.raises(DataError, match="a number that is not finite"):
        image_of(np.array([1.0, np.nan]), "x")


def test_rows_of_pixels_go_from_left_to_right_and_down():
    assert_array_equal(picture_of_row(range(6), 3, 2, "a:1").pixels()[:, :, 0], [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(DataError, match=r"a:1: pixel 2 is 0\.5; expected a whole number between 0 and 255"):
        picture_of_row([1, 0.5], 2, 1, "a:1")
    with pytest.raises(DataError, match="a:1: 3 pixels came; expected 2 x 2 = 4"):
        picture_of_row([1, 2, 3], 2, 2, "a:1")


def test_resizing_to_half_takes_means_and_keeps_a_gradient():
    ramp = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (8, 1))[:, :, None]
    half = resized(ramp, 12, 4)
    assert half.shape == (4, 12, 1)
    np.testing.assert_allclose(half[2, 2:-2, 0], np.arange(5, 240, 20)[2:-2], atol=1)
    assert_array_equal(resized(ramp, 8, 8, (4, 0, 12, 8)), ramp[:, 4:12])


# ---- files that are no images ----------------------------------------------------------------------------------------

WHOLE = image_bytes(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
JPEG = image_bytes(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8), "JPEG")
BAD = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello, this is no image\n", "no image: the file begins with b'hello, this "),
    "cut png": (WHOLE[: len(WHOLE) // 2], "the image is damaged: "),
    "cut jpeg": (JPEG[: len(JPEG) // 2], "the image is damaged: "),
    "only a signature": (WHOLE[:8], "no image|the image is damaged"),
    "flipped bytes": (WHOLE[:200] + bytes(255 - byte for byte in WHOLE[200:400]) + WHOLE[400:], "damaged"),
    "enormous": (header_of_png(30_000, 30_000), "too many pixels|30,000 x 30,000 pixels large"),
    "large": (
        header_of_png(9_000, 9_000),
        "the image is 9,000 x 9,000 pixels large: the image has too many pixels; exp",
    ),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_image_gives_one_sentence(tmp_path, name):
    content, message = BAD[name]
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_animations_are_refused_and_single_gifs_are_not(tmp_path):
    from PIL import Image

    frames = [Image.fromarray(stripes("across", seed)[:, :, 0]) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a\.gif: the file holds several images, as an animation; save one of them"):
        read_image(tmp_path / "a.gif")
    frames[0].save(tmp_path / "b.gif")
    assert_array_equal(read_image(tmp_path / "b.gif").pixels()[:, :, 0], np.asarray(frames[0]))


def test_arrays_of_objects_are_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    np.save(tmp_path / "a.npy", np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(DataError, match="not a readable NumPy array: "):
        read_image(tmp_path / "a.npy")


def test_missing_files_and_folders_and_changed_files(tmp_path):
    with pytest.raises(DataError, match=r"b\.png: no such file"):
        read_image(tmp_path / "b.png")
    with pytest.raises(DataError, match="can't read the file"):
        read_image(tmp_path)
    picture = read_image(write_image(tmp_path / "a.png", GREY))
    write_image(tmp_path / "a.png", COLOUR)
    with pytest.raises(DataError, match=r"a\.png: the image has changed since it was read"):
        picture.pixels()


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    path = write_image(tmp_path / "a.png", GREY)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"reading .*a\.png needs the package Pillow: .*\[image\]"):
        read_image(path)


# ---- arrays with labels ----------------------------------------------------------------------------------------------

STACK = np.random.default_rng(1).integers(0, 255, (5, 4, 3), np.uint8)
NAMES = {
    "plain": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "packed": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "mixed": ("train-images.idx3-ubyte", "train-labels.idx1-ubyte.gz"),
}


def pack(path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("names", NAMES.values(), ids=list(NAMES))
def test_idx_images_come_with_the_labels_beside_them(tmp_path, names):
    pack(tmp_path / names[0], idx_bytes(STACK))
    pack(tmp_path / names[1], idx_bytes(np.array([3, 1, 4, 1, 5], np.uint8)))
    rows = list(read_rows(tmp_path / names[0], whole_files=True))
    assert [row.values["label"] for row in rows] == ["3", "1", "4", "1", "5"]
    assert rows[3].where == f"{tmp_path / names[0]}:4"
    assert_array_equal(np.stack([row.values["image"].pixels()[:, :, 0] for row in rows]), STACK)


def test_arrays_of_numpy_and_labels_of_other_names(tmp_path):
    np.save(tmp_path / "x-images.npy", STACK)
    np.save(tmp_path / "x-labels.npy", np.array([0, 1, 0, 1, 2]))
    (tmp_path / "other.txt").write_text("a\nb\na\nb\nc\n")
    labels = [row.values["label"] for row in read_rows(tmp_path / "x-images.npy", whole_files=True)]
    assert labels == ["0", "1", "0", "1", "2"]
    rows = list(read_rows(tmp_path / "x-images.npy", whole_files=True, labels="other.txt"))
    assert [row.values["label"] for row in rows] == ["a", "b", "a", "b", "c"]
    assert isinstance(rows[0].values["image"], Picture)
    np.save(tmp_path / "x-features.npy", np.ones((5, 2)))
    assert isinstance(next(iter(read_rows(tmp_path / "x-features.npy", whole_files=True))).values["image"], FeatureGrid)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx_bytes(STACK, shape=(6, 4, 3)), 5, "its header says 72 bytes, and 60 follow"),
        (idx_bytes(STACK, shape=(4, 4, 3)), 5, "its header says 48 bytes, and 60 follow|and more follow"),
        (idx_bytes(STACK, shape=(-1, 4, 3)), 5, "its shape is"),
        (idx_bytes(STACK, shape=(2**31 - 1, 2**31 - 1, 2**31 - 1)), 5, "its header says"),
        (idx_bytes(STACK, kind=13), 5, "expected bytes, type 8|the form is unclear"),
        (idx_bytes(STACK)[:9], 5, "its header is cut off"),
        (idx_bytes(STACK), 4, "5 images came with 4 labels; expected a label for each"),
        (idx_bytes(STACK[0, 0]), 3, "an array of shape"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damaged_idx_files_give_one_sentence(tmp_path, images, labels, message, suffix):
    path = tmp_path / f"a-images-idx3-ubyte{suffix}"
    pack(path, images)
    pack(tmp_path / "a-labels-idx1-ubyte", idx_bytes(np.zeros(labels, np.uint8)))
    with pytest.raises(DataError, match=message) as caught:
        list(read_rows(path, whole_files=True))
    assert str(caught.value).startswith(str(path))


def test_idx_files_without_labels_say_what_is_expected(tmp_path):
    (tmp_path / "a-images-idx3-ubyte").write_bytes(idx_bytes(STACK))
    with pytest.raises(DataError, match="no file of labels beside the images; expected the same name with 'labels'"):
        list(read_rows(tmp_path / "a-images-idx3-ubyte", whole_files=True))
    with pytest.raises(DataError, match="missing: no such file of labels"):
        list(read_rows(tmp_path / "a-images-idx3-ubyte", whole_files=True, labels="missing"))


def test_plain_idx_files_are_mapped_not_read(tmp_path):
    (tmp_path / "a-idx3-ubyte").write_bytes(idx_bytes(STACK))
    assert isinstance(read_idx(str(tmp_path / "a-idx3-ubyte")), np.memmap)


def test_mnist_is_read_whole(data):
    images = read_idx(str(data("mnist/train-images-idx3-ubyte.gz")))
    assert images.shape == (60_000, 28, 28)
    rows = read_rows(data("mnist/t10k-images-idx3-ubyte.gz"), whole_files=True)
    labels = [row.values["label"] for row in rows]
    assert labels[:5] == ["7", "2", "1", "0", "4"]
    assert len(labels) == 10_000
