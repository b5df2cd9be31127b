"""The barrier: threads share the columns of a step's products, and wait for each other.

Each thread makes some columns of every product, for all rows, and the loops for its own rows; so threads meet before a
phase's products and after them. A thread that has waited for long yields its core: the other one may have to share a
core with another program.
"""

from __future__ import annotations

from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.cpu.codegen.target import Target
from unspool.engine.cpu.policy import CodegenPolicy

__all__ = ["GATE", "Together", "meeting"]

GATE = 128
"""Bytes of the barrier's counters, so that no other memory that threads write is near. They must be zero before a call.
After a call, the first number counts arrivals, the second the microseconds that threads lost in long waits."""
_PAUSE = "llvm.x86.sse2.pause"


def meeting(target: Target, policy: CodegenPolicy) -> str:
    """Return a function `meet(gate, all, rest, clock)` that waits for `all` arrivals since the counters were zero."""
    pause = target.register_bytes >= 32  # such vectors say that it is an x86
    return f"""{f"declare void @{_PAUSE}()" if pause else ""}

define internal void @meet(ptr %gate, i64 %all, ptr %rest, ptr %clock) noinline {{
entry:
  %come = atomicrmw add ptr %gate, i64 1 acq_rel
  br label %look
look:
  %turn = phi i64 [ 0, %entry ], [ %next, %wait ]
  %here = load atomic i64, ptr %gate acquire, align 8
  %met = icmp sge i64 %here, %all
  br i1 %met, label %end, label %more
more:
  %next = add i64 %turn, 1
  %patient = icmp slt i64 %turn, {policy.barrier_spins}
  br i1 %patient, label %wait, label %late
wait:
  {f"call void @{_PAUSE}()" if pause else ""}
  br label %look
late:
  %start = call double %clock()
  br label %long
long:
  %ignored = call i32 %rest()
  %there = load atomic i64, ptr %gate acquire, align 8
  %done = icmp sge i64 %there, %all
  br i1 %done, label %told, label %long
told:
  %stop = call double %clock()
  %seconds = fsub double %stop, %start
  %counts = fcmp ogt double %seconds, {policy.long_wait_seconds}
  br i1 %counts, label %lost, label %end
lost:
  %more.seconds = fmul double %seconds, 1.0e6
  %whole = fptosi double %more.seconds to i64
  %place = getelementptr i64, ptr %gate, i64 1
  %before = atomicrmw add ptr %place, i64 %whole monotonic
  br label %end
end:
  ret void
}}"""


class Together:
    """Emits the shared parts of a function that runs as number `%part` of `%team` threads; alone if `%team` is 0.

    Args:
        f: The function.
        gate: The counters of the barrier.
        rest: The function that yields the core.
        clock: The function that returns the time in seconds.
    """

    def __init__(self, f: Function, gate: str, rest: str, clock: str) -> None:
        self._f, self._functions = f, f"ptr {rest}, ptr {clock}"
        self._gate = gate
        self.here = f.value("icmp ne i64 %team, 0")
        """Whether there is a team."""
        self._come = f.allocate("i64")  # how many threads have come to all meetings up to now
        f.do(f"store i64 0, ptr {self._come}")

    def share(self, whole: int) -> tuple[str, str]:
        """Return the first of so many that this thread makes, and the one after its last."""
        f = self._f
        places = [f.allocate("i64") for _ in range(2)]
        for place, end in zip(places, (0, whole), strict=True):
            f.do(f"store i64 {end}, ptr {place}")
        with f.when(self.here, what="share"):  # a division takes its time
            for place, number in zip(places, ("%part", f.whole("add", "%part", 1)), strict=True):
                f.do(f"store i64 {f.whole('sdiv', f.whole('mul', whole, number), '%team')}, ptr {place}")
        first, last = (f.load("i64", place) for place in places)
        return first, last

    def choose(self, team: str | int, alone: str | int) -> str:
        """Return one whole number in a team, another one alone."""
        return self._f.value(f"select i1 {self.here}, i64 {team}, i64 {alone}")

    def meet(self) -> None:
        """Wait for the others, if there are any."""
        f = self._f
        with f.when(self.here, what="meet"):
            come = f.whole("add", f.load("i64", self._come), "%team")
            f.do(f"store i64 {come}, ptr {self._come}")
            f.do(f"call void @meet(ptr {self._gate}, i64 {come}, {self._functions})")
