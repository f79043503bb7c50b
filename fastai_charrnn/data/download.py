"""Download a file with a progress bar and verify it: `fetch_url` for any address, `fetch` for a known corpus.

The file appears under its name only when it is complete and correct. Errors are `DownloadError`s.
"""

import configparser
import hashlib
import math
import os
import re
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .._checks import check_number, check_path, shown
from .._files import atomic_path
from .._printable import printable
from ..errors import DownloadError

__all__ = ["fetch_url", "fetch", "verify", "data_folder"]

_stall_timeout = 30  # seconds without an answer after which a download without a time limit fails


class _OutOfTime(Exception):
    "A download exceeded its time limit."


def data_folder() -> Path:
    """Return fastai's data folder. Reads the same file with the same defaults as `fastai_cfg`, without importing torch.

    Raises `DownloadError` if the folder of settings cannot be made or read, as in a home that cannot be written."""
    from fastcore.xtras import Config

    folder = os.getenv("FASTAI_HOME", "~/.fastai")
    defaults = dict(data="data", archive="archive", storage="tmp", model="models")
    try:
        return Config(Path(folder).expanduser(), "config.ini", create=defaults).path("data")
    except (OSError, RuntimeError, configparser.Error, KeyError, UnicodeDecodeError) as e:
        reason = getattr(e, "strerror", None) or str(e) or type(e).__name__
        way_out = "set FASTAI_HOME to a folder that can be written, or CHARRNN_DATA to a folder with the text"
        raise DownloadError(f"fastai's settings in {folder} cannot be used: {printable(reason)}; {way_out}") from None


def fetch_url(
    url: str,  # an address, http or https
    fname: str | Path | None = None,  # where to save it: a file or an existing folder; None: fastai's data folder
    sha256: str | None = None,  # its checksum in hexadecimal, or None
    timeout: float | None = None,  # limit for the whole download in seconds; None: no limit
) -> Path:  # the file
    """Return the path of a file that is downloaded once.

    A file that exists is not downloaded again; with `sha256` it is verified. In fastai's data folder it has a folder of
    its own for each address, as different files often have the same name. Raises `DownloadError`."""
    name = _file_name(url)
    if fname is None:
        dest = data_folder() / "charrnn" / hashlib.sha256(url.encode()).hexdigest()[:12] / name
    else:
        dest = check_path("fname", fname, DownloadError).expanduser()
        dest = dest / name if dest.is_dir() else dest
    way_out = f"put the file at {dest}"
    sha256 = _checked_sha256(sha256)
    if timeout is not None:
        check_number("timeout", timeout, error=DownloadError, inside=True, hint="None is no limit")
    if not dest.is_file():
        return fetch(url, dest, None, sha256, timeout, way_out)
    verify(dest, None, sha256)
    return dest


def _file_name(url):
    "The last part of an address. Raises `DownloadError` unless it is one of a file on a web server."
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        raise DownloadError(
            f"{shown(url)} is not an address; give one that starts with https://, or pass a file to from_file"
        )
    name = unquote(parts.path.rpartition("/")[2])
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "text.txt"


def _checked_sha256(sha256):
    if sha256 is None:
        return None
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise DownloadError(f"sha256={shown(sha256)} is not a checksum: 64 hexadecimal digits; None verifies nothing")
    return sha256.lower()


def fetch(
    url: str,  # an address, http or https
    dest: Path,  # the file to write
    size: int | None,  # its bytes, verified if given
    sha256: str | None,  # its checksum in hexadecimal, verified if given
    timeout: float | None = None,  # limit for the whole download in seconds; None: no limit
    way_out: str | None = None,  # how to do without the download, for errors
):
    "Download a file with a progress bar. Raises `DownloadError`."
    way_out = way_out or f"put {dest.name} in the folder named by CHARRNN_DATA"
    _check_online(dest, way_out)
    import http.client
    import urllib.error

    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(dest) as part:
            with open(part, "wb") as f:
                _within(timeout, lambda: _download(url, f, timeout))
            verify(part, size, sha256, source=f"the file from {url}", way_out=way_out)
    except DownloadError:
        raise
    except _OutOfTime:
        raise DownloadError(f"{url} took longer than {timeout:g} s; try again, or {way_out}") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as e:
        raise _failed(url, way_out, _reason(e)) from None
    return dest


def verify(
    path: Path,  # a file
    size: int | None,  # its bytes, verified if given
    sha256: str | None,  # its checksum in hexadecimal, verified if given
    source: str | None = None,  # what an error calls a fresh download
    way_out: str | None = None,  # how to do without the download, for errors
):
    "Raise `DownloadError` unless a file has the expected size and checksum."
    difference = _difference(path, size, sha256)
    if difference:
        way_out = f"try again later or {way_out}" if source else "delete it to download it again"
        raise DownloadError(f"{source or path} is not the expected file ({difference}); {way_out}")


def _difference(path, size, sha256):
    "How a file differs from the expected one, or None."
    found = path.stat().st_size
    if size is not None and found != size:
        return f"{found:,} bytes instead of {size:,}"
    if sha256 is None:
        return None
    with open(path, "rb") as f:
        found = _sha256(f)
    if found != sha256:
        return f"sha256 {found[:12]}… instead of {sha256[:12]}…"


def _sha256(f):
    "The checksum of an open file, read piece by piece."
    sha = hashlib.sha256()
    while raw := f.read(2**20):
        sha.update(raw)
    return sha.hexdigest()


def _check_online(dest, way_out):
    offline = os.environ.get("CHARRNN_OFFLINE", "")
    if offline not in ("", "0"):
        raise DownloadError(
            f"{dest.name} was not found and CHARRNN_OFFLINE={offline} forbids the download; "
            f"{way_out}, or unset CHARRNN_OFFLINE"
        )


def _failed(url, way_out, reason):
    return DownloadError(f"cannot download {url}: {reason}; check the network, or {way_out}")


def _within(timeout, download):
    """Call a function, in a thread of its own if it has a time limit. Raises `_OutOfTime`.

    A limit for each answer of a server does not bound a server that sends a byte now and then."""
    if timeout is None:
        return download()
    errors = []

    def run():
        try:
            download()
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise _OutOfTime
    if errors:
        raise errors[0]


def _download(url, f, timeout):
    "Download to an open file with fastai's progress bar. Ends if the file is closed."
    from fastcore.net import urlopen
    from fastdownload.core import progress_bar

    deadline = math.inf if timeout is None else time.monotonic() + timeout
    bar = progress_bar([])
    n_read = 0
    with closing(urlopen(url, timeout=timeout or _stall_timeout)) as response:
        if f.closed:
            return
        bar.total = int(response.headers.get("Content-Length") or -1)
        bar.update(0)
        # what has arrived, and not a full block, for which a slow server takes long
        while raw := response.read1(2**16):
            if time.monotonic() > deadline:
                raise _OutOfTime
            f.write(raw)
            n_read += len(raw)
            bar.update(n_read)
    if n_read < bar.total:
        raise ConnectionError("the connection was lost before the end")


def _reason(error):
    "A short reason for a failed download. fastcore's HTTP errors carry the whole response, so only the code is shown."
    if code := getattr(error, "code", None):
        return f"the server answered {code}"
    reason = getattr(error, "reason", None) or error or type(error).__name__
    return str(reason).splitlines()[0]
