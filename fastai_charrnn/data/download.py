"""Download a file with a progress bar and verify its size and sha256: `fetch`.

The file appears under its name only when it is complete and correct. Errors are `DownloadError`s.
"""

import hashlib
import math
import os
import time

from .._utils import atomic_path
from ..errors import DownloadError

_stall_timeout = 30  # seconds without an answer after which a download without a time limit fails


class _OutOfTime(Exception):
    "A download exceeded its time limit."


def fetch(url, dest, size, sha256, timeout=None):
    "Download `url` to the path `dest` within `timeout` seconds. Raises `DownloadError`."
    _check_online(dest)
    import http.client
    import urllib.error

    dest.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(dest) as part:
        try:
            _download(url, part, timeout)
        except _OutOfTime:
            message = f"{url} took longer than {timeout:g} s; try again, or put {dest.name} in CHARRNN_DATA"
            raise DownloadError(message) from None
        except NameError:
            # fastcore 2.2 fails to import the ContentTooShortError that it raises
            raise _failed(url, dest, "the connection was lost before the end") from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as e:
            raise _failed(url, dest, _reason(e)) from None
        verify(part, size, sha256, source=f"the file from {url}")
    return dest


def verify(path, size, sha256, source=None):
    "Raise `DownloadError` unless `path` holds exactly the expected bytes. `source` names a fresh download."
    difference = _difference(path, size, sha256)
    if difference:
        way_out = "try again later or put the file in CHARRNN_DATA" if source else "delete it to download it again"
        raise DownloadError(f"{source or path} is not the expected corpus ({difference}); {way_out}")


def _difference(path, size, sha256):
    "How a file differs from the expected one, or None."
    found = path.stat().st_size
    if found != size:
        return f"{found:,} bytes instead of {size:,}"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        return f"sha256 {found[:12]}… instead of {sha256[:12]}…"


def _check_online(dest):
    offline = os.environ.get("CHARRNN_OFFLINE", "")
    if offline not in ("", "0"):
        raise DownloadError(
            f"{dest.name} was not found and CHARRNN_OFFLINE={offline} forbids the download; "
            "put the file in the folder named by CHARRNN_DATA, or unset CHARRNN_OFFLINE"
        )


def _failed(url, dest, reason):
    way_out = f"check the network, or put {dest.name} in the folder named by CHARRNN_DATA"
    return DownloadError(f"cannot download {url}: {reason}; {way_out}")


def _download(url, part, timeout):
    "Download with fastai's progress bar in at most `timeout` seconds."
    from fastdownload import core

    deadline = math.inf if timeout is None else time.monotonic() + timeout
    bar = core.progress_bar([])

    def show_progress(count=1, bsize=1, tsize=None):
        if time.monotonic() > deadline:
            raise _OutOfTime
        bar.total = tsize
        bar.update(count * bsize)

    # not `download_url`, which leaves its own .part file after a failure
    core.urlsave(url, part, reporthook=show_progress, timeout=timeout or _stall_timeout)


def _reason(error):
    "A short reason for a failed download. fastcore's HTTP errors carry the whole response, so only the code is shown."
    if code := getattr(error, "code", None):
        return f"the server answered {code}"
    reason = getattr(error, "reason", None) or error or type(error).__name__
    return str(reason).splitlines()[0]
