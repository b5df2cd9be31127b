"""GEMM commands: products over the rows of all steps, by one thread or by all.

One thread makes small products, before the others have woken; all threads make large ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from unspool.engine.cpu.codegen.gemm.blocking import Factor, Job
from unspool.engine.cpu.launch.command_buffer import CREW, SHARES, CommandBuffer, Rows
from unspool.engine.cpu.launch.command_list import Address, Argument, CommandList

__all__ = ["Gemm", "Parallel", "Serial", "Strategy"]

Strategy = Literal["serial", "parallel", "torch"]
"""Who makes products over all steps: one thread or all threads, as commands; or torch."""


class Gemm(Protocol):
    """Adds the product commands of one buffer."""

    def layer(
        self, jobs: CommandList, rows: Rows, matrix: int, transposed: bool, to: Rows, *, adds: bool = False
    ) -> None:
        """Multiply all rows by a matrix of the tape; overwrite the result, or add to it if `adds`."""

    def ready_layer(self, jobs: CommandList, rows: Rows, packed: str, to: Rows) -> None:
        """Multiply all rows by a packed matrix."""

    def sums(self, jobs: CommandList, columns: Rows, others: Sequence[tuple[Rows, Rows, bool]]) -> None:
        """Multiply columns by other rows, a sum over all rows; add to a result if its flag says so."""


class Serial(Gemm):
    """Products by one thread, on vectors.

    Args:
        commands: The buffer.
    """

    def __init__(self, commands: CommandBuffer) -> None:
        self._commands = commands
        self._packed: dict[Rows, str] = {}

    def layer(
        self, jobs: CommandList, rows: Rows, matrix: int, transposed: bool, to: Rows, *, adds: bool = False
    ) -> None:
        self._commands.multiply(jobs, rows, self._commands.pack(jobs, matrix, transposed), to, adds=adds)

    def ready_layer(self, jobs: CommandList, rows: Rows, packed: str, to: Rows) -> None:
        self._commands.multiply(jobs, rows, packed, to)

    def sums(self, jobs: CommandList, columns: Rows, others: Sequence[tuple[Rows, Rows, bool]]) -> None:
        for rows, to, adds in others:
            if rows not in self._packed:
                self._packed[rows] = self._commands.pack_rows(jobs, rows)
            self._commands.multiply(jobs, columns, self._packed[rows], to, adds=adds, turned=True)


class _Factor(NamedTuple):
    """A matrix to multiply by, and the place of the product."""

    at: Address
    down: int
    across: int
    width: int
    to: Rows
    adds: bool


class Parallel(Gemm):
    """Products by all threads, in AMX tiles where the processor has them.

    Args:
        commands: The buffer.
    """

    def __init__(self, commands: CommandBuffer) -> None:
        self._commands = commands
        self._functions = functions = commands.program.products(commands.program.cut)
        assert functions.multiply is not None, "factors are not rounded"
        self._join = functions.multiply.join

    def layer(
        self, jobs: CommandList, rows: Rows, matrix: int, transposed: bool, to: Rows, *, adds: bool = False
    ) -> None:
        at, down, across, (_, width) = self._commands.matrix_strides(matrix, transposed)
        self._multiply(jobs, rows, False, [_Factor(at, down, across, width, to, adds)])

    def ready_layer(self, jobs: CommandList, rows: Rows, packed: str, to: Rows) -> None:
        self._multiply(jobs, rows, False, [_Factor(Address(""), 0, 0, to.width, to, False)], packed)

    def sums(self, jobs: CommandList, columns: Rows, others: Sequence[tuple[Rows, Rows, bool]]) -> None:
        factors = [_Factor(rows.at, rows.stride, 1, rows.width, to, adds) for rows, to, adds in others]
        self._multiply(jobs, columns, True, factors)

    def _multiply(
        self, jobs: CommandList, rows: Rows, turned: bool, factors: Sequence[_Factor], ready: str = ""
    ) -> None:
        commands, height = self._commands, rows.width if turned else Address("rows")
        commands.scratch.add("work", "share", self._functions.work)
        table: list[Argument] = []
        added = []
        for factor in factors:
            result = factor.to
            if factor.adds:
                room = commands.reserve(
                    "product", "vector" if turned else "time", factor.width * (rows.width if turned else 1)
                )
                result = Rows(Address(room), factor.width, factor.width)
                added.append((factor.to, result))
            table += Factor[Argument](
                matrix=factor.at,
                down=factor.down,
                across=factor.across,
                width=factor.width,
                ready=Address(ready),
                result=result.at,
                stride=result.stride,
            )
        job = Job[Argument](
            rows=rows.at,
            down=rows.stride if turned else 1,
            along=1 if turned else rows.stride,
            height=height,
            depth=Address("rows") if turned else rows.width,
            factors=len(factors),
            width=max(factor.width for factor in factors),
            table=Address(commands.numbers(jobs, table)),
            parts=Address(SHARES),
            work=Address("work"),
            number=commands.program.team.which,
            team=commands.program.team.size,
        )
        arguments = commands.numbers(jobs, job)
        commands.call(jobs, "parallel", self._join, Address(arguments), Address(CREW), 0)
        for to, result in added:
            commands.call(jobs, "add", to.at, to.stride, result.at, result.stride, height, to.width)
