"""Texts are read with care, and a downloaded corpus is the right one or none. Downloads come from a real server on loopback."""

import gzip
import hashlib
import io
import socket
import subprocess
import sys
import threading
import warnings
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastai_charrnn.data import corpus
from fastai_charrnn.data.corpus import human_numbers, nietzsche, python_reference
from fastai_charrnn.data.text_file import read_text
from fastai_charrnn.errors import CharRnnWarning, CorpusError, DownloadError

CONTENT = "".join(f"line {i} of a corpus\n" for i in range(20_000)).encode()


# reading


@pytest.mark.parametrize(
    "raw,text,said",
    [
        (b"a\r\nb\rc\n", "a\nb\nc\n", "1 CRLF and 1 CR line ends"),
        (b"\xef\xbb\xbfabc", "abc", "byte order mark"),
        (b"\xef\xbb\xbfa\r\n", "a\n", "1 CRLF"),
    ],
)
def test_line_ends_and_byte_order_marks_are_normalised_and_it_says_so(tmp_path, raw, text, said):
    (path := tmp_path / "t.txt").write_bytes(raw)
    with pytest.warns(CharRnnWarning, match=said):
        assert read_text(path) == text
    assert text == path.read_text(encoding="utf-8-sig")


def test_clean_text_is_read_without_a_word(tmp_path):
    (path := tmp_path / "t.txt").write_text("naïve 漢字 🙂\n", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_text(path) == "naïve 漢字 🙂\n"


def test_utf_16_is_read_by_its_mark(tmp_path):
    (path := tmp_path / "t.txt").write_text("héllo\n", encoding="utf-16")
    assert read_text(path, "utf-16") == "héllo\n"


def test_invalid_bytes_are_named_with_position_line_and_way_out(tmp_path):
    (path := tmp_path / "t.txt").write_bytes(b"abc\ncaf\xe9 au lait")
    with pytest.raises(
        CorpusError, match=r"not valid utf-8: byte 0xe9 at position 7 \(line 2\).*encoding=…, often 'latin-1'"
    ):
        read_text(path)
    assert read_text(path, "latin-1") == "abc\ncafé au lait"


@pytest.mark.parametrize("encoding,says", [("klingon", "unknown encoding"), ("utf-16", "not valid utf-16")])
def test_wrong_encodings_are_typed_errors(tmp_path, encoding, says):
    (path := tmp_path / "t.txt").write_bytes(b"abc")
    with pytest.raises(CorpusError, match=says):
        read_text(path, encoding)


def test_missing_files_folders_and_empty_files_are_typed_errors(tmp_path):
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


def test_damaged_gzip_files_are_typed_errors(tmp_path):
    whole = gzip.compress(b"some text\n" * 1000)
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    (tmp_path / "odd.gz").write_bytes(b"\x1f\x8b" + b"x" * 100)
    for name in ("cut.gz", "odd.gz"):
        with pytest.raises(CorpusError, match="is a damaged gzip file"):
            read_text(tmp_path / name)


def _zipped():
    zipfile.ZipFile(buffer := io.BytesIO(), "w").writestr("a.txt", "text")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "raw,says",
    [
        (_zipped(), "is a zip archive"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a picture"),
        (b"abc\0\1", "is a binary file"),
        ("naïve".encode("utf-16"), "is UTF-16 text; pass encoding='utf-16'"),
    ],
    ids=["zip", "png", "nulls", "utf-16"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_binary_files_are_no_texts(tmp_path, raw, says, encoding):
    (path := tmp_path / "t").write_bytes(raw)
    with pytest.raises(CorpusError, match=says):
        read_text(path, encoding)


# texts that need no network


def test_python_reference_is_the_text_of_pydoc():
    text = python_reference()
    assert len(text) > 300_000 and "The standard type hierarchy" in text and text == python_reference()
    if sys.version_info[:2] == (3, 11):
        assert abs(len(text) - 465_000) < 10_000


def test_human_numbers_are_spelled_and_split_as_the_courses():
    lines = human_numbers().split("\n")
    assert human_numbers().startswith("one \ntwo \nthree \n") and human_numbers().endswith(
        "nine thousand nine hundred ninety nine \n"
    )
    assert (
        len(lines) - 1 == 9_998
        and lines[20] == "twenty one "
        and lines[100] == "one hundred one "
        and lines[1233] == "one thousand two hundred thirty four "
    )
    assert set(human_numbers()) <= set("abcdefghijklmnopqrstuvwxyz \n") and " and " not in human_numbers()
    train, valid = human_numbers("train"), human_numbers("valid")
    assert train + valid == human_numbers() and train.count("\n") == 7_999 and valid.startswith("eight thousand one \n")
    with pytest.raises(CorpusError, match="part must be .* got 'test'"):
        human_numbers("test")


# the reference's corpus


@pytest.mark.corpus
def test_nietzsche_is_found_where_charrnn_data_says(text):
    assert nietzsche().name == "nietzsche.txt" and len(text) == 600_893


def test_a_wrong_local_copy_is_refused(tmp_path, monkeypatch):
    (tmp_path / "nietzsche.txt").write_text("God is dead")
    monkeypatch.setenv("CHARRNN_DATA", str(tmp_path))
    with pytest.raises(DownloadError, match="11 bytes instead of 600,901"):
        nietzsche()


@pytest.fixture
def home(tmp_path, monkeypatch):
    "An empty fastai home, no corpus at hand, downloads allowed: what a new user has."
    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CHARRNN_DATA", raising=False)
    monkeypatch.delenv("CHARRNN_OFFLINE", raising=False)
    monkeypatch.setattr(corpus, "_nietzsche_size", len(CONTENT))
    monkeypatch.setattr(corpus, "_nietzsche_sha256", hashlib.sha256(CONTENT).hexdigest())
    return tmp_path / "home"


@contextmanager
def server(answer):
    "A real HTTP server on loopback; `answer(handler)` writes the response."

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *args):
            "Keep quiet."

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}/nietzsche.txt"
        finally:
            httpd.shutdown()


def _send(h, body, length=None):
    h.send_response(200)
    h.send_header("Content-Length", str(len(body) if length is None else length))
    h.end_headers()
    h.wfile.write(body)


def _files(home):
    return [o for o in home.rglob("*") if o.is_file() and o.name != "config.ini"]


def test_the_right_file_is_downloaded_once_with_a_bar(home, capfd):
    asked = []
    with server(lambda h: (asked.append(h.path), _send(h, CONTENT))) as url:
        path = nietzsche(url)
        assert path == nietzsche(url) and path.read_bytes() == CONTENT and path.is_relative_to(home)
    assert len(asked) == 1 and _files(home) == [path]
    assert "100" in "".join(capfd.readouterr())


def test_a_download_within_its_time_limit_is_the_same(home):
    with server(lambda h: _send(h, CONTENT)) as url:
        assert nietzsche(url, timeout=10).read_bytes() == CONTENT


@pytest.mark.parametrize("timeout", [None, 10])
@pytest.mark.parametrize(
    "answer,says",
    [
        (lambda h: _send(h, CONTENT[:-1] + b"X"), "sha256"),
        (lambda h: _send(h, CONTENT[:1000]), "1,000 bytes instead of"),
        (lambda h: _send(h, b"<html>please log in</html>"), "bytes instead of"),
        (lambda h: _send(h, CONTENT[:5000], length=len(CONTENT)), "."),
        (lambda h: h.send_error(404), "answered 404"),
        (lambda h: h.send_error(503), "answered 503"),
    ],
    ids=["wrong checksum", "truncated", "another page", "connection lost", "404", "503"],
)
def test_bad_downloads_end_in_a_typed_error_and_leave_nothing(home, answer, says, timeout):
    with server(answer) as url, pytest.raises(DownloadError, match=says):
        nietzsche(url, timeout=timeout)
    assert not _files(home)


def test_a_refused_connection_is_a_typed_error(home):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}/nietzsche.txt"
    with pytest.raises(DownloadError, match="(?i)refused.*CHARRNN_DATA"):
        nietzsche(url)
    assert not _files(home)


def test_a_slow_server_is_given_up_after_the_limit(home):
    stop = threading.Event()

    def drip(h):
        h.send_response(200)
        h.send_header("Content-Length", str(len(CONTENT)))
        h.end_headers()
        for i in range(0, len(CONTENT), 2000):
            if stop.wait(0.05):
                return
            h.wfile.write(CONTENT[i : i + 2000])

    with server(drip) as url, pytest.raises(DownloadError, match="longer than 0.5 s"):
        nietzsche(url, timeout=0.5)
    stop.set()
    assert not _files(home)


def test_an_interrupted_download_leaves_nothing(home, tmp_path):
    "A real process, stopped by a real Ctrl-C in the middle of a download."
    started, stop = threading.Event(), threading.Event()

    def half(h):
        h.send_response(200)
        h.send_header("Content-Length", str(len(CONTENT)))
        h.end_headers()
        h.wfile.write(CONTENT[:200_000])
        h.wfile.flush()
        started.set()
        stop.wait(20)

    with server(half) as url:
        code = f"from fastai_charrnn.data.corpus import nietzsche; nietzsche({url!r})"
        p = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert started.wait(20)
        p.send_signal(2)
        p.communicate(timeout=20)
        stop.set()
    assert p.returncode != 0 and not _files(home)


def test_offline_forbids_every_download(home, monkeypatch):
    monkeypatch.setenv("CHARRNN_OFFLINE", "1")
    asked = []
    with server(lambda h: asked.append(h.path)) as url, pytest.raises(DownloadError, match="CHARRNN_OFFLINE=1 forbids"):
        nietzsche(url)
    assert not asked


def test_corpus_and_vocab_import_no_torch():
    code = "import sys; import fastai_charrnn.data.corpus as c, fastai_charrnn.data.vocab; c.python_reference(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
