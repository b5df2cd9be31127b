"""Scores as a picture."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from unspool.inspection import bar_chart

SCORES = {
    "window": {"bleu": 10.0, "bleu, over 8 words": 8.0, "perplexity": 30.0},
    "a <b> & c": {"bleu": 40.0, "bleu, over 8 words": 20.0, "perplexity": float("nan")},
    "none": {"bleu": 0.0},
}


def bars(svg: str) -> list[tuple[float, float, float]]:
    """Where each bar begins, how wide it is, and in which row it stands."""
    bars = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="14"', svg)
    return [(float(x), float(width), float(y)) for x, y, width in bars]


def test_bars_of_one_family_have_one_scale_and_others_their_own():
    svg = bar_chart(SCORES, title="Scores")
    drawn = bars(svg)
    places = sorted({x for x, _, _ in drawn})
    widths = [[width for x, width, _ in drawn if x == place] for place in places]
    full = max(widths[0])
    assert widths == [[full / 4, full, 0.0], [full / 5, full / 2], [full]]
    rows = sorted({y for _, _, y in drawn})
    assert [y for x, _, y in drawn if x == places[0]] == rows


def test_it_is_well_formed_and_says_every_name_and_number():
    root = ElementTree.fromstring(bar_chart(SCORES, title="Scores on test"))
    labels = [element.text for element in root.iter() if element.text and element.text.strip()]
    for word in ("Scores on test", "window", "a <b> & c", "none", "bleu, over 8 words", "perplexity", "40", "8", "0"):
        assert word in labels
    assert "nan" not in labels


def test_nothing_to_draw_is_an_empty_picture():
    assert bars(bar_chart({}, title="Nothing")) == []
