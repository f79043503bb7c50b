"""Requests with hostile values get an error that a page can show, and the server continues to answer."""

import socket

import pytest
from asking import ask

TEXTS = {"missing": {}, "number": {"text": 5}, "null": {"text": None}, "list": {"text": ["a"]}}
TEXTS["long"] = {"text": "a" * 200_001}
UNITS = [[-1], [24], [0.5], ["0"], [True], {"0": 1}, "0", list(range(24)) * 3, [10**400]]
OPTIONS = [
    {},
    {"n": -1},
    {"n": 1e3},
    {"n": 20_001},
    {"n": True},
    {"n": 5, "temperature": -1},
    {"n": 5, "temperature": "hot"},
    {"n": 5, "temperature": 1e9},
    {"n": 5, "topP": 1.5},
    {"n": 5, "seed": 2**32},
    {"n": 5, "seed": "1"},
]
BODIES = [b"", b"[]", b"nul", b'{"text": "a"', b"\xff\xfe", b"[" * 100_000, b'{"text": NaN}']


@pytest.mark.parametrize("method", ["next", "score", "generate", "connectivity"])
@pytest.mark.parametrize("values", TEXTS.values(), ids=TEXTS)
def test_a_wrong_text_is_an_error(port, method, values):
    answer = ask(port, f"/api/0/{method}", {"n": 1, "at": 0} | values)
    assert answer.status in (400, 413)
    _, message = answer.error()
    assert "text" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("units", UNITS, ids=lambda o: str(o)[:20])
def test_wrong_units_are_an_error(port, units):
    assert ask(port, "/api/0/score", {"text": "abc", "units": units}).status == 400


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_wrong_options_are_an_error(port, options):
    assert ask(port, "/api/0/generate", {"text": "abc"} | options).status == 400


@pytest.mark.parametrize("body", BODIES, ids=lambda o: repr(o)[:15])
def test_a_body_that_is_not_an_object_with_a_text_is_an_error(port, body):
    answer = ask(port, "/api/0/next", body=body)
    assert answer.status == 400
    assert answer.error()[0] == "request"


def test_a_body_that_is_too_large_is_refused(port):
    assert ask(port, "/api/0/next", body=b'{"text": "' + b"a" * 5 * 2**20).status == 413


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
def test_numbers_that_are_not_finite_are_errors(port, number):
    body = b'{"text":"a","n":1,"temperature":' + number + b"}"
    assert ask(port, "/api/0/generate", body=body).status == 400


@pytest.mark.parametrize("at", [3, 10**6, -1])
def test_a_position_outside_the_text_is_an_error(port, at):
    answer = ask(port, "/api/0/connectivity", {"text": "abc", "at": at})
    assert answer.status == 400
    assert "at must be" in answer.error()[1]


def test_unknown_models_and_paths_are_errors(port):
    assert ask(port, "/api/7/next", {"text": "a"}).error()[0] == "model"
    for path in ("/api/-1/next", "/api/0/nothing", "/etc/passwd", "/../settings.ini"):
        assert ask(port, path).status == 404
    assert ask(port, "/api/0/next").status == 405


def test_noise_on_the_port_is_answered_and_forgotten(port):
    noises = (b"\0\1\2\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /api/0/next HTTP/1.1\r\nContent-Length: -5\r\n\r\n")
    for noise in noises:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(2000)[:9] in (b"HTTP/1.1 ", b"")
    assert ask(port, "/api/0/next", {"text": "a"}).status == 200
