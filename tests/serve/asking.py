"""Ask a server on loopback, for tests: `ask` with any headers, by http.client."""

import base64
import http.client
import json
from typing import NamedTuple

import numpy as np


class Answer(NamedTuple):
    "What a server sent."

    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    def error(self):
        "Kind and message of an error."
        return tuple(self.json()["error"].values())


def ask(port, path, values=None, method=None, headers=None, body=None):
    "The answer to a GET, or to a POST of JSON values."
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    posts = values is not None or body is not None
    given = {"Content-Type": "application/json"} if posts else {}
    if values is not None:
        body = json.dumps(values).encode()
    try:
        connection.request(method or ("POST" if posts else "GET"), path, body, given | (headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def floats(text):
    "The numbers that the server wrote as base64."
    return np.frombuffer(base64.b64decode(text), "<f4")
