"""Hugging Face's names for the options of `generate`: `both_spellings` lets a function accept them beside ours.

    learn.generate("The ", max_new_tokens=50, num_return_sequences=3, do_sample=True, temperature=0.7)

The names are equal except for `max_new_tokens` (our `n`), `num_return_sequences` (`num`), `num_beams` (`beam`; 1 is no
search), `stop_strings` (`stop`), `generation_config` (`config`), and `do_sample`: False is temperature 0, True is any
other temperature.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any, TypedDict, TypeVar

from ..errors import GenerationError

__all__ = ["both_spellings"]

T = TypeVar("T")
Stop = str | Sequence[str] | Callable[[str], bool] | None

_OUR_NAMES = dict(max_new_tokens="n", num_return_sequences="num", num_beams="beam", stop_strings="stop")
# fields of a config of transformers that change nothing here: padding, end of text and caches are the model's own
_WITHOUT_EFFECT = {"transformers_version", "use_cache", "pad_token_id", "bos_token_id", "eos_token_id"}
_SAME_NAMES = {"do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty"}


class DrawOptions(TypedDict, total=False):
    "Options that do not change the type of what `generate` returns."

    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float | None
    stop: Stop
    seed: int | None
    max_new_tokens: int
    do_sample: bool | None
    stop_strings: Stop


class ConfigOptions(DrawOptions, total=False):
    "What `GenerationConfig` accepts after `temperature`."

    num: int | None
    beam: int | None
    n: int | None
    num_return_sequences: int | None
    num_beams: int | None


class TextOptions(DrawOptions, total=False):
    "What `generate` accepts after `temperature`, whatever it returns."

    return_prompt: bool
    unk: str


def both_spellings(
    f: Callable[..., T],  # a function with parameters of our names
) -> Callable[..., T]:
    """Let `f` accept Hugging Face's names of its parameters, and a config if it has a parameter `config`.

    Arguments override the config. The decorated function raises `GenerationError` for an option that is given in both
    spellings with different values, and `TypeError`, with the nearest name, for an unknown one."""
    names = list(inspect.signature(f).parameters)

    @functools.wraps(f)
    def with_both(*args: Any, **kwargs: Any) -> T:
        by_position = dict(zip(names, args))
        if len(args) > len(names) or by_position.keys() & kwargs.keys():
            # raises Python's TypeError
            return f(*args, **kwargs)
        return f(**_in_our_names(f.__qualname__.removesuffix(".__init__"), names, by_position | kwargs))

    return with_both


def _in_our_names(function, names, given):
    config = _take_config(given) if "config" in names else {}
    do_sample = given.pop("do_sample", None)
    given = _translated(given)
    _check_known(function, names, given)
    if do_sample is False:
        _check_same("temperature", given.get("temperature", 0), "do_sample", False, 0)
        given["temperature"] = 0
    options = config | given
    if do_sample is True and (options.get("temperature") == 0 or options.get("beam")):
        other = "temperature" if options.get("temperature") == 0 else "beam"
        raise GenerationError(f"do_sample=True draws, and {other}={options[other]!r} does not; leave out one of them")
    if do_sample not in (None, False, True):
        raise GenerationError(f"do_sample={do_sample!r} is not True (sample), False (greedy) or None")
    return options


def _translated(given):
    "The arguments with our names only."
    ours = {name: value for name, value in given.items() if name not in _OUR_NAMES}
    for name in given.keys() & _OUR_NAMES.keys():
        our_name = _OUR_NAMES[name]
        value = None if name == "num_beams" and given[name] == 1 else given[name]
        if our_name in ours:
            _check_same(our_name, ours[our_name], name, given[name], value)
        ours[our_name] = value
    return ours


def _check_same(our_name, our_value, name, value, meaning):
    "Raise unless the value of our spelling is what the value of Hugging Face's means."
    if our_value != meaning:
        raise GenerationError(
            f"{our_name}={our_value!r} and {name}={value!r} are two values for one option; pass one of them"
        )


def _check_known(function, names, given):
    for name in given:
        if name not in names:
            known = [*names, *_OUR_NAMES, "do_sample", "generation_config"]
            nearest = get_close_matches(name, known, 1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def _take_config(given):
    "Remove the config from the arguments. Returns its options, with our names."
    configs = [given.pop(name, None) for name in ("config", "generation_config")]
    if _is_config(given.get("n")):
        configs.append(given.pop("n"))
    configs = [config for config in configs if config is not None]
    if len(configs) > 1:
        raise GenerationError("there are two configs; pass one of them, as config=…")
    return _options_of(configs[0]) if configs else {}


def _is_config(v):
    return is_dataclass(v) or hasattr(v, "to_diff_dict")


def _options_of(config):
    if is_dataclass(config):
        return {field.name: getattr(config, field.name) for field in fields(config)}
    if hasattr(config, "to_diff_dict"):
        return _options_of_transformers(config)
    raise GenerationError(f"config is a GenerationConfig, or that of transformers; got {type(config).__name__}")


def _options_of_transformers(config):
    "The options of a `transformers.GenerationConfig`, whose defaults are greedy text, or temperature 1 and top_k 50."
    given = {name: v for name, v in config.to_diff_dict().items() if v is not None and name not in _WITHOUT_EFFECT}
    unsupported = sorted(given.keys() - _OUR_NAMES.keys() - _SAME_NAMES)
    if unsupported:
        raise GenerationError(f"this package does not have these options of the config: {', '.join(unsupported)}")
    do_sample = given.pop("do_sample", False)
    defaults = dict(temperature=1.0, top_k=50) if do_sample else dict(temperature=0)
    options = dict(num_return_sequences=1) | (defaults | given if do_sample else given | defaults)
    # 0 switches the filter off
    options["top_k"] = options.get("top_k") or None
    return _translated(options)
