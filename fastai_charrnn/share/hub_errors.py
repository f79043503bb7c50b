"""Errors of the Hugging Face Hub as errors of this package: `hub_errors`, and whether it may be used: `offline`.

huggingface_hub raises errors of about ten libraries and classes, with addresses and ids of requests. A user needs to
know what is wrong and what to do.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._printable import printable
from ..errors import CharRnnError, ShareError
from .extras import import_extra

__all__ = ["LOG_IN", "hub_errors", "offline"]

_max_message = 300  # characters of the server's own message
LOG_IN = "log in with `hf auth login`, set HF_TOKEN, or pass token=…"


def offline() -> str | None:  # the setting, such as "CHARRNN_OFFLINE=1"
    "The setting that forbids to use the network, or None."
    for name in ("CHARRNN_OFFLINE", "HF_HUB_OFFLINE"):
        value = os.environ.get(name, "")
        if value.lower() not in ("", "0", "false", "off", "no"):
            return f"{name}={value}"
    return None


@contextmanager
def hub_errors(
    repo_id: object,  # the repository, for messages
    filename: str = "",  # the file that is asked for
    revision: str | None = None,  # the branch, tag or commit that is asked for
) -> Iterator[None]:
    "Turn the errors of huggingface_hub within the block into `ShareError`s."
    errors = import_extra("hub", "huggingface_hub.errors")
    # of requests or httpx, by version
    kinds = (OSError, RuntimeError, ValueError, errors.HTTPError, errors.EntryNotFoundError)
    try:
        yield
    except CharRnnError:
        raise
    except kinds as e:
        raise ShareError(_message(errors, e, printable(repo_id), filename, revision)) from None


def _message(errors, e, repo, filename, revision):
    "What is wrong and what to do. The order matters: some classes are derived from others."
    if isinstance(e, errors.HFValidationError):
        return f'repo_id={repo!r} is not the name of a repository, such as "me/nietzsche"'
    if isinstance(e, errors.LocalEntryNotFoundError):
        return f"{filename} of {repo} is not in the cache{_why_not_fetched(e)}"
    if isinstance(e, errors.GatedRepoError):
        return f"{repo} is open only to people whom its author let in; ask on its page, and {LOG_IN}"
    if isinstance(e, errors.RepositoryNotFoundError):
        return f"there is no model {repo} on the Hub, or it is private; check the name, and for a private one {LOG_IN}"
    if isinstance(e, errors.RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}; pass a branch, a tag or a commit, or leave revision out"
    if isinstance(e, errors.EntryNotFoundError):
        return (
            f"{repo} has no file {filename}, so it was not pushed by push_to_hub of this package; "
            "pass filename=… if the model file has another name. Pickles are not loaded"
        )
    status = getattr(getattr(e, "response", None), "status_code", None)
    if status in (401, 403):
        return f"the Hub refuses access to {repo} ({status}): the token is missing, wrong or may not write; {LOG_IN}"
    if status is not None:
        return f"the Hub answered {status} for {repo}: {_short(e)}; try again later"
    if isinstance(e, errors.LocalTokenNotFoundError):
        return f"no token is stored; {LOG_IN}"
    if isinstance(e, ValueError):
        return f"the Hub refuses {repo}: {_short(e)}"
    return f"the Hub cannot be reached for {repo}: {_short(e)}; check the network and HF_ENDPOINT, and try again"


def _why_not_fetched(e):
    setting = offline()
    if setting:
        return f", and {setting} forbids the download; load it once with network, or unset {setting.partition('=')[0]}"
    return f", and the Hub cannot be reached ({_short(e.__cause__ or e)}); check the network and HF_ENDPOINT"


def _short(e):
    "The message of an error, on one line."
    server = getattr(e, "server_message", None)
    return printable(" ".join(str(server or e or type(e).__name__).split()), max_len=_max_message)
