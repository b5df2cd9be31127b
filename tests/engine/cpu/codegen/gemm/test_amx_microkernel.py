"""Products in tiles of bfloat16: as exact as float32, whatever the shape, the scale and the number of threads."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import textwrap

import pytest
import torch
from emulated import with_tiles
from scopes import policy, threads

from cases import ALL_CELLS, make_case
from unspool.engine import explain, unroll
from unspool.engine.cpu.codegen.gemm.amx_microkernel import emit_tiled
from unspool.engine.cpu.codegen.gemm.amx_packing import tiles_size
from unspool.engine.cpu.codegen.target import AMX, AVX512
from unspool.engine.cpu.jit.compile import tiled
from unspool.engine.cpu.policy import AmxRows, current_target
from unspool.engine.cpu.runtime import autograd_gemm as products
from unspool.engine.cpu.runtime.autograd_gemm import HALF_WITHIN, IN_TILES, matrix_gradients, product
from unspool.engine.cpu.runtime.gemm import PARTS, multiplied, worthwhile

needs_tiles = pytest.mark.usefixtures("tiles")
UNIT = 2.0**-24  # half the distance from 1 to the next number of float32


def in_tiles(rows: torch.Tensor, matrices: list[torch.Tensor]) -> list[torch.Tensor]:
    return multiplied(rows, matrices, by=tiled(current_target(), PARTS))


def lying(rows: int, columns: int, turned: bool) -> torch.Tensor:
    return torch.randn(columns, rows).t() if turned else torch.randn(rows, columns)


def assert_near(found: torch.Tensor, rows: torch.Tensor, matrix: torch.Tensor, units: float = 4) -> None:
    """Elementwise, by the magnitudes of what was added up: what a part of a number too few would exceed 50 times."""
    right, magnitude = rows.double() @ matrix.double(), rows.double().abs() @ matrix.double().abs()
    assert bool(((found - right).abs() <= units * UNIT * magnitude).all())


@pytest.fixture
def tiles(monkeypatch):
    """A processor with tiles, in software if this one has none."""
    with with_tiles(monkeypatch):
        yield


@pytest.fixture
def always(tiles):
    """Tiles in every loop and for every product, however few rows there are."""
    any_rows = AmxRows(uncached=0, cached=0, shared=0)
    with policy(amx_rows_split=any_rows, amx_rows_rounded=any_rows, gemm_work=0, serial_work=0, blocked_ratio=1 << 20):
        yield


@needs_tiles
def test_numbers_may_be_of_any_size():
    rows, matrix = torch.randn(40, 70), torch.randn(70, 50)
    rows *= 10.0 ** torch.randint(-12, 13, (40, 1))
    matrix *= 10.0 ** torch.randint(-12, 13, (1, 50))
    matrix[::3] *= 1e6  # and of several sizes in one sum
    assert_near(in_tiles(rows, [matrix])[0], rows, matrix)
    large = torch.tensor([[0.99 * torch.finfo(torch.float32).max]])
    assert torch.equal(in_tiles(large, [torch.ones(1, 1)])[0], large)
    small = torch.rand(40, 70) * 1e-36  # below what the instruction knows each term is wrong by as much
    distance = (in_tiles(small, [matrix.sign()])[0] - small.double() @ matrix.sign().double()).abs()
    assert bool((distance <= 70 * 3 * 2.0**-126).all())


@needs_tiles
@pytest.mark.parametrize("depth", [1, 2, 8, 512])
def test_what_is_left_out_is_no_bias(depth):
    """Numbers all of whose bits are set, and positive sums: what is cut off must not all pull one way."""
    full = torch.full((1, 1), 0x3F80FFFF, dtype=torch.int32).view(torch.float32)
    assert_near(in_tiles(full, [full])[0], full, full, units=1)
    rows, matrix = torch.rand(300, depth), torch.rand(depth, 200)
    right = rows.double() @ matrix.double()
    off = (in_tiles(rows, [matrix])[0] - right) / right
    assert abs(float(off.mean())) < 0.02 * UNIT * depth**0.5 + 0.1 * UNIT
    theirs = ((rows @ matrix - right) / right).square().mean().sqrt()
    # a single product is rounded once by torch, and here once for each part that is added
    assert float(off.square().mean().sqrt()) < (1.2 if depth > 100 else 2.2) * float(theirs)


@needs_tiles
def test_what_is_not_finite_spoils_its_row_alone():
    rows, matrix = torch.randn(20, 40), torch.randn(40, 30)
    rows[3, 5], rows[17, 39] = float("inf"), float("nan")
    found = in_tiles(rows, [matrix])[0]
    assert bool(found[[3, 17]].isnan().all())
    others = [row for row in range(20) if row not in (3, 17)]
    assert_near(found[others], rows[others], matrix)


@needs_tiles
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 7, 5), (16, 64, 48), (17, 1100, 70), (33, 40, 17), (70, 129, 200)])
def test_products_of_a_loop(size, turned, parts):
    count, depth, width = size
    rows, matrix = torch.randn(count, depth), lying(depth, width, turned)
    shared, vectors = tiled(current_target(), parts), -(-width // 16)
    packed = torch.full((tiles_size(depth, width, parts),), torch.nan)
    found = torch.full((count + 1, vectors * 16), torch.nan)
    shared.pack(matrix.data_ptr(), *matrix.stride(), depth, width, packed.data_ptr())
    number, address = ctypes.c_int64, ctypes.c_void_p
    call = ctypes.CFUNCTYPE(None, address, number, number, address, number, number, address, number)(shared.product)
    call(rows.data_ptr(), depth, count, packed.data_ptr(), depth, vectors, found.data_ptr(), vectors * 16)
    assert_near(found[:count, :width], rows, matrix, units=4 if parts == 3 else 2.5 * 2**16)
    assert bool((found[:count, width:] == 0).all())
    assert bool(found[count].isnan().all()), "it wrote beyond its rows"
    if parts == 1:
        assert_near(found[:count, :width], rows.bfloat16(), matrix.bfloat16())


@needs_tiles
@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_of_threads_change_no_bit_but_the_loops(count, strategies):
    """The loop makes its products on vectors here, whose bits depend on nothing."""
    case = make_case("lstm", (150, 4, 70, 90), ragged=False)
    found = []
    for number in (1, count):
        with threads(number):
            found.append(case.outputs_and_gradients("cpu"))
    for key, value in found[0].items():
        if "bias" not in key:  # parts of a batch are summed up each by itself
            assert torch.equal(value, found[1][key]), key
    assert set(strategies) == {"parallel"}


@needs_tiles
def test_a_forked_process_makes_them_by_itself():
    code = """
        import os, torch
        from unspool.cells import LSTMCell
        from unspool.engine import unroll
        torch.set_num_threads(3)
        cell, inputs = LSTMCell(60, 64), torch.randn(40, 20, 60, requires_grad=True)
        def gradients():
            return torch.autograd.grad(unroll(cell, inputs, backend="cpu")[0].sum(), [inputs, *cell.parameters()])
        expected = gradients()
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            near = [torch.allclose(a, b, atol=1e-4) for a, b in zip(gradients(), expected, strict=True)]
            os._exit(0 if all(near) else 3)
        assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], check=True, timeout=120)


@pytest.mark.usefixtures("always")
def test_one_part_is_what_bfloat16_asks_for():
    case = make_case("lstm-peephole", (12, 20, 7, 33))
    truth = case.double().outputs_and_gradients("reference")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = case.outputs_and_gradients("cpu")
        assert HALF_WITHIN in explain(case.cell, case.inputs, backend="cpu").details
    for key, right in truth.items():
        distance = float((found[key].double() - right).detach().norm() / right.detach().norm())
        assert 1e-4 < distance < 6 * 2**-8, key


@needs_tiles
def test_the_way_that_is_taken_depends_on_rows_and_weights(monkeypatch, strategies):
    taken = []
    monkeypatch.setattr(products, "multiplied", lambda *given: (taken.append(len(given[1])), multiplied(*given))[1])
    cell, inputs = ALL_CELLS["lstm"](64, 96), torch.randn(60, 40, 64, requires_grad=True)
    with threads(1):
        for lengths in (None, torch.arange(40) + 21):
            unroll(cell, inputs, lengths=lengths)[0].sum().backward()
        assert (set(strategies), taken) == ({"parallel"}, [])
        strategies.clear()
        unroll(cell, inputs[:6, :6])[0].sum().backward()
        assert (set(strategies), taken) == ({"serial"}, [])
        with policy(serial_work=0, blocked_ratio=0):
            unroll(cell, inputs)[0].sum().backward()
        assert taken == [1, 1, 2]  # inputs; their gradient; both weights at once, from one gradient of their sum
        assert explain(cell, inputs).details.count(IN_TILES) == 2
        assert explain(cell, inputs[:, :8]).details.count(IN_TILES) == 2
        assert IN_TILES not in explain(cell, inputs[:, :7]).details
        assert IN_TILES not in explain(cell.double(), inputs.double()).details
        assert IN_TILES not in explain(ALL_CELLS["mingru"](64, 96), inputs).details, "its loop has no products"
    rows, matrix = torch.randn(4000, 64), torch.randn(64, 96)
    assert worthwhile(rows, matrix)
    assert not worthwhile(rows[:500], matrix)
    assert not worthwhile(rows.double(), matrix.double())
    assert not worthwhile(torch.randn(8000, 128)[::2, ::2], matrix)


@needs_tiles
def test_gradients_of_one_sum_are_those_of_each():
    rows, gradient = [torch.randn(1100, 70), torch.randn(1100, 200)[:, :130]], torch.randn(1100, 90)
    for found, part in zip(matrix_gradients(rows, gradient), rows, strict=True):
        assert found.shape == (part.shape[1], 90)
        assert_near(found, part.t(), gradient)
    out = torch.full((1100, 200), torch.nan)
    product(gradient.repeat(1, 4), torch.randn(360, 200), False, out)
    assert not out.isnan().any()


def test_the_code_is_amx_and_only_where_the_target_has_it():
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    features = "+avx512f,+avx512bw,+avx512vl,+avx512dq,+avx512bf16,+amx-tile,+amx-bf16"
    machine = target.create_target_machine(cpu="sapphirerapids", features=features, opt=2)
    for parts, products_of_pair in ((1, 1), (3, 6)):
        module = llvm.parse_assembly(emit_tiled(AMX, parts))
        module.verify()
        text = machine.emit_assembly(module)
        # one to four tiles side by side, and one or two side by side in two rows
        assert text.count("tdpbf16ps") == products_of_pair * (1 + 2 + 3 + 4 + 2 + 4)
    assert AMX.tiled
    assert not AVX512.tiled
