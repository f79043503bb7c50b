"""Models on the Hub, against a small Hub on loopback: push, load, and what can go wrong on the way."""

import os
import subprocess
import sys

import pytest
import yaml
from fake_hub import FakeHub
from model_files import changed_copy
from small_models import build

from fastai_charrnn.all import (
    ModelFileError,
    ShareError,
    describe_model,
    hub_file,
    load_from_hub,
    load_model,
    model_card,
    save_model,
)
from fastai_charrnn.io.generator import load_generator

pytest.importorskip("huggingface_hub")


@pytest.fixture(autouse=True)
def online(monkeypatch, tmp_path):
    "Loopback may be used. No token and no cache of this computer is read."
    for name in ("CHARRNN_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no token"))


@pytest.fixture
def hub():
    with FakeHub().running() as hub:
        yield hub


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("hub") / "model")


@pytest.fixture
def at(hub, tmp_path):
    "Where to load from: this Hub, and a cache of this test."
    return dict(endpoint=hub.url, cache_dir=tmp_path / "cache")


def push(learn, hub, repo="me/manual", **kwargs):
    return learn.push_to_hub(repo, **(dict(token="hf_write", endpoint=hub.url) | kwargs))


def test_a_pushed_model_is_loaded_with_its_card(trained, hub, at):
    url = push(trained, hub, license="mit", data="a manual", commit_message="My model")
    commit = hub.files("me/manual")
    assert url == f"{hub.url}/me/manual/commit/{commit['oid']}"
    assert commit["message"] == "My model"
    assert set(commit["files"]) == {".gitattributes", "model.safetensors", "README.md"}
    again = load_from_hub("me/manual", **at)
    assert again.generate("The ", 50, seed=1).text == trained.generate("The ", 50, seed=1).text
    assert again.training_log.rows == trained.training_log.rows
    card = commit["files"]["README.md"].decode()
    assert card == model_card(trained, name="manual", license="mit", data="a manual", load='load_from_hub("me/manual")')
    generator = load_generator(hub_file("me/manual", **at))
    assert generator.generate("The ", 50, seed=1).text == again.generate("The ", 50, seed=1).text


def test_a_name_without_a_user_is_one_of_the_token(trained, hub):
    push(trained, hub, "manual", private=True)
    assert hub.repos["me/manual"]["private"]


def test_a_second_push_is_a_second_commit_and_may_keep_the_card(trained, hub, at):
    push(trained, hub)
    hub.commit("me/manual", {"README.md": b"edited by hand"}, "edit")
    first = hub.repos["me/manual"]["commits"][1]["oid"]
    push(trained, hub, write_card=False)
    assert hub.files("me/manual")["files"]["README.md"] == b"edited by hand"
    assert first in str(hub_file("me/manual", "README.md", revision=first, **at))


def test_a_pull_request_has_its_own_address(trained, hub):
    push(trained, hub)
    assert push(trained, hub, create_pr=True) == f"{hub.url}/me/manual/discussions/1"


@pytest.mark.parametrize(
    "options,message",
    [
        (dict(token=None), "no token is known to push me/manual; log in"),
        (dict(token="hf_wrong"), r"refuses access to me/manual \(401\).*log in"),
        (dict(token="hf_read"), r"refuses access to me/manual \(403\).*may not write"),
        (dict(repo="two/many/parts"), "'two/many/parts' is not the name of a repository"),
        (dict(repo=3), "repo_id=3 is not the name of a repository"),
        (dict(license="my own"), '(?s)refuses me/manual: Invalid metadata.*"license" must be one of'),
        (dict(endpoint="http://127.0.0.1:9"), "the Hub cannot be reached for me/manual: .*check the network"),
    ],
    ids=str,
)
def test_a_push_that_is_refused_says_why(options, message, trained, hub):
    with pytest.raises(ShareError, match=message):
        push(trained, hub, **options)
    assert not hub.repos.get("me/manual", dict(commits=[1]))["commits"][1:]


@pytest.mark.parametrize("name", ["CHARRNN_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_sent(name, trained, hub, monkeypatch):
    monkeypatch.setenv(name, "1")
    with pytest.raises(ShareError, match=f"{name}=1 forbids the upload; unset it"):
        push(trained, hub)
    assert hub.asked == []


def test_a_model_that_no_file_can_hold_is_refused_before_anything_is_sent(small, hub):
    learn = build(small, "gru")
    learn.model.out.bias.data[0] = float("nan")
    with pytest.raises(ModelFileError, match="NaN"):
        push(learn, hub)
    assert hub.asked == []


@pytest.mark.parametrize(
    "repo,options,message",
    [
        ("me/nothing", {}, "no model me/nothing on the Hub, or it is private"),
        ("me/private", {}, "no model me/private on the Hub, or it is private.*log in"),
        ("me/gated", {}, "me/gated is open only to people"),
        ("me/manual", dict(revision="v9"), "me/manual has no revision 'v9'"),
        ("me/manual", dict(filename="model.pkl"), "me/manual has no file model.pkl.*Pickles are not loaded"),
        ("me/large", dict(max_mb=1), r"model.safetensors of me/large has 2 MB, more than max_mb=1"),
        ("a b", {}, "'a b' is not the name of a repository"),
        ("me/manual", dict(max_mb=0), "max_mb=0 is not a whole number"),
        ("me/manual", dict(endpoint="http://127.0.0.1:9"), "cannot be reached"),
    ],
    ids=str,
)
def test_a_model_that_cannot_be_loaded_says_why(repo, options, message, file, hub, at):
    hub.add("me/manual", {"model.safetensors": file.read_bytes()})
    hub.add("me/private", {"model.safetensors": b""}, private=True)
    hub.add("me/gated", {"model.safetensors": b""}, gated=True)
    hub.add("me/large", {"model.safetensors": bytes(2 * 10**6)})
    with pytest.raises(ShareError, match=message):
        load_from_hub(repo, **(at | options))
    assert not any(path.startswith("GET") for path in hub.asked)


def test_a_private_model_is_loaded_with_a_token(file, hub, at):
    hub.add("me/private", {"model.safetensors": file.read_bytes()}, private=True)
    assert load_from_hub("me/private", token="hf_read", **at).arch.name == "rnn"


@pytest.mark.parametrize("name", ["CHARRNN_OFFLINE", "HF_HUB_OFFLINE", None])
def test_without_network_the_cache_is_used(name, file, hub, at, monkeypatch):
    hub.add("me/manual", {"model.safetensors": file.read_bytes()})
    path = hub_file("me/manual", **at)
    hub.asked.clear()
    if name:
        monkeypatch.setenv(name, "1")
        reason = f"{name}=1 forbids the download; load it once"
    else:
        at["endpoint"] = "http://127.0.0.1:9"
        reason = "cannot be reached"
    assert hub_file("me/manual", **at) == path
    with pytest.raises(ShareError, match=reason):
        hub_file("me/other", **at)
    assert hub.asked == []


def test_files_of_strangers_are_read_by_the_checked_reader(file, hub, at, tmp_path):
    "Other formats, wrong descriptions and torn files raise the errors of `load_model`, and run nothing."
    ran = tmp_path / "ran"
    pickle = f"cbuiltins\nopen\n(S'{ran}'\nS'w'\ntR.".encode()
    wrong = changed_copy(file, tmp_path / "wrong.safetensors", lambda d: d.update(seq_len=-1)).read_bytes()
    contents = dict(pickle=pickle, empty=b"", torn=file.read_bytes()[:500], wrong=wrong, page=b"<html>")
    for name, content in contents.items():
        hub.add(f"me/{name}", {"model.safetensors": content})
        with pytest.raises(ModelFileError):
            load_from_hub(f"me/{name}", **at)
    assert not ran.exists()


def test_a_folder_is_loaded_like_a_repository(file, dls, tmp_path):
    assert load_from_hub(file.parent).arch.name == "rnn"
    assert load_from_hub(str(file.parent), dls=dls).dls is dls
    with pytest.raises(ShareError, match="has no file model.safetensors; pass filename="):
        load_from_hub(tmp_path)
    with pytest.raises(ShareError, match="revision='main' belongs to a repository"):
        load_from_hub(file.parent, revision="main")


def test_without_the_extra_the_error_says_what_to_install(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: trained.push_to_hub("me/manual"), lambda: load_from_hub("me/manual")):
        with pytest.raises(ShareError, match=r'install it with: pip install "fastai_charrnn\[hub\]"'):
            call()


def test_a_loaded_learner_can_be_pushed_with_its_history(file, hub, at):
    push(load_model(file), hub)
    assert describe_model(hub_file("me/manual", **at))["training"] == describe_model(file)["training"]
    assert "Measured after the last epoch" in hub.files("me/manual")["files"]["README.md"].decode()


# pushes a model file, downloads its card, runs the code in it, and generates by the name of the repository
NEW_USER = """
import re
from fastai_charrnn.all import *
from fastai_charrnn.cli import main
assert main(["push", "mine", "mine", "--license", "mit", "--private"]) == 0
card = hub_file("me/mine", "README.md").read_text()
exec(re.search("```python\\n(.*?)\\n```", card, re.S)[1])
assert main(["generate", "hf://me/mine@main", "--prompt", "The ", "-n", "3", "--seed", "1"]) == 0
"""


@pytest.mark.slow
def test_a_new_process_pushes_by_lfs_and_runs_the_code_of_the_card(small, tmp_path):
    "With HF_ENDPOINT, HF_TOKEN, and LFS as on the real Hub; without Xet, which the small Hub does not speak."
    save_model(build(small, "gru"), tmp_path / "mine")
    with FakeHub(lfs=True).running() as hub:
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        env |= dict(HF_ENDPOINT=hub.url, HF_TOKEN="hf_write", HF_HUB_DISABLE_XET="1", HF_HOME=str(tmp_path / "home"))
        cmd = [sys.executable, "-c", NEW_USER]
        done = subprocess.run(cmd, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pushed, _, generated = done.stdout.partition("\n")
    assert pushed.startswith(f"pushed mine.safetensors and its card to mine: {hub.url}/me/mine/commit/")
    assert len(generated) == len("The ") + 200 + 1 + len("The ") + 3 + 1
    assert hub.repos["me/mine"]["private"]
    card = hub.files("me/mine")["files"]["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "mit"
    assert 'pip install "fastai_charrnn[hub]"' in card
    assert len(hub.blobs) == 1
    assert any(path.startswith("GET /lfs/") for path in hub.asked)
