"""Text files are decoded and normalised, in one piece or many, and unreadable files raise `CorpusError`."""

import gzip
import io
import warnings
import zipfile

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastai_charrnn.data.text_file import TextFile, read_text
from fastai_charrnn.data.vocab import CharVocab
from fastai_charrnn.errors import CharRnnWarning, CorpusError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.txt"


@pytest.mark.parametrize(
    "raw,text,warning",
    [
        (b"a\r\nb\rc\n", "a\nb\nc\n", "1 CRLF and 1 CR line ends"),
        (b"\xef\xbb\xbfabc", "abc", "byte order mark"),
        (b"\xef\xbb\xbfa\r\n", "a\n", "1 CRLF"),
    ],
)
def test_normalised_line_ends_and_byte_order_marks_are_reported(path, raw, text, warning):
    path.write_bytes(raw)
    with pytest.warns(CharRnnWarning, match=warning):
        assert read_text(path) == text
    assert text == path.read_text(encoding="utf-8-sig")


def test_clean_text_is_read_without_a_warning(path):
    path.write_text("naïve 漢字 🙂\n", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_text(path) == "naïve 漢字 🙂\n"


def test_utf_16_is_read_with_its_byte_order_mark(path):
    path.write_text("héllo\n", encoding="utf-16")
    assert read_text(path, "utf-16") == "héllo\n"


def test_an_error_names_the_invalid_byte_its_position_and_line_and_what_to_do(path):
    path.write_bytes(b"abc\ncaf\xe9 au lait")
    message = r"not valid utf-8: byte 0xe9 at position 7 \(line 2\).*encoding=…, often 'latin-1'"
    with pytest.raises(CorpusError, match=message):
        read_text(path)
    assert read_text(path, "latin-1") == "abc\ncafé au lait"


@pytest.mark.parametrize("encoding,message", [("klingon", "unknown encoding"), ("utf-16", "not valid utf-16")])
def test_a_wrong_encoding_raises_a_corpus_error(path, encoding, message):
    path.write_bytes(b"abc")
    with pytest.raises(CorpusError, match=message):
        read_text(path, encoding)


def test_missing_files_folders_and_empty_files_raise_a_corpus_error(tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "mark.txt").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(CorpusError, match="No such file"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(CorpusError, match="Is a directory"):
        read_text(tmp_path)
    for name in ("empty.txt", "mark.txt"):
        with pytest.raises(CorpusError, match="is empty"):
            read_text(tmp_path / name)


def test_gzip_files_are_unpacked(tmp_path):
    with gzip.open(tmp_path / "t.txt.gz", "wb") as f:
        f.write("naïve\n".encode("latin-1") * 1000)
    assert read_text(tmp_path / "t.txt.gz", "latin-1") == "naïve\n" * 1000


def test_damaged_gzip_files_raise_a_corpus_error(tmp_path):
    complete = gzip.compress(b"some text\n" * 1000)
    (tmp_path / "cut.gz").write_bytes(complete[:-20])
    (tmp_path / "odd.gz").write_bytes(b"\x1f\x8b" + b"x" * 100)
    for name in ("cut.gz", "odd.gz"):
        with pytest.raises(CorpusError, match="is a damaged gzip file"):
            read_text(tmp_path / name)


def _zipped():
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").writestr("a.txt", "text")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "raw,message",
    [
        (_zipped(), "is a zip archive"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a picture"),
        (b"abc\0\1", "is a binary file"),
        ("naïve".encode("utf-16"), "is UTF-16 text; pass encoding='utf-16'"),
    ],
    ids=["zip", "png", "nulls", "utf-16"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_binary_files_raise_a_corpus_error(path, raw, message, encoding):
    path.write_bytes(raw)
    with pytest.raises(CorpusError, match=message):
        read_text(path, encoding)


# in pieces

any_text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\ufeffaé€😀"), max_size=60)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be", "utf-7"])


@settings(deadline=None, max_examples=300)
@given(any_text, encodings, st.integers(1, 9))
def test_the_pieces_make_up_the_text(tmp_path_factory, text, encoding, size):
    assume("\0" not in text or encoding.startswith(("utf-16", "utf-32")))
    path = tmp_path_factory.getbasetemp() / "pieces.txt"
    raw = text.encode(encoding)
    path.write_bytes(raw)
    expected = io.TextIOWrapper(io.BytesIO(raw), encoding).read().removeprefix("\ufeff")
    file = TextFile(path, encoding, size)
    if not expected:
        with pytest.raises(CorpusError, match="is empty"):
            list(file)
        return
    pieces = list(file)
    assert "".join(pieces) == expected
    assert file.n_chars == len(expected)
    assert all(pieces)
    assert bool(file.changes) == (expected != raw.decode(encoding))
    if "\0" not in expected:
        assert CharVocab.from_pieces(pieces) == CharVocab.from_text(expected)


@pytest.mark.parametrize("size", [1, 7, 2**20])
def test_the_invalid_byte_is_named_wherever_pieces_end(tmp_path, size):
    path = tmp_path / "bad.txt"
    path.write_bytes("aé\n€\n".encode() + b"ok \xe2\x82x")
    with pytest.raises(CorpusError, match=r"byte 0xe2 at position 11 \(line 3\)"):
        list(TextFile(path, size=size))
