"""Products of whole matrices that threads share: exact, the same bits for any threads, nothing beside them written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from emulated import with_tiles
from judge import assert_agrees_with_the_plain_loop
from scopes import policy, threads

from cases import ALL_CELLS, make_case
from odd_cells import ODD, PIECES
from unspool.engine import unroll
from unspool.engine.compiler.pipeline import lower_cell
from unspool.engine.cpu.codegen.target import AVX2, AVX512, PORTABLE, host_target
from unspool.engine.cpu.jit.compile import missing, products, tiled
from unspool.engine.cpu.policy import AmxRows, current_target, use_target
from unspool.engine.cpu.runtime.gemm import PARTS, multiplied, worthwhile

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

SHAPES = [
    (1, (5, (3,))),
    (7, (33, (16,))),
    (33, (65, (130, 7))),
    (100, (1600, (530, 16, 33))),
    (385, (512, (100,))),
    (3, (40, (17,))),
    (37, (1090, (530,))),
    (97, (100, (800,))),
    (513, (801, (1, 31))),
    (170, (70, (128, 112))),  # of five threads one has more columns of the second than of the first
    (600, (250, (290, 270))),  # not the columns of both fit in at once
]
# steps, batch, input, hidden; inputs and units as in other tests of these cells, so that kernels are compiled once
NAMES = ["lstm", "gru-reset-before", "lstm-layernorm", "mlstm", "hyperlstm", "own-pair"]
SIZES = [(1, 1, 1, 1), (5, 33, 32, 64), (3, 17, 31, 200), (40, 5, 6, 17)]
OTHERS = [*PIECES, *list(ODD)[:6]]
OTHER_SIZES = [(1, 1, 1, 1), (5, 33, 60, 63), (3, 17, 60, 63), (40, 5, 6, 7)]
WAYS = {
    "tiles": (torch.float32, None),
    "avx512": (torch.float32, AVX512),
    "avx512-float64": (torch.float64, AVX512),
    "avx2": (torch.float32, AVX2),
    "portable": (torch.float32, PORTABLE),
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """A number type, and functions for it."""
    dtype, target = WAYS[request.param]
    if target is None:
        with with_tiles(monkeypatch):
            yield dtype, tiled(current_target(), PARTS)
        return
    if target.register_bytes > host_target().register_bytes:
        pytest.skip(f"this machine has no {target.name}")
    yield dtype, products(dtype, target)


@pytest.fixture(params=["vectors", "tiles"])
def ways(request, monkeypatch, strategies):
    """How products over all steps were made, call by call, never by one thread; in tiles those of loops are, too."""
    processor = with_tiles(monkeypatch) if request.param == "tiles" else use_target(replace(host_target(), tiled=False))
    with processor, policy(serial_work=0, blocked_ratio=1 << 20, amx_rows_split=AmxRows(0, 0, 0)):
        yield strategies


def lying(rows: int, columns: int, turned: bool, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(columns, rows, dtype=dtype).t() if turned else torch.randn(rows, columns, dtype=dtype)


def assert_near(found: torch.Tensor, rows: torch.Tensor, matrix: torch.Tensor) -> None:
    """Elementwise, by the magnitudes of what was added up: a term left out or taken twice exceeds it a thousand times.

    On vectors hundreds of terms are added up one after the other, which wanders off by some units; torch, the judge of
    float64, does as much.
    """
    units = 8 * (1 if found.dtype == torch.float32 else 2)
    right, magnitude = rows.double() @ matrix.double(), rows.double().abs() @ matrix.double().abs()
    assert bool(((found - right).abs() <= units * torch.finfo(found.dtype).eps / 2 * magnitude).all())


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("turned", [(a, b) for a in (False, True) for b in (False, True)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_exact_and_the_same_for_any_threads(shape, turned, count, way):
    (high, (depth, widths)), (dtype, by) = shape, way
    rows, matrices = lying(high, depth, turned[0], dtype), [lying(depth, width, turned[1], dtype) for width in widths]
    with threads(count):
        found = multiplied(rows, matrices, by=by)
    for part, matrix in zip(found, matrices, strict=True):
        assert_near(part, rows, matrix)
    alone = multiplied(rows[high // 2 :], matrices, by=by)
    for part, few in zip(found, alone, strict=True):
        torch.testing.assert_close(few, part[high // 2 :], rtol=0, atol=0)  # bits depend on neither rows nor threads


@pytest.mark.parametrize("turned", [False, True], ids=["straight", "turned"])
@pytest.mark.parametrize("width", [1, 15, 16, 17, 40, 130])
def test_nothing_beside_a_product_is_written(width, turned, way):
    dtype, by = way
    rows, matrix = lying(70, 600, turned, dtype), torch.randn(600, width, dtype=dtype)
    room = torch.full((72, width + 37), torch.nan, dtype=dtype)
    out = room[1:71, 5 : 5 + width]
    (found,) = multiplied(rows, [matrix], out, by=by)
    assert found is out
    assert_near(out, rows, matrix)
    assert int(room.isnan().sum()) == room.numel() - out.numel()


@pytest.mark.parametrize("depth", [512, 8192])
def test_errors_are_no_larger_than_those_of_torch(depth, way):
    """Also where all terms are positive, so that the last parts of a number meet large sums."""
    dtype, by = way
    if dtype is torch.float64:
        pytest.skip("there is no judge for float64")
    for draw in (torch.randn, torch.rand):
        rows, matrix = draw(128, depth), draw(depth, 96)
        right = rows.double() @ matrix.double()
        ours, theirs = (
            (found - right).square().mean().sqrt() for found in (multiplied(rows, [matrix], by=by)[0], rows @ matrix)
        )
        assert ours < 1.3 * theirs


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize(
    ("name", "size", "dtype"),
    [
        *((name, size, torch.float32) for name in NAMES for size in SIZES),
        *((name, size, torch.float32) for name in OTHERS for size in OTHER_SIZES),
        *(("lstm", size, torch.float64) for size in SIZES),
    ],
    ids=str,
)
def test_cells_agree_with_the_plain_loop(name, dtype, size, ragged, ways):
    kind = {**ALL_CELLS, **PIECES, **ODD}[name]
    case = make_case(kind, size, ragged=ragged, reverse=size[1] == 5)
    case = case.double() if dtype is torch.float64 else case
    assert_agrees_with_the_plain_loop(case, case.outputs_and_gradients("cpu"))
    made_before = lower_cell(case.cell).plain is None  # then ragged batches are packed before, too
    assert set(ways) == {"torch" if made_before and ragged and size[1] > 1 else "parallel"}


@pytest.mark.usefixtures("nan_memory")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("name", ["lstm", "gru-reset-before", "mlstm", "Pieces", "Unturned"])
def test_weights_are_packed_once_and_again_when_they_were_written_to(name, ragged, ways):
    case = make_case({**ALL_CELLS, **PIECES}[name], (40, 9, 17, 33), ragged=ragged, reverse=True)
    with torch.no_grad():
        for factor in (1.0, 1.0, 0.5):
            for weight in case.cell.parameters():
                weight.mul_(factor)
            expected, final = case.run("reference")
            found, ends = case.run("cpu")
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            for end, right in zip(ends, final, strict=True):
                torch.testing.assert_close(end, right, rtol=1e-4, atol=1e-5)
    assert set(ways) == {"parallel"}


def test_who_makes_products_depends_on_rows_and_weights(strategies):
    cell, inputs = ALL_CELLS["lstm"](64, 96), torch.randn(60, 40, 64, requires_grad=True)
    for size, expected in (((60, 40), "parallel"), ((6, 6), "serial")):
        strategies.clear()
        unroll(cell, inputs[: size[0], : size[1]], backend="cpu")[0].sum().backward()
        assert set(strategies) == {expected}
    wide, strategies[:] = ALL_CELLS["lstm"](1000, 500), []
    unroll(wide, torch.randn(4, 20, 1000), backend="cpu")
    assert strategies == ["torch"], "a matrix is not laid out for a few rows"


def test_torchs_product_is_taken_where_ours_is_no_faster():
    rows, matrix = torch.randn(4000, 64), torch.randn(64, 96)
    with policy(own_gemm=True):
        assert worthwhile(rows, matrix)
        assert not worthwhile(rows[:500], matrix)
        assert not worthwhile(torch.randn(1, 4000), torch.randn(4000, 4000)), "a single row"
        assert not worthwhile(torch.randn(90_000, 100), torch.randn(100, 7)), "a few columns"
        assert not worthwhile(rows.double(), matrix.double())
        assert not worthwhile(torch.randn(8000, 128)[::2, ::2], matrix)
    with policy(own_gemm=False):
        assert not worthwhile(rows, matrix)
