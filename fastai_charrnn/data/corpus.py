"""Where text comes from: files read with care, the reference's corpus, and two texts that need no network.

    read_text(path)       any text file as a `str`: decoded, byte order mark dropped, line ends made '\\n'
    TextFile(path)        the same piece by piece, for files that outgrow memory
    nietzsche()           the path of the reference's corpus: local if possible, else downloaded and verified
    python_reference()    the text of the Python language reference inside every CPython
    human_numbers()       "one \\ntwo \\n… nine thousand nine hundred ninety nine \\n"

No torch here, so that the command line starts fast.
"""

import codecs
import gzip
import hashlib
import io
import os
import re
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import CharRnnWarning, CorpusError, DownloadError

__all__ = ["read_text", "TextFile", "nietzsche", "python_reference", "human_numbers", "NIETZSCHE_URL"]

NIETZSCHE_URL = "https://s3.amazonaws.com/text-datasets/nietzsche.txt"
_nietzsche_size = 600_901  # bytes
_nietzsche_sha256 = "23cf69874ab69d3d256099ab530ea4be24d47d9675b673bcc67cbcd6298ec647"


_gzip_magic = b"\x1f\x8b"
_sniffed = 2**16  # bytes looked at to tell a binary file
_magic = {
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\x7fELF": "a program",
}


def read_text(
    fname: str | Path,  # a text file
    encoding: str = "utf-8",  # how its bytes spell characters
) -> str:  # the text, with '\n' line ends and no byte order mark
    """The text of a file, unpacked if it is gzip, with line ends as Python's text mode gives them ('\\r\\n' and '\\r' become '\\n').

    Warns (`CharRnnWarning`) with the number of line ends changed and of byte order marks dropped.
    Raises `CorpusError` if the file is missing, empty, binary, or not valid in `encoding` (naming the byte)."""
    file = TextFile(fname, encoding)
    text = "".join(file)
    if file.changes:
        warnings.warn(file.changes, CharRnnWarning, stacklevel=2)
    return text


class TextFile:
    """A text file read piece by piece in little memory, decoded and mended as `read_text` says.

    After a whole pass `n_chars` is its length and `changes` says what was mended, if anything. Iterating raises `CorpusError`."""

    def __init__(
        self,
        fname: str | Path,  # a text file
        encoding: str = "utf-8",  # how its bytes spell characters
        size: int = 2**20,  # bytes to read at a time
    ):
        self.fname = Path(fname)
        self.encoding = encoding
        self.size = size

    def __iter__(self) -> Iterator[str]:
        self.n_chars = 0
        self.bom = 0
        self.crlf = 0
        self.cr = 0
        held = ""  # a '\r' whose '\n' may come with the next piece
        for text in self._decoded():
            if self.bom == 0 and not held and self.n_chars == 0 and text.startswith("\ufeff"):
                text = text[1:]
                self.bom = 1
            text = held + text
            held = "\r" if text.endswith("\r") else ""
            if text := self._mend(text[: len(text) - len(held)]):
                yield text
        if held:
            yield self._mend(held)
        if not self.n_chars:
            raise CorpusError(f"{self.fname} is empty; give a file with text")

    def read_bytes(self) -> Iterator[bytes]:
        "The file's bytes, piece by piece; those of a gzip file unpacked."
        try:
            with open(self.fname, "rb") as f:
                unpacked = gzip.open(f) if f.peek(2).startswith(_gzip_magic) else f
                first = True
                while raw := unpacked.read(self.size):
                    if first:
                        self._refuse_binary(raw)
                    first = False
                    yield raw
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            raise CorpusError(
                f"{self.fname} is a damaged gzip file ({e}); pack it again, or give the text itself"
            ) from None
        except OSError as e:
            raise CorpusError(f"cannot read {self.fname}: {e.strerror or e}; give the path of a text file") from None

    def _refuse_binary(self, raw):
        "Raise `CorpusError` if the file holds null bytes, as no text does but in UTF-16 and UTF-32."
        if b"\0" not in raw[:_sniffed] or _holds_nulls(self.encoding):
            return
        kind = next((name for magic, name in _magic.items() if raw.startswith(magic)), "a binary file")
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise CorpusError(f"{self.fname} is a text in UTF-16; pass encoding='utf-16'")
        raise CorpusError(
            f"{self.fname} is {kind}, not a text (it holds null bytes); give a text file, "
            "or pass encoding='utf-16' if it is a text in UTF-16"
        )

    @property
    def changes(self) -> str:  # for a warning; empty if nothing was changed
        "What was changed in the last pass."
        said = ["a byte order mark was dropped"] * self.bom
        if self.crlf or self.cr:
            said.append(f"{self.crlf:,} CRLF and {self.cr:,} CR line ends were read as '\\n'")
        return f"{self.fname}: {' and '.join(said)}" if said else ""

    def _mend(self, text):
        if "\r" in text:
            crlf = text.count("\r\n")
            self.crlf, self.cr = self.crlf + crlf, self.cr + text.count("\r") - crlf
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.n_chars += len(text)
        return text

    def _decoded(self):
        "Pieces of text as the bytes spell them; errors name byte and line of the whole file."
        wrong = f"{self.fname} is not valid {self.encoding}"
        try:
            io.TextIOWrapper(io.BytesIO(), self.encoding)  # knows the encodings that are none of text
            decoder = codecs.getincrementaldecoder(self.encoding)()
        except LookupError:
            raise CorpusError(
                f"{self.encoding!r} is not an encoding Python knows; try 'utf-8', 'latin-1' or 'cp1252'"
            ) from None
        before = 0
        pieces = self.read_bytes()
        last = False
        while not last:
            raw = next(pieces, b"")
            last = not raw
            pending = len(decoder.getstate()[0])
            try:
                yield decoder.decode(raw, final=last)
            except UnicodeDecodeError as e:
                at = before - pending + e.start
                raise CorpusError(
                    f"{wrong}: byte 0x{e.object[e.start]:02x} at position {at:,} (line {self._line(at):,}): {e.reason}; "
                    "pass the file's encoding=…, often 'latin-1', 'cp1252' or 'utf-16'"
                ) from None
            except UnicodeError as e:
                raise CorpusError(f"{wrong}: {e}; pass the file's encoding=…") from None
            before += len(raw)

    def _line(self, at):
        "The number of the line that holds byte `at`, counted only when an error needs it."
        lines, left = 1, at
        for raw in TextFile.read_bytes(self):
            lines = lines + raw.count(b"\n", 0, left)
            left = left - len(raw)
            if left <= 0:
                break
        return lines


def _holds_nulls(encoding):
    "Whether texts in this encoding hold null bytes."
    return re.sub("[^a-z0-9]", "", encoding.lower()).startswith(("utf16", "utf32", "u16", "u32", "unicode"))


def nietzsche(
    url: str = NIETZSCHE_URL,  # where to download from if no copy is at hand
    timeout: float | None = None,  # seconds the whole download may take; None: no limit of ours
) -> Path:  # a local file with exactly the reference's bytes
    """The path of the reference's corpus, 600,893 characters of Nietzsche in English.

    Looks in the folder that `CHARRNN_DATA` names, then in fastai's data folder (`FASTAI_HOME`), then downloads
    to the latter with a progress bar. Every copy is verified by size and sha256.
    Raises `DownloadError` if a copy is not the expected file, the download fails, or `CHARRNN_OFFLINE=1` forbids it."""
    folder = os.environ.get("CHARRNN_DATA")
    path = folder and Path(folder).expanduser() / "nietzsche.txt"
    if not (path and path.is_file()):
        path = _fastai_data() / "nietzsche.txt"
    if not path.is_file():
        return _fetch(url, path, _nietzsche_size, _nietzsche_sha256, timeout)
    _verify(path, _nietzsche_size, _nietzsche_sha256)
    return path


def _fastai_data():
    "fastai's data folder, found without importing fastai (which loads torch); same file and defaults as `fastai_cfg`."
    from fastcore.xtras import Config

    return Config(
        Path(os.getenv("FASTAI_HOME", "~/.fastai")).expanduser(),
        "config.ini",
        create=dict(data="data", archive="archive", storage="tmp", model="models"),
    ).path("data")


def _verify(path, size, sha256, said=None):
    "Raise `DownloadError` unless `path` holds exactly the expected bytes."
    if (got := path.stat().st_size) != size:
        wrong = f"{got:,} bytes instead of {size:,}"
    elif (got := hashlib.sha256(path.read_bytes()).hexdigest()) != sha256:
        wrong = f"sha256 {got[:12]}… instead of {sha256[:12]}…"
    else:
        return
    raise DownloadError(
        f"{said or path} is not the expected corpus ({wrong}); "
        + ("try again later or put the file in CHARRNN_DATA" if said else "delete it to have it downloaded anew")
    )


class _OutOfTime(Exception):
    "A download took longer than it may."


def _fetch(url, dest, size, sha256, timeout=None):
    "Download to a temporary folder beside `dest`, verify, and rename: `dest` is whole and right, or absent."
    if os.environ.get("CHARRNN_OFFLINE", "") not in ("", "0"):
        raise DownloadError(
            f"{dest.name} is not at hand and CHARRNN_OFFLINE={os.environ['CHARRNN_OFFLINE']} forbids to download it; "
            "put it in the folder CHARRNN_DATA names, or unset CHARRNN_OFFLINE"
        )
    import http.client
    import urllib.error

    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=f".{dest.name}-") as tmp:
        part = Path(tmp) / dest.name
        try:
            _download(url, part, timeout)
        except _OutOfTime:
            raise DownloadError(
                f"{url} took longer than {timeout:g} s; try again, or put {dest.name} in CHARRNN_DATA"
            ) from None
        except NameError:
            raise _failed(
                url, dest, "the connection was lost before the end"
            ) from None  # what fastcore 2.2 raises for its ContentTooShortError
        except (urllib.error.URLError, http.client.HTTPException, OSError) as e:
            raise _failed(url, dest, _reason(e)) from None
        _verify(part, size, sha256, said=f"what {url} sent")
        os.replace(part, dest)
    return dest


def _failed(url, dest, why):
    return DownloadError(
        f"cannot download {url}: {why}; check the network, or put {dest.name} in the folder CHARRNN_DATA names"
    )


def _download(url, part, timeout):
    "fastai's own downloader with its bar, held to `timeout` seconds in all."
    from fastdownload import core

    if timeout is None:
        return core.download_url(url, part, timeout=30)
    urlsave = core.urlsave
    end = time.monotonic() + timeout
    bar = core.progress_bar([])

    def hook(count=1, bsize=1, tsize=None):
        if time.monotonic() > end:
            raise _OutOfTime
        bar.total = tsize
        bar.update(count * bsize)

    urlsave(url, part, reporthook=hook, timeout=timeout)


def _reason(e):
    "Why a download failed, in few words. fastcore's HTTP errors carry the whole response: take the code."
    if code := getattr(e, "code", None):
        return f"the server answered {code}"
    return str(getattr(e, "reason", None) or e or type(e).__name__).splitlines()[0]


def python_reference() -> str:  # about 465,000 characters (Python 3.11; other versions differ a little)
    "The English text of the Python language reference that ships inside every CPython (`pydoc_data.topics`)."
    from pydoc_data.topics import topics

    return "\n\n".join(topics[k] for k in sorted(topics))


def human_numbers(
    part: str = "all",  # "all" (9,998 lines), "train" (1 to 7,999) or "valid" (8,001 to 9,999)
) -> str:  # one number a line, each followed by a space
    """The numbers to 9,999 in English words, "one \\ntwo \\n…": the classic toy corpus for recurrent networks.

    Spelled as the fast.ai course's file (no "and", no hyphen) and split as there, at 8,000, which is in neither part.
    Raises `CorpusError` for another `part`."""
    from num2words import num2words

    parts = dict(all=(*range(1, 8000), *range(8001, 10000)), train=range(1, 8000), valid=range(8001, 10000))
    if part not in parts:
        raise CorpusError(f"human_numbers has no part {part!r}; take one of {', '.join(parts)}")
    return "".join(re.sub(r" and |-|, ", " ", num2words(i)) + " \n" for i in parts[part])
