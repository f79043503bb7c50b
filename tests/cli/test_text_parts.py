"""A part of texts that are too large for the time: stretches of whole lines, whole characters, files from all over."""

import gzip
import re

import pytest

from fastai_charrnn.cli.text_parts import bytes_in, fitting_texts

LINES = "".join(f"line {i} é\n" for i in range(20_000))


def _number(line):
    return int(re.fullmatch(r"line (\d+) é", line)[1])


def test_a_text_that_fits_is_read_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(LINES, encoding="utf-8")
    assert fitting_texts([path], "utf-8", 10**6, tmp_path) == ([path], "")


def test_stretches_of_whole_lines_are_spread_over_a_file_and_the_last_one_ends_it(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(LINES, encoding="utf-8")
    (part,), note = fitting_texts([path], "utf-8", 60_000, tmp_path / "parts")
    numbers = [_number(line) for line in part.read_text(encoding="utf-8").splitlines()]
    assert 50_000 < part.stat().st_size <= 60_000
    assert (numbers[0], numbers[-1]) == (0, 19_999)
    assert sum(b - a > 1 for a, b in zip(numbers, numbers[1:])) == 15
    assert "16 stretches" in note


def test_a_text_without_line_ends_is_cut_between_characters(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("aé€😀" * 30_000, encoding="utf-8")
    (part,), _ = fitting_texts([path], "utf-8", 100_000, tmp_path / "parts")
    assert set(part.read_text(encoding="utf-8")) == set("aé€😀")


def test_files_are_chosen_from_all_over_the_list_with_the_last_one(tmp_path):
    paths = [tmp_path / f"{i:02}.txt" for i in range(40)]
    for path in paths:
        path.write_text("a line of text\n" * 100)
    chosen, note = fitting_texts(paths, "utf-8", 15_000, tmp_path / "parts")
    numbers = [paths.index(path) for path in chosen]
    assert len(numbers) == 10
    assert numbers[0] == 0 and numbers[-1] == 39
    assert max(b - a for a, b in zip(numbers, numbers[1:])) <= 8
    assert "10 of 40 files" in note


def test_the_beginning_of_a_gzip_file_is_unpacked(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(LINES.encode(), 0))
    (part,), _ = fitting_texts([path], "utf-8", 50_000, tmp_path / "parts")
    assert LINES.startswith(part.read_text(encoding="utf-8"))
    assert part.stat().st_size > 49_000


@pytest.mark.parametrize("encoding", ["utf-16", "shift_jis", "no-such-encoding"])
def test_other_encodings_are_not_cut(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(b"text\n" * 1000)
    assert fitting_texts([path], encoding, 100, tmp_path) == ([path], "")


def test_more_time_reads_more(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(LINES, encoding="utf-8")
    assert bytes_in(path, "utf-8", 100.0) > bytes_in(path, "utf-8", 0.1) > 0
    path.write_bytes(b"\xff\xfe\xfd")
    assert bytes_in(path, "utf-8", 1.0) == 0
