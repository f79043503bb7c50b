"""Check what a user passes for a page: `check_page_texts`, `check_units`."""

import math
from collections.abc import Iterable, Mapping

from .._checks import shown
from .._utils import is_whole
from ..errors import PageError

__all__ = ["check_page_texts", "check_units"]


def check_page_texts(
    title: str | None,  # as `to_page`
    text: str | None,
    prompts: Iterable[str] | None,
) -> list[str] | None:  # the prompts as a list
    "Raise `PageError` for anything but texts."
    for name, value in (("title", title), ("text", text)):
        if value is not None and not isinstance(value, str):
            raise PageError(f"{name} must be a text, got {shown(value)}")
    if prompts is None:
        return None
    listed = _listed("prompts", prompts, "texts")
    for prompt in listed:
        if not isinstance(prompt, str):
            raise PageError(f"prompts must be texts, got {shown(prompt)}")
    return listed


def check_units(
    units: Iterable[Mapping] | None,  # as `to_page`
    n_hid: int,  # units that there are
) -> list[dict] | None:  # as JSON values
    "Raise `PageError` for a unit that does not exist, or that has no name."
    if units is None:
        return None
    return [_unit(value, n_hid) for value in _listed("units", units, "dicts")]


def _listed(name, values, kind):
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise PageError(f"{name} must be a list of {kind}, got {shown(values)}")
    return list(values)


def _unit(value, n_hid):
    if not isinstance(value, Mapping) or not {"unit", "tracks"} <= value.keys():
        raise PageError(f'a unit must be a dict such as dict(unit=17, tracks="quotes", score=0.8), got {shown(value)}')
    unit, tracks, score = value["unit"], value["tracks"], value.get("score")
    if not is_whole(unit) or not 0 <= unit < n_hid:
        raise PageError(f"unit={shown(unit)} is not a hidden unit; they have the numbers 0 to {n_hid - 1}")
    if not isinstance(tracks, str):
        raise PageError(f"tracks={shown(tracks)} must be a text that says what unit {unit} tracks")
    if score is None:
        return dict(unit=int(unit), tracks=tracks)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
        raise PageError(f"score={shown(score)} of unit {unit} must be a number; leave it out if there is none")
    return dict(unit=int(unit), tracks=tracks, score=float(score))
