"""Share models on the Hugging Face Hub: `learn.push_to_hub(repo)` and `load_from_hub(repo)`.

    learn.push_to_hub("me/nietzsche", license="mit", data="Nietzsche, Beyond Good and Evil, and others")
    learn = load_from_hub("me/nietzsche")
    generator = load_generator(hub_file("me/nietzsche"))     # without fastai

A repository has two files: model.safetensors, which `save_model` writes, and README.md, which `model_card` writes.
A downloaded file is read by `load_model`: every field is checked, and nothing in it is executed. Needs the extra `hub`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from fastai.basics import rank_distrib
from fastcore.basics import patch

from .. import __version__
from .._checks import check_count, check_path, shown
from .._printable import printable
from .._utils import typed_delegates
from ..data.loaders import CharDataLoaders
from ..errors import ShareError
from ..io.model_file import load_model, save_model
from ..learner import CharLearner
from .card import model_card
from .extras import check_texts, import_extra
from .hub_errors import LOG_IN, hub_errors, offline

__all__ = ["load_from_hub", "hub_file"]

MODEL_NAME = "model.safetensors"
_modules = ("huggingface_hub", "huggingface_hub.errors", "huggingface_hub.utils")
_caller = dict(library_name="fastai_charrnn", library_version=__version__)


@patch
@typed_delegates(model_card, but=["model", "load"])
def push_to_hub(
    self: CharLearner,  # with a registered architecture
    repo_id: str,  # such as "me/nietzsche", or "nietzsche" for one of your own; made if there is none
    *,
    commit_message: str = "Push a model of fastai_charrnn",  # of the commit
    private: bool | None = None,  # whether a new repository is private; None: as your account has it
    token: str | None = None,  # with the right to write; None: HF_TOKEN or that of `hf auth login`
    branch: str | None = None,  # to commit to; None: main
    create_pr: bool = False,  # whether to open a pull request instead
    write_card: bool = True,  # whether to write README.md, over that of the repository
    endpoint: str | None = None,  # the Hub's address; None: HF_ENDPOINT, or the public one
    **kwargs,  # as `model_card`: name, license, text, data, prompt, ngrams, seed, minutes
) -> str:  # the address of the commit; empty in all processes but the first
    """Upload the model and its card to the Hugging Face Hub in one commit.

    The names of the arguments are those of huggingface_hub's `push_to_hub_fastai`. Raises `ModelFileError` as
    `save_model` does, before anything is sent, and `ShareError` without the extra `hub`, without a token, without
    network, if the Hub refuses, and with CHARRNN_OFFLINE=1 or HF_HUB_OFFLINE=1."""
    hub = import_extra("hub", *_modules)
    if rank_distrib():
        return ""
    check_texts(commit_message=commit_message, token=token, branch=branch, endpoint=endpoint)
    _check_can_push(hub, repo_id, token)
    api = hub.HfApi(endpoint=endpoint, token=token, **_caller)
    with hub_errors(repo_id):
        repo_id = repo_id if "/" in repo_id else f"{api.whoami()['name']}/{repo_id}"
    with TemporaryDirectory() as folder:
        files: dict = {MODEL_NAME: save_model(self, Path(folder) / MODEL_NAME)}
        if write_card:
            kwargs["name"] = kwargs.get("name") or repo_id.rpartition("/")[2]
            files["README.md"] = model_card(self, load=f'load_from_hub("{repo_id}")', **kwargs).encode()
        with hub_errors(repo_id):
            api.create_repo(repo_id, private=private, exist_ok=True)
            operations = [hub.CommitOperationAdd(name, content) for name, content in files.items()]
            options = dict(commit_message=commit_message, revision=branch, create_pr=create_pr)
            done = api.create_commit(repo_id, operations, **options)
    return done.pr_url or done.commit_url


def _check_can_push(hub, repo_id, token):
    "Raise `ShareError` for what can be known before anything is sent."
    if not isinstance(repo_id, str):
        raise ShareError(f'repo_id={shown(repo_id)} is not the name of a repository, such as "me/nietzsche"')
    with hub_errors(repo_id):
        hub.utils.validate_repo_id(repo_id)
    if setting := offline():
        raise ShareError(f"{setting} forbids the upload; unset it to push {repo_id}")
    if token is None and hub.get_token() is None:
        raise ShareError(f"no token is known to push {repo_id}; {LOG_IN}")


def load_from_hub(
    repo_id: str | Path,  # such as "me/nietzsche", or a folder with its files
    *,
    revision: str | None = None,  # a branch, a tag or a commit; None: main
    filename: str = MODEL_NAME,  # the model file in the repository
    token: str | bool | None = None,  # for private models; None: HF_TOKEN or that of `hf auth login`
    endpoint: str | None = None,  # the Hub's address; None: HF_ENDPOINT, or the public one
    cache_dir: str | Path | None = None,  # where downloads are kept; None: as huggingface_hub has it
    max_mb: int = 500,  # larger files are not downloaded
    dls: CharDataLoaders | None = None,  # as `load_model`: text to train on
    device: str | torch.device | None = None,  # as `load_model`
    **kwargs,  # as `char_learner`: lr, metrics, cbs …
) -> CharLearner:  # in evaluation mode
    """Return the learner that `push_to_hub` uploaded. Nothing in the file is executed. Raises as `hub_file` does.

    Also raises `ModelFileError`, as `load_model`, for a file of another program and for one that is damaged."""
    options = dict(revision=revision, token=token, endpoint=endpoint, cache_dir=cache_dir, max_mb=max_mb)
    return load_model(hub_file(repo_id, filename, **options), dls, device, **kwargs)


def hub_file(
    repo_id: str | Path,  # such as "me/nietzsche", or a folder with its files
    filename: str = MODEL_NAME,  # the file in the repository
    *,
    revision: str | None = None,  # a branch, a tag or a commit; None: main
    token: str | bool | None = None,  # as in `load_from_hub`
    endpoint: str | None = None,  # as in `load_from_hub`
    cache_dir: str | Path | None = None,  # as in `load_from_hub`
    max_mb: int = 500,  # larger files are not downloaded
) -> Path:  # the file, in the cache
    """Download a file once and return its path, for `load_model`, `load_generator` and `describe_model`.

    Without network, or with CHARRNN_OFFLINE=1 or HF_HUB_OFFLINE=1, a file in the cache is used. Raises `ShareError`
    without the extra `hub`, for a repository, revision or file that does not exist or is private, for a file that is
    too large, and without network if the file is not in the cache."""
    check_texts(filename=filename)
    folder = check_path("repo_id", repo_id, ShareError)
    filename = filename or MODEL_NAME
    if str(repo_id) and folder.is_dir():
        return _in_folder(folder / filename, revision)
    options = dict(token=token, endpoint=endpoint, cache_dir=cache_dir, max_mb=max_mb)
    return download(repo_id, filename, revision, **options)


def download(
    repo_id: str | Path,  # the repository; a folder of this name is not looked for
    filename: str = MODEL_NAME,
    revision: str | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
    max_mb: int = 500,
) -> Path:  # the file, in the cache
    "Do what `hub_file` does for a repository of the Hub."
    check_texts(filename=filename, revision=revision, endpoint=endpoint)
    check_count("max_mb", max_mb, error=ShareError)
    hub = import_extra("hub", *_modules)
    where = dict(repo_id=str(repo_id), filename=filename, revision=revision)
    with hub_errors(repo_id, filename, revision):
        local = offline() is not None or not _may_download(hub, where, token, endpoint, cache_dir, max_mb)
        options = dict(token=token, endpoint=endpoint, cache_dir=cache_dir, local_files_only=local)
        return Path(hub.hf_hub_download(**where, **options, **_caller))


def _in_folder(path, revision):
    if revision is not None:
        raise ShareError(
            f"revision={shown(revision)} belongs to a repository of the Hub, and {path.parent} is a folder"
        )
    if not path.is_file():
        name = printable(path.name)
        raise ShareError(f"the folder {path.parent} has no file {name}; pass filename=… if it has another name")
    return path


def _may_download(hub, where, token, endpoint, cache_dir, max_mb):
    "Ask for the size of a file. False if the Hub cannot be reached and the file is in the cache."
    try:
        url = hub.hf_hub_url(**where, endpoint=endpoint)
        size = hub.get_hf_file_metadata(url, token=token).size
    except (OSError, hub.errors.HTTPError):
        cached = hub.try_to_load_from_cache(**where, cache_dir=cache_dir)
        if not isinstance(cached, str):
            raise
        return False
    if size is not None and size > max_mb * 1e6:
        raise ShareError(
            f"{where['filename']} of {where['repo_id']} has {size / 1e6:,.0f} MB, more than max_mb={max_mb:,}, "
            "and models of this package are smaller; pass a larger max_mb if you expect it"
        )
    return True
