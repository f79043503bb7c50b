"""`.safetensors` files as bytes, with headers that may lie, and random changes of JSON: for `mutations`."""

import copy
import json
import random
from typing import NamedTuple

ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\n\r\x9b31m\u202e"
_deep = json.loads("[" * 200 + "]" * 200)
# values that no field expects, or that no field expects so large
NASTY = [
    *(None, True, False, 0, -1, 1, 2, 3, 64, 1000, 65_536, 65_537, 10**6, 10**9, 2**31, 2**53, 2**63, -(2**63), 10**30),
    *(10**400, 0.0, -0.5, 0.5, 1.5, 1e300, float("nan"), float("inf"), -float("inf"), "", "\0", "x", "rnn", "ensemble"),
    *("next", "every", ESCAPES, "\ud800", "x" * 100_000, "1", "None", [], {}, [[]], [None], [0], ["\0"], [1] * 1000),
    *(
        [[0, 1]],
        [[[0, 1]], [[1, 2]]],
        {"": ""},
        {ESCAPES: ESCAPES},
        {"train": [], "valid": []},
        {"a": {"b": {}}},
        _deep,
    ),
]


class RawFile(NamedTuple):
    "A file before it is written."

    description: dict  # JSON under "charrnn" or another name
    entries: dict  # name: dtype, shape, data_offsets
    data: bytes

    def copy(self) -> "RawFile":
        return RawFile(copy.deepcopy(self.description), copy.deepcopy(self.entries), self.data)


def read_raw(path, name="charrnn"):
    "Take a good file apart."
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:end])
    metadata = header.pop("__metadata__")
    return RawFile(json.loads(metadata[name]), header, raw[end:])


def to_bytes(file, described=None, name="charrnn"):
    "The bytes of a file. `described` is used in place of the description, as text."
    described = json.dumps(file.description) if described is None else described
    header = json.dumps({"__metadata__": {name: described}} | file.entries).encode("utf-8", "surrogatepass")
    return len(header).to_bytes(8, "little") + header + file.data


def change_value(value, rng: random.Random):
    "Change one part of JSON in place, at a random depth. Returns the value, or another in its place."
    is_nested = isinstance(value, (dict, list)) and len(value)
    if not is_nested or rng.random() < 0.1:
        return copy.deepcopy(rng.choice(NASTY))
    key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
    if rng.random() < 0.7:
        value[key] = change_value(value[key], rng)
    elif isinstance(value, dict):
        _change_dict(value, key, rng)
    else:
        _change_list(value, key, rng)
    return value


def _change_dict(value, key, rng):
    kind = rng.randrange(4)
    if kind == 0:
        del value[key]
    elif kind == 1:
        value[rng.choice([ESCAPES, "x" * 300, "n_layers", "n_models", "arch", "earlier", "log"])] = rng.choice(NASTY)
    elif kind == 2:
        value[key] = copy.deepcopy(value[rng.choice(list(value))])
    else:
        value[key] = [value[key]] * rng.choice([1, 2, 1000])


def _change_list(value, key, rng):
    kind = rng.randrange(4)
    if kind == 0:
        del value[key]
    elif kind == 1:
        value.insert(key, rng.choice(NASTY))
    elif kind == 2:
        value *= rng.choice([0, 2, 1000])
    else:
        rng.shuffle(value)


def change_text(text: str, rng: random.Random) -> str:
    "Change JSON as text: names that occur twice, deep nesting, many values, long numbers, other characters."
    kind = rng.randrange(6)
    if kind == 0:
        names = json.loads(text)
        return (
            text[:-1]
            + "".join(f', "{name}": {json.dumps(rng.choice(NASTY))}' for name in rng.sample(list(names), 2))
            + "}"
        )
    if kind == 1:
        depth = rng.choice([30, 900, 5000, 100_000])
        return text[:-1] + ', "x": ' + "[" * depth + "]" * depth + "}"
    if kind == 2:
        return text[:-1] + ', "x": [' + rng.choice(["[],", "{},", "0,", '"",']) * rng.choice([1000, 10**6]) + "0]}"
    if kind == 3:
        return text.replace(": 8", f": {'9' * rng.choice([20, 5000])}")
    at = rng.randrange(len(text))
    if kind == 4:
        return text[:at] + rng.choice('{}[]",:\\x00\x1b\ud8009eE-+. ') + text[at + 1 :]
    return text[:at]


def change_entries(file: RawFile, rng: random.Random) -> RawFile:
    "Change what the header says about a tensor, or add or remove one."
    entries = file.entries
    name = rng.choice(list(entries))
    entry = entries[name]
    kind = rng.randrange(9)
    if kind == 0:
        entry["dtype"] = rng.choice(["F64", "F16", "BF16", "I32", "U8", "BOOL", "F8_E4M3", "x", ESCAPES, None, 4])
    elif kind == 1:
        entry["shape"] = rng.choice(
            [entry["shape"][::-1], [], [0], [2**62, 4], [10**9], [-1], [1.0], [True], None, [1] * 9, "4"]
        )
    elif kind == 2:
        entry["data_offsets"] = rng.choice(
            [[0, 4], [4, 0], [-4, 4], [0, 2**63], [0], None, entries[rng.choice(list(entries))]["data_offsets"]]
        )
    elif kind == 3:
        del entries[name]
    elif kind == 4:
        entries[rng.choice([ESCAPES, "x" * 1000, "extra", "module." + name])] = entries.pop(name)
    elif kind == 5:
        end = len(file.data)
        entries[rng.choice([ESCAPES, "extra"])] = dict(dtype="F32", shape=[1], data_offsets=[end, end + 4])
        return file._replace(data=file.data + bytes(4))
    elif kind == 6:
        entries[name] = change_value(entry, rng)
    elif kind == 7:
        end = len(file.data)
        entries |= {
            f"t{i}": dict(dtype="F32", shape=[0], data_offsets=[end, end]) for i in range(rng.choice([10, 5000]))
        }
    else:
        # other values: NaN, infinity, huge, denormal
        begin, end = entry["data_offsets"]
        value = rng.choice([b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x7f\x7f", b"\1\0\0\0", b"\xff\xff\xff\xff"])
        return file._replace(data=file.data[:begin] + value + file.data[begin + 4 :])
    return file


def change_bytes(raw: bytes, rng: random.Random) -> bytes:
    "Flip bytes, cut or lengthen a file, or let it lie about the length of its header."
    kind = rng.randrange(5)
    if kind == 0:
        changed = bytearray(raw)
        for _ in range(rng.choice([1, 1, 3, 30])):
            changed[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(changed)
    if kind == 1:
        return raw[: rng.randrange(len(raw))]
    if kind == 2:
        return raw + rng.randbytes(rng.choice([1, 8, 1000]))
    n_header = int.from_bytes(raw[:8], "little")
    lie = rng.choice([0, 1, 2, n_header - 1, n_header + 1, len(raw), 2**24, 2**40, 2**63, 2**64 - 1])
    if kind == 3:
        return lie.to_bytes(8, "little") + raw[8:]
    return raw[:8] + rng.choice([b"\xef\xbb\xbf", b" ", b"[", b"\xff"]) + raw[9:]
