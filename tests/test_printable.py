"""`printable` escapes what a terminal would obey or hide, and keeps what people read."""

import unicodedata

import pytest

from fastai_charrnn._printable import printable


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain text, 'quotes' and \\backslashes", "plain text, 'quotes' and \\backslashes"),
        ("\x1b]52;c;ZXZpbA==\x07", "\\x1b]52;c;ZXZpbA==\\x07"),
        ("\x9b31m red \x7f\0", "\\x9b31m red \\x7f\\x00"),
        ("one\ntwo\tthree\r", "one\\ntwo\\tthree\\r"),
        ("user\u202etxt.exe\u2066\u200f", "user\\u202etxt.exe\\u2066\\u200f"),
        ("a\u2028b\u2029c\ufeff", "a\\u2028b\\u2029c\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041\U0010ffff", "\\U000e0041\\U0010ffff"),
        ("prix\u00a0: 5\u202f€\u3000東京", "prix\u00a0: 5\u202f€\u3000東京"),
        ("می\u200cخواهم 👩\u200d🚀 e\u0301", "می\u200cخواهم 👩\u200d🚀 e\u0301"),
        (None, "None"),
        ("", ""),
    ],
)
def test_dangerous_characters_are_escaped_and_text_is_kept(text, shown):
    assert printable(text) == shown


def test_line_breaks_and_tabs_may_stay():
    assert printable("one\ntwo\tthree\r\n\x1b", lines=True) == "one\ntwo\tthree\\r\n\\x1b"


def test_no_category_that_a_terminal_obeys_is_left():
    every = "".join(map(chr, range(0x30000)))
    left = {unicodedata.category(c) for c in set(printable(every)) - {"\u200c", "\u200d"}}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize("text", ["x" * 10_000, "\x1b" * 10_000, "ab\x1b" * 20, "\U0010ffff" * 9])
@pytest.mark.parametrize("max_len", [1, 8, 30])
def test_a_long_text_is_shortened_without_cutting_an_escape(text, max_len):
    shown = printable(text, max_len=max_len)
    assert len(shown) <= max_len
    assert shown.endswith("…")
    assert printable(text).startswith(shown[:-1])
    assert shown[:-1] in {printable(text[:i]) for i in range(max_len)}


def test_a_text_of_the_longest_length_is_whole():
    assert printable("x" * 30, max_len=30) == "x" * 30
    assert printable("\x1b" * 5, max_len=20) == "\\x1b" * 5
