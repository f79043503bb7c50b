"""Fixtures of all tests: the corpus, a small text, small learners.

Also marks tests of the corpus and of the GPU, and fails a skipped corpus test where `CHARRNN_DATA` is set."""

import os
import signal

import pytest
import torch
from fastai.basics import default_device
from small_disk import small_disk

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, python_reference, read_text

# A job in a shell's background ignores Ctrl-C, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests run on the CPU, also where there is a GPU. Those marked gpu name their device.
default_device(False)


@pytest.fixture(scope="session")
def text() -> str:
    "Lesson 6's corpus. If it is missing, skip, or fail where `CHARRNN_DATA` is set."
    if not os.environ.get("CHARRNN_DATA"):
        os.environ["CHARRNN_OFFLINE"] = "1"
        try:
            return read_text(nietzsche())
        except ValueError as e:
            pytest.skip(str(e))
    return read_text(nietzsche())


@pytest.fixture(scope="session")
def small() -> str:
    return python_reference()[:30_000]


@pytest.fixture
def dls(small, tmp_path):
    return CharDataLoaders.from_text(small, bs=256, valid="tail", seed=1, device="cpu", path=tmp_path)


@pytest.fixture
def learn(dls):
    return char_learner(dls, n_hid=64, seed=0)


@pytest.fixture(scope="session")
def trained(small, tmp_path_factory):
    "A learner trained for two epochs. Tests that change it copy it first."
    dls = CharDataLoaders.from_text(small, bs=128, valid="tail", device="cpu", path=tmp_path_factory.mktemp("trained"))
    learn = char_learner(dls, n_hid=64, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 5e-3)
    return learn


@pytest.fixture
def full_disk(tmp_path):
    "A folder with room for 256 KiB."
    with small_disk(tmp_path) as folder:
        yield folder


def pytest_collection_modifyitems(items):
    for item in items:
        if "text" in getattr(item, "fixturenames", ()):
            item.add_marker("corpus")
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    "Where `CHARRNN_DATA` is set, a skipped corpus test fails."
    report = (yield).get_result()
    if report.skipped and item.get_closest_marker("corpus") and os.environ.get("CHARRNN_DATA"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} needs the corpus and was skipped although CHARRNN_DATA is set"
