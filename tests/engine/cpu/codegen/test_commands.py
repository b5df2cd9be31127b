"""Native jobs: rows copied, added and cleared, products of columns, and names that stand for what a call gives."""

from __future__ import annotations

from array import array

import pytest
import torch

from unspool.engine.cpu.codegen.gemm.vector_microkernel import packed_size
from unspool.engine.cpu.codegen.target import AVX2, AVX512, PORTABLE, host_target
from unspool.engine.cpu.jit.compile import products, tools
from unspool.engine.cpu.launch.command_list import Address, CommandList

TARGETS = [AVX512, AVX2, PORTABLE]


@pytest.fixture(params=TARGETS, ids=lambda target: target.name)
def target(request):
    if request.param.register_bytes > host_target().register_bytes:
        pytest.skip(f"this machine has no {request.param.name}")
    return request.param


def play(target, dtype, function, tensors, *arguments):
    """Make one job; arguments are tensors by number, as names, and whole numbers."""
    jobs = CommandList(tools(dtype, target).play)
    jobs.call(function, *arguments)
    names = ["", *map(str, range(len(tensors)))]
    jobs.number({name: number for number, name in enumerate(names)})
    places, bases = (
        array("q", [part for number in range(len(names)) for part in (number, 0)]),
        array("q", [0, *(part.data_ptr() for part in tensors)]),
    )
    jobs.play(places.buffer_info()[0], bases.buffer_info()[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("width", [1, 3, 16, 17, 50])
@pytest.mark.parametrize("function", ["copy", "add", "clear"])
def test_rows_are_written_and_nothing_beside_them(function, width, dtype, target):
    to, source = torch.randn(5, width + 3, dtype=dtype), torch.randn(5, width + 1, dtype=dtype)
    expected = to.clone()
    if function == "clear":
        expected[1:4, :width] = 0
    else:
        expected[1:4, :width] = source[2:, :width] + (expected[1:4, :width] if function == "add" else 0)
    size = dtype.itemsize
    begin, end = Address("0", (width + 3) * size), Address("1", 2 * (width + 1) * size)
    arguments = (begin, width + 3) if function == "clear" else (begin, width + 3, end, width + 1)
    play(target, dtype, tools(dtype, target).addresses[function], [to, source], *arguments, 3, width)
    torch.testing.assert_close(to, expected, rtol=0, atol=0)


def test_adding_to_one_row_sums_rows():
    to, source = torch.zeros(7), torch.randn(4, 7)
    play(
        host_target(),
        torch.float32,
        tools(torch.float32, host_target()).addresses["add"],
        [to, source],
        Address("0"),
        0,
        Address("1"),
        7,
        4,
        7,
    )
    torch.testing.assert_close(to, source.sum(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [(1, 1, 1), (4, 3, 5), (40, 32, 48), (17, 13, 70), (9, 131, 33)], ids=str)
def test_columns_are_multiplied(size, dtype, target):
    rows, count, width = size
    left, right = torch.randn(rows, count + 2, dtype=dtype), torch.randn(rows, width, dtype=dtype)
    lanes = target.lanes(dtype)
    shared = products(dtype, target)
    packed = torch.full((packed_size(rows, width, lanes),), torch.nan, dtype=dtype)
    shared.pack(right.data_ptr(), width, 1, rows, width, packed.data_ptr())
    vectors = -(-width // lanes)
    found = torch.full((count, vectors * lanes), torch.nan, dtype=dtype)
    play(
        target,
        dtype,
        shared.turned,
        [left, packed, found],
        Address("0"),
        count + 2,
        count,
        Address("1"),
        rows,
        vectors,
        Address("2"),
        vectors * lanes,
    )
    right = left[:, :count].double().t() @ right.double()
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-13}[dtype]
    torch.testing.assert_close(found[:, :width].double(), right, rtol=tolerance, atol=10 * tolerance)
