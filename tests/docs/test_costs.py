"""The picture of what runs cost shows the figures of the page."""

from __future__ import annotations

from scripts.cost_chart import PAGE, PICTURE, draw, rows


def test_the_picture_is_drawn_from_the_pages_table() -> None:
    found = rows(PAGE.read_text("utf-8"))
    assert [jobs for jobs, _, _ in found] == ["10", "50", "100", "1,000", "10,000", "100,000"]
    assert PICTURE.read_text("utf-8") == draw(found)


def test_other_figures_are_another_picture() -> None:
    found = rows(PAGE.read_text("utf-8"))
    jobs, ours, theirs = found[0]
    assert draw([(jobs, 2 * ours, theirs), *found[1:]]) != draw(found)
