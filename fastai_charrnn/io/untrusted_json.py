"""Parse JSON of a stranger's file: `parse_json`."""

import json

from .limits import MAX_JSON_DEPTH, MAX_JSON_VALUES

__all__ = ["parse_json"]


def parse_json(
    text: str | bytes,  # JSON
) -> object:
    "Parse JSON of limited size. Raises `ValueError` for text beyond the limits, and for a name that occurs twice."
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    # before anything is allocated; in texts these characters are rare
    n_values = sum(text.count(c) for c in ",[{")
    if n_values > MAX_JSON_VALUES:
        raise ValueError(f"it has more than {MAX_JSON_VALUES:,} values")
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"its lists are nested more than {MAX_JSON_DEPTH} deep") from None
    _check_depth(value)
    return value


def _unique(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in its header")
    return found


def _check_depth(value):
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [o for v in level for o in _parts(v) if isinstance(o, (list, dict))]
        if not level:
            return
    raise ValueError(f"its lists are nested more than {MAX_JSON_DEPTH} deep")


def _parts(value):
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
