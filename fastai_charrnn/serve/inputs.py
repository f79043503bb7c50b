"""What a page may ask: `read_json` reads the body of a request, `Fields` checks its values. Sizes are limited."""

import json
import math
from typing import TYPE_CHECKING

from ..errors import CharRnnError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["RequestError", "Fields", "read_json", "MAX_TEXT"]

MAX_TEXT = 200_000  # characters of a text
_max_body = 4 * 2**20  # bytes: a character may take 12 bytes in JSON
_max_units = 64  # units whose values are sent with a score
MAX_CHARS = 20_000  # characters to generate


class RequestError(CharRnnError):
    "A request that cannot be answered. The page shows the message."

    def __init__(
        self,
        message: str,
        kind: str = "request",  # one word for programs
        status: int = 400,  # of HTTP
    ):
        super().__init__(message)
        self.kind = kind
        self.status = status


async def read_json(
    request: "Request",  # with a body
) -> "Fields":
    "Read the body of a request. Raises `RequestError` for one that is too large or is not a JSON object."
    # pages of strangers cannot send this type without being asked first
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RequestError("the body must be application/json", status=415)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _max_body:
            raise RequestError(f"the text is too long; at most {MAX_TEXT:,} characters are read", "size", 413)
    try:
        values = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise RequestError("the body is not valid JSON") from None
    if not isinstance(values, dict):
        raise RequestError("the body must be a JSON object")
    return Fields(values)


class Fields:
    "The values of a request. Each method returns a checked one or raises `RequestError`."

    def __init__(
        self,
        values: dict,  # what was sent
    ):
        self.values = values

    def text(self) -> str:
        "The text. It may be empty."
        value = self.values.get("text")
        if not isinstance(value, str):
            raise RequestError("text must be a string")
        if len(value) > MAX_TEXT:
            message = f"the text has {len(value):,} characters; at most {MAX_TEXT:,} are read, so shorten it"
            raise RequestError(message, "size", 413)
        return value

    def number(
        self,
        name: str,  # of the value
        low: float,  # the smallest number allowed
        high: float,  # the largest
        default: float,  # if there is none
    ) -> float:
        "A finite number."
        value = self.values.get(name, default)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:
            raise RequestError(f"{name} must be a number from {low:g} to {high:g}")
        return float(value)

    def count(
        self,
        name: str,  # of the value
        high: int,  # the largest number allowed
        default: int | None = None,  # if there is none; None: it must be there
    ) -> int:
        "A whole number from 0."
        value = self.values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
            raise RequestError(f"{name} must be a whole number from 0 to {high:,}")
        return value

    def units(
        self,
        n_units: int,  # how many the model has
    ) -> list[int]:
        "Numbers of units, at most 64."
        value = self.values.get("units") or []
        if not isinstance(value, list) or len(value) > _max_units:
            raise RequestError(f"units must be a list of at most {_max_units} numbers")
        for unit in value:
            if not isinstance(unit, int) or isinstance(unit, bool) or not 0 <= unit < n_units:
                raise RequestError(f"units must be whole numbers below {n_units:,}, the units of this model")
        return value
