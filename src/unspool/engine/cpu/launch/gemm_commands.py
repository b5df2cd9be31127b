"""Products over the rows of all steps, as jobs: by one thread, or by all of torch's.

What is small is made by the one, before threads have woken; what is large by the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from unspool.engine.cpu.codegen.gemm.blocking import Factor, Job
from unspool.engine.cpu.launch.command_buffer import CREW, SHARES, CommandBuffer, Rows
from unspool.engine.cpu.launch.command_list import Address, Argument, CommandList

__all__ = ["Gemm", "Serial", "Strategy", "Together"]

Strategy = Literal["alone", "together", "torch"]
"""Who makes products over all steps: one thread or all of them, as jobs; or torch, outside of them."""


class Gemm(Protocol):
    """Adds the commands of one buffer."""

    def layer(
        self, jobs: CommandList, rows: Rows, matrix: int, transposed: bool, to: Rows, *, adds: bool = False
    ) -> None:
        """All rows times a matrix of the tape, put somewhere or added to what is there."""

    def ready_layer(self, jobs: CommandList, rows: Rows, packed: str, to: Rows) -> None:
        """The same with a matrix that was packed before."""

    def sums(self, jobs: CommandList, columns: Rows, others: Sequence[tuple[Rows, Rows, bool]]) -> None:
        """Columns times other rows, which is a sum over all rows: each put somewhere, or added if so."""


class Serial(Gemm):
    """By one thread, on vectors.

    Args:
        commands: Whose jobs.
    """

    def __init__(self, commands: CommandBuffer) -> None:
        self._frame = commands
        self._packed: dict[Rows, str] = {}

    def layer(
        self, jobs: CommandList, rows: Rows, matrix: int, transposed: bool, to: Rows, *, adds: bool = False
    ) -> None:
        self._frame.multiply(jobs, rows, self._frame.pack(jobs, matrix, transposed), to, adds=adds)

    def ready_layer(self, jobs: CommandList, rows: Rows, packed: str, to: Rows) -> None:
        self._frame.multiply(jobs, rows, packed, to)

    def sums(self, jobs: CommandList, columns: Rows, others: Sequence[tuple[Rows, Rows, bool]]) -> None:
        for rows, to, adds in others:
            if rows not in self._packed:
                self._packed[rows] = self._frame.pack_rows(jobs, rows)
            self._frame.multiply(jobs, columns, self._packed[rows], to, adds=adds, turned=True)


class _Factor(NamedTuple):
    """A matrix to multiply by, and where the product goes."""

    at: Address
    down: int
    across: int
    width: int
    to: Rows
    adds: bool


class Together(Gemm):
    """By all threads, in tiles where the processor has them.

    Args:
        commands: Whose jobs.
    """

    def __init__(self, commands: CommandBuffer) -> None:
        self._frame = commands
        self._functions = functions = commands.program.products(commands.program.cut)
        assert functions.multiply is not None, "factors are not rounded"
        self._join = functions.multiply.join

    def layer(
        self, jobs: CommandList, rows: Rows, matrix: int, transposed: bool, to: Rows, *, adds: bool = False
    ) -> None:
        at, down, across, (_, width) = self._frame.lying(matrix, transposed)
        self._multiply(jobs, rows, False, [_Factor(at, down, across, width, to, adds)])

    def ready_layer(self, jobs: CommandList, rows: Rows, packed: str, to: Rows) -> None:
        self._multiply(jobs, rows, False, [_Factor(Address(""), 0, 0, to.width, to, False)], packed)

    def sums(self, jobs: CommandList, columns: Rows, others: Sequence[tuple[Rows, Rows, bool]]) -> None:
        factors = [_Factor(rows.at, rows.stride, 1, rows.width, to, adds) for rows, to, adds in others]
        self._multiply(jobs, columns, True, factors)

    def _multiply(
        self, jobs: CommandList, rows: Rows, turned: bool, factors: Sequence[_Factor], ready: str = ""
    ) -> None:
        commands, height = self._frame, rows.width if turned else Address("rows")
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
