"""Pieces that are bytes become characters, the same in Python and in the page."""

from __future__ import annotations

import json

import pytest

from specviz.record.pieces import joined
from tests.support.node import arithmetic

CASES = [
    (["a", " b"], ["a", " b"]),
    (["⟨F0 9F⟩", "⟨98 80⟩", "!"], ["", "😀", "!"]),
    (["x", "⟨E6⟩", "⟨97⟩", "⟨A5⟩"], ["x", "", "", "日"]),
    (
        ["⟨20 F0 9F⟩", "⟨98 80 F0⟩", "⟨9F 98 80⟩"],
        [" ", "😀", "😀"],
    ),  # a token that ends one character and begins the next
    (["⟨F0 9F⟩", "a", "⟨98⟩"], ["⟨F0 9F⟩", "a", "⟨98⟩"]),  # never whole
    (["⟨F0⟩", "⟨F0 9F⟩", "⟨98 80⟩"], ["⟨F0⟩", "", "😀"]),  # one that goes astray, then one that does not
    (["⟨E6 97⟩"], ["⟨E6 97⟩"]),  # cut off by the end
    (["⟨F0⟩", "⟨41⟩"], ["⟨F0⟩", "A"]),
    (["⟨EF BB⟩", "⟨BF⟩"], ["", "\ufeff"]),  # a mark that decoders like to swallow
    (["⟨zz⟩", "⟨F0 9⟩", "⟨⟩"], ["⟨zz⟩", "⟨F0 9⟩", "⟨⟩"]),  # text that only looks like bytes
]


@pytest.mark.parametrize(("pieces", "expected"), CASES)
def test_bytes_of_one_character_come_together(pieces, expected):
    """At the last of its tokens; what never becomes a character stays as bytes."""
    assert joined(pieces) == expected


def test_the_page_joins_them_the_same():
    """store.js on the same cases."""
    with arithmetic() as page:
        for pieces, expected in CASES:
            tokens = json.dumps([{"text": piece} for piece in pieces])
            assert page.evaluate(f"specviz.pieces.joined({tokens})") == expected
