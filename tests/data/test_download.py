"""A download is complete and correct, or leaves nothing. The tests download from a real server on loopback."""

import gzip
import hashlib
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastai_charrnn.all import CharDataLoaders
from fastai_charrnn.data import corpus
from fastai_charrnn.data.corpus import nietzsche
from fastai_charrnn.errors import CorpusError, DownloadError

CONTENT = "".join(f"line {i} of a corpus\n" for i in range(20_000)).encode()


@pytest.fixture
def home(tmp_path, monkeypatch):
    "The situation of a new user: an empty fastai home, no local corpus, downloads allowed."
    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CHARRNN_DATA", raising=False)
    monkeypatch.delenv("CHARRNN_OFFLINE", raising=False)
    monkeypatch.setattr(corpus, "_nietzsche_size", len(CONTENT))
    monkeypatch.setattr(corpus, "_nietzsche_sha256", hashlib.sha256(CONTENT).hexdigest())
    return tmp_path / "home"


@contextmanager
def server(answer):
    "A real HTTP server on loopback. `answer(handler)` writes the response."

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *args):
            "Print nothing."

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}/nietzsche.txt"
        finally:
            httpd.shutdown()


def _send_headers(handler, length):
    handler.send_response(200)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()


def _send(handler, body, length=None):
    _send_headers(handler, len(body) if length is None else length)
    handler.wfile.write(body)


def _files(home):
    return [path for path in home.rglob("*") if path.is_file() and path.name != "config.ini"]


@contextmanager
def _content_server():
    "Serve CONTENT. Yields the address, and the list of the paths that were requested."
    requests = []

    def answer(handler):
        requests.append(handler.path)
        _send(handler, CONTENT)

    with server(answer) as url:
        yield url, requests


def test_the_file_is_downloaded_once_with_a_progress_bar(home, capfd):
    with _content_server() as (url, requests):
        path = nietzsche(url)
        assert path == nietzsche(url)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(home)
    assert len(requests) == 1
    assert _files(home) == [path]
    assert "100" in "".join(capfd.readouterr())


def test_a_download_within_its_time_limit_succeeds(home):
    with server(lambda handler: _send(handler, CONTENT)) as url:
        assert nietzsche(url, timeout=10).read_bytes() == CONTENT


@pytest.mark.parametrize("timeout", [None, 10])
@pytest.mark.parametrize(
    "answer,message",
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
def test_a_failed_download_raises_a_download_error_and_leaves_nothing(home, answer, message, timeout):
    with server(answer) as url, pytest.raises(DownloadError, match=message):
        nietzsche(url, timeout=timeout)
    assert not _files(home)


def test_a_refused_connection_raises_a_download_error(home):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with pytest.raises(DownloadError, match="(?i)refused.*CHARRNN_DATA"):
        nietzsche(f"http://127.0.0.1:{port}/nietzsche.txt")
    assert not _files(home)


@pytest.mark.parametrize("headers", [False, True])
def test_a_server_that_drips_is_bounded_by_the_time_limit(home, headers):
    stop = threading.Event()

    def drip(handler):
        if headers:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        else:
            _send_headers(handler, len(CONTENT))
        while not stop.wait(0.02):
            handler.wfile.write(b"x")

    start = time.monotonic()
    try:
        with server(drip) as url, pytest.raises(DownloadError, match="longer than 0.2 s"):
            nietzsche(url, timeout=0.2)
        assert time.monotonic() - start < 10
        assert not _files(home)
    finally:
        stop.set()


def test_a_home_that_cannot_be_written_is_a_download_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.delenv("CHARRNN_DATA", raising=False)
    with pytest.raises(DownloadError, match="cannot be used: Not a directory; set FASTAI_HOME"):
        nietzsche()


def test_an_interrupted_download_leaves_nothing(home):
    "A real process receives a real Ctrl-C during a download."
    started = threading.Event()
    stop = threading.Event()

    def answer_half(handler):
        _send_headers(handler, len(CONTENT))
        handler.wfile.write(CONTENT[:200_000])
        handler.wfile.flush()
        started.set()
        stop.wait(20)

    with server(answer_half) as url:
        code = f"from fastai_charrnn.data.corpus import nietzsche; nietzsche({url!r})"
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert started.wait(20)
        process.send_signal(2)
        process.communicate(timeout=20)
        stop.set()
    assert process.returncode != 0
    assert not _files(home)


def test_offline_mode_forbids_every_download(home, monkeypatch):
    monkeypatch.setenv("CHARRNN_OFFLINE", "1")
    requests = []
    with server(lambda handler: requests.append(handler.path)) as url:
        with pytest.raises(DownloadError, match="CHARRNN_OFFLINE=1 forbids"):
            nietzsche(url)
    assert not requests


def _from_url(url, **options):
    return CharDataLoaders.from_url(url, bs=64, device="cpu", **options)


def test_from_url_downloads_once_and_reads_the_file(home, capfd):
    with _content_server() as (url, requests):
        dls = _from_url(url, sha256=hashlib.sha256(CONTENT).hexdigest().upper(), seq_len=5)
        assert repr(_from_url(url, seq_len=5)) == repr(dls)
    assert dls.train_ds.info["n_chars"] == len(CONTENT)
    assert dls.seq_len == 5
    assert len(requests) == 1
    assert "100" in "".join(capfd.readouterr())


def test_from_url_saves_where_it_is_told(home, tmp_path):
    packed = gzip.compress(CONTENT)
    with server(lambda handler: _send(handler, packed)) as url:
        for fname, saved in ((tmp_path, "nietzsche.txt"), (tmp_path / "new" / "my.gz", "new/my.gz")):
            assert _from_url(url, fname=fname).train_ds.info["n_chars"] == len(CONTENT)
            assert (tmp_path / saved).read_bytes() == packed
    assert not (home / "data" / "charrnn").exists()


def test_files_of_the_same_name_at_two_addresses_are_two_files(home):
    with server(lambda h: _send(h, h.path.encode() * 200)) as url:
        folder = url.rpartition("/")[0]
        loaders = [_from_url(f"{folder}/{name}/input.txt?x=1") for name in ("one", "two")]
    assert [dls.vocab.o2i.get("w") is None for dls in loaders] == [True, False]
    assert [path.name for path in _files(home)] == ["input.txt"] * 2


def test_a_wrong_checksum_is_an_error_for_new_and_existing_files(home, tmp_path):
    with server(lambda handler: _send(handler, CONTENT)) as url:
        with pytest.raises(
            DownloadError, match=r"the file from .* is not the expected file \(sha256 .*put the file at"
        ):
            _from_url(url, sha256="0" * 64)
        assert not _files(home)
        _from_url(url, fname=tmp_path / "my.txt")
        with pytest.raises(DownloadError, match="my.txt is not the expected file .*delete it to download it again"):
            _from_url(url, fname=tmp_path / "my.txt", sha256="0" * 64)


def test_from_url_names_the_way_out(home, monkeypatch, tmp_path):
    with server(lambda handler: handler.send_error(404)) as url:
        with pytest.raises(DownloadError, match="answered 404; check the network, or put the file at .*my.txt"):
            _from_url(url, fname=tmp_path / "my.txt")
    for address in ("notes.txt", "ftp://example.org/a.txt", "https://", 3):
        with pytest.raises(DownloadError, match="is not an address; give one that starts with https://"):
            _from_url(address)
    monkeypatch.setenv("CHARRNN_OFFLINE", "1")
    with pytest.raises(CorpusError, match="CHARRNN_OFFLINE=1 forbids the download; put the file at"):
        _from_url("https://example.org/a.txt")
