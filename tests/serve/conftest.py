"""Servers on loopback with small models."""

import pytest
from small_models import build, lively, stateful

from fastai_charrnn.serve.describe import load_served
from fastai_charrnn.serve.serve import close_models, model_app
from fastai_charrnn.serve.server import Address, ThreadServer, bound_socket


@pytest.fixture(scope="session")
def served_learners(small):
    "One with a window, one with a state, and an ensemble."
    ensemble = build(small, "ensemble", config=dict(arch="gru", n_models=2))
    return [lively(build(small, "rnn")), stateful(small), lively(ensemble)]


def _started(models, token=None):
    "A server of models in a thread."
    sock = bound_socket("127.0.0.1", 0)
    address = Address(sock, "127.0.0.1")
    address.token = token
    server = ThreadServer(model_app(models, address), sock, lambda: close_models(models))
    return server, address.port


@pytest.fixture(scope="session")
def port(served_learners):
    "The port of a server of the three models."
    server, port = _started(load_served(served_learners))
    yield port
    server.stop()


@pytest.fixture(scope="session")
def guarded_port(served_learners):
    "The port of a server that needs the token `secret`."
    server, port = _started(load_served(served_learners[:1]), "secret")
    yield port
    server.stop()
