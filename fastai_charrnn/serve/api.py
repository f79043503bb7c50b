"""The addresses under `/api` that `page/assets/remote.js` asks: what a page's backend does, for models of the server.

    GET  /api/models                  what each model is
    POST /api/MODEL/next              {"text"} -> {"logProbs", "units", "unknown"}
    POST /api/MODEL/connectivity      {"text", "at"} -> {"norms"}
    POST /api/MODEL/score             {"text", "units"} -> lines {"start", "nats", "units"} …, {"end": true}
    POST /api/MODEL/generate          {"text", "n", "temperature", "topP", "seed"} -> lines {"chars"} …, {"end": true}

MODEL is a number from 0. Arrays are float32, little endian, in base64; `units` of a score has a row for each unit.
Lines are JSON objects. A stream without its last line was cut off. Errors are {"error": {"kind", "message"}}, also as
the last line of a stream.
"""

import base64
import json
import logging
from collections.abc import AsyncIterator, Sequence

import numpy as np
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ..errors import CharRnnError
from .guard import json_error
from .inputs import MAX_CHARS, MAX_TEXT, RequestError, read_json
from .served_model import ServedModel

__all__ = ["ModelApi"]

_max_temperature = 100.0
_unexpected = "the server could not compute this; its terminal shows why"
log = logging.getLogger("charrnn.serve")


class ModelApi:
    "The routes of several models."

    def __init__(
        self,
        models: Sequence[ServedModel],  # their position is their number
    ):
        self.models = models

    @property
    def routes(self) -> list[Route]:
        "The routes, for Starlette."
        posts = dict(next=self.next, connectivity=self.connectivity, score=self.score, generate=self.generate)
        routes = [Route(f"/api/{{model:int}}/{name}", _answers(f), methods=["POST"]) for name, f in posts.items()]
        return [Route("/api/models", self.infos), *routes]

    async def infos(self, request: Request) -> Response:
        "What each model is."
        return _json({"models": [model.info for model in self.models]})

    async def next(self, request: Request) -> Response:
        "The log-probabilities of the next character."
        model = self._model(request)
        fields = await read_json(request)
        log_probs, units, unknown = await model.run(model.next, fields.text())
        return _json({"logProbs": _base64(log_probs), "units": _base64(units), "unknown": unknown})

    async def connectivity(self, request: Request) -> Response:
        "How much a prediction depends on each earlier character."
        model = self._model(request)
        fields = await read_json(request)
        norms = await model.run(model.connectivity, fields.text(), fields.count("at", MAX_TEXT))
        return _json({"norms": _base64(norms)})

    async def score(self, request: Request) -> Response:
        "The surprise of each character and the values of some units, in parts."
        model = self._model(request)
        fields = await read_json(request)
        blocks = model.blocks(model.score, fields.text(), fields.units(model.n_units))
        return _stream(_score_line(*block) async for block in blocks)

    async def generate(self, request: Request) -> Response:
        "A continuation, some characters at a time."
        model = self._model(request)
        fields = await read_json(request)
        seed = fields.count("seed", 2**32 - 1, 0)
        top_p = fields.number("topP", 0, 1, 1)
        temperature = fields.number("temperature", 0, _max_temperature, 1)
        options = dict(n=fields.count("n", MAX_CHARS), seed=seed, top_p=top_p, temperature=temperature)
        blocks = model.blocks(model.generate, fields.text(), options)
        return _stream({"chars": list(chars)} async for chars in blocks)

    def _model(self, request):
        number = request.path_params["model"]
        if number >= len(self.models):
            raise RequestError(f"there is no model {number}; reload the page", "model", 404)
        return self.models[number]


def _answers(function):
    "The function, with errors as JSON."

    async def answer(request):
        try:
            return await function(request)
        except Exception as error:
            kind, message, status = _described(error)
            return json_error(status, kind, message)

    return answer


def _described(error):
    "Kind, message and status of an error. The terminal shows errors that are not expected."
    if isinstance(error, RequestError):
        return error.kind, str(error), error.status
    if isinstance(error, CharRnnError):
        return type(error).__name__, str(error), 422
    log.error(_unexpected, exc_info=error)
    return "server", _unexpected, 500


def _stream(lines: AsyncIterator[dict]):
    "An answer of one JSON object a line. If the browser leaves, the iterator is cancelled."

    async def encoded():
        try:
            async for line in lines:
                yield _line(line)
            yield _line({"end": True})
        except Exception as error:
            kind, message, _ = _described(error)
            yield _line({"error": {"kind": kind, "message": message}})

    # not compressed or collected on the way
    return StreamingResponse(encoded(), media_type="application/x-ndjson", headers={"x-accel-buffering": "no"})


def _score_line(start, nats, units):
    return {"start": start, "nats": _base64(nats), "units": _base64(units)}


def _line(value):
    return json.dumps(value) + "\n"


def _json(value):
    # ASCII only: an unknown character may be half of a pair of surrogates
    return Response(json.dumps(value), media_type="application/json")


def _base64(array):
    "An array as base64 of float32, little endian."
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode("ascii")
