"""Fixtures of the tests of fastai's cells. Adds the markers of the tests that `cells.json` lists as failing."""

import json
from pathlib import Path

import pytest
from tiny import MODES, tiny_learner

CELLS = json.loads((Path(__file__).parent / "cells.json").read_text(encoding="utf-8"))


@pytest.fixture(params=MODES)
def mode(request):
    "A way to read a text."
    return request.param


@pytest.fixture
def learn(mode, tmp_path):
    "A tiny learner for each way to read."
    return tiny_learner(mode, tmp_path)


@pytest.fixture
def windows(tmp_path):
    "A tiny learner on windows, for behaviour that does not depend on the way to read."
    return tiny_learner("windows", tmp_path)


def pytest_collection_modifyitems(items):
    "A test that `cells.json` lists as failing must fail: a repair is noticed."
    reasons = {cell["test"]: cell["fails"] for cell in CELLS if "fails" in cell}
    for item in items:
        name, _, parameters = item.name.partition("[")
        by_mode = reasons.get(f"{item.path.name}::{name}", {})
        for mode, reason in by_mode.items():
            if mode in ("all", *parameters.rstrip("]").split("-")):
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
