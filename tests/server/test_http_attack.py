"""Thousands of hostile requests from a seed end with an answer or a closed connection, and leave nothing."""

from __future__ import annotations

import http_attack
import pytest
from live import serving


@pytest.mark.parametrize(("seed", "cases"), [(0, 400), pytest.param(1, 100_000, marks=pytest.mark.slow)])
def test_hostile_requests_from_a_seed(served, seed, cases):
    with serving(served, **http_attack.LIMITS) as live:
        counts = http_attack.run(live, seed, range(cases))
    assert counts.keys() >= {200, 400, 403, 404, 405, 413, 415, 422}
    assert counts[200] > cases // 5


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 500 \r\nx-content-type-options: nosniff\r\n\r\n", b"HTTP/1.1 400 \r\n\r\n{}"],
)
def test_the_attack_sees_a_bad_answer(answer):
    with pytest.raises(AssertionError):
        http_attack.statuses_of(answer)
