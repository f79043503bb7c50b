"""Write and read the file of a checkpoint: `write_checkpoint`, `read_checkpoint`. Nothing is pickled.

    write_checkpoint("run.safetensors", dict(weight=torch.ones(2, 3)), dict(epoch=3))
    tensors, state = read_checkpoint("run.safetensors")

A checkpoint is a `.safetensors` file with a JSON object and a checksum in its metadata. The one before is kept as
`run.1.safetensors`. If the newest one is damaged, the one before is read, with a warning.
"""

import hashlib
import io
import json
import os
import shutil
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .._files import atomic_path, write_errors
from .._printable import printable
from .._utils import warn_caller
from ..errors import CharRnnWarning, ModelFileError

__all__ = ["write_checkpoint", "read_checkpoint", "checkpoint_path", "previous_path"]

_format = "1"
# limits for files of strangers
_max_header = 8 * 2**20  # bytes of names, shapes and the state
_max_tensors = 10_000
_max_depth = 24  # lists and dicts inside each other
_max_lists = 100_000  # lists and dicts in all
_max_dims = 8
_dtypes = ("BOOL", "U8", "I8", "I16", "I32", "I64", "F16", "BF16", "F32", "F64")


def checkpoint_path(
    path: str | Path,  # the name of a checkpoint
) -> Path:  # the file
    "The file of a checkpoint: `run.safetensors` for `run`."
    path = Path(path)
    return path if path.suffix else path.with_suffix(".safetensors")


def previous_path(
    path: str | Path,  # a checkpoint
) -> Path:  # where the one before is kept
    "The name of the checkpoint before: `run.1.safetensors` for `run.safetensors`."
    path = Path(os.path.realpath(path))
    return path.with_name(f"{path.stem}.1{path.suffix}")


def write_checkpoint(
    path: str | Path,  # the file to write
    tensors: dict[str, Tensor],  # by name, of any dtype that safetensors has
    state: dict,  # further values: anything that JSON has; long lists belong into `tensors`
) -> Path:  # the file written
    """Write a checkpoint with a checksum, and keep the one before. At every moment one of both is complete.

    Raises `ModelFileError` if the file cannot be written or is above the limits of `read_checkpoint`; the files are
    then as they were."""
    path = Path(os.path.realpath(path))
    described = json.dumps(state)
    # cloned, as safetensors refuses tensors that share memory
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    metadata = dict(charrnn_checkpoint=_format, state=described, sha256=_checksum(tensors, described))
    data = save(tensors, metadata)
    try:
        _parse(_read_header(io.BytesIO(data), len(data))["state"])
    except ValueError as e:
        raise ModelFileError(f"a checkpoint cannot hold this state ({e}); long lists belong into tensors") from None
    with write_errors(path, ModelFileError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_bytes(data)
            _keep_previous(path)
    return path


def _keep_previous(path):
    "Give the newest checkpoint a second name, unless it is damaged: then the one before it is better."
    try:
        _read(path)
    except ModelFileError:
        return
    with atomic_path(previous_path(path)) as part:
        try:
            part.unlink()
            os.link(path, part)
        except OSError:
            # a file system without links
            shutil.copyfile(path, part)


def read_checkpoint(
    path: str | Path,  # a file written by `write_checkpoint`
) -> tuple[dict[str, Tensor], dict]:  # tensors on the CPU by name, and the state
    """Read a checkpoint. Runs nothing from the file, and allocates no more than a few times its size.

    A damaged or missing file: a `CharRnnWarning`, and the checkpoint before it is read. Raises `ModelFileError` if
    neither can be used. Names, shapes and state are at most 8 MiB, with at most 100,000 lists and dicts."""
    path = Path(path)
    try:
        return _read(path)
    except ModelFileError as error:
        damage = error
    previous = previous_path(path)
    if not previous.exists():
        raise damage
    try:
        found = _read(previous)
        age = _age(time.time() - previous.stat().st_mtime)
    except (ModelFileError, OSError) as error:
        raise ModelFileError(f"{damage}; the checkpoint before it cannot be used either: {error}") from None
    warn_caller(f"{damage}; {previous.name}, written {age} ago, is used instead", CharRnnWarning)
    return found


def _age(seconds):
    "A time in words, of one unit."
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} seconds"


def _read(path):
    "The tensors and the state of one file. Raises `ModelFileError`."
    try:
        if not path.exists():
            raise ModelFileError(f"there is no checkpoint {path}")
        if not path.is_file():
            raise ModelFileError(f"{path} is not a file; give the path of a checkpoint")
        # one handle, so that all is of one file if another process replaces it
        with path.open("rb") as f:
            metadata = _read_header(f, os.fstat(f.fileno()).st_size)
            f.seek(0)
            tensors = load(f.read())
        state = _parse(metadata["state"])
        if _checksum(tensors, metadata["state"]) != metadata["sha256"]:
            raise ValueError("its checksum is wrong")
    except ModelFileError:
        raise
    except OSError as e:
        raise ModelFileError(f"cannot read {path}: {e.strerror}") from None
    except (ValueError, RuntimeError, MemoryError, SafetensorError) as e:
        raise ModelFileError(f"{path} is damaged or not a checkpoint ({printable(e, max_len=200)})") from None
    return tensors, state


def _read_header(f, n_bytes):
    "Check names, shapes and sizes before a tensor is made. Returns the metadata."
    size = int.from_bytes(f.read(8), "little")
    if not 0 < size <= n_bytes - 8:
        raise ValueError("it is shorter than it says")
    if size > _max_header:
        raise ValueError(f"its header has {size:,} bytes, more than {_max_header:,}")
    header = _parse(f.read(size).decode())
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("charrnn_checkpoint") != _format:
        raise ValueError(f"it is not a checkpoint of format {_format}")
    if not all(isinstance(metadata.get(name), str) for name in ("state", "sha256")):
        raise ValueError("it has no state or no checksum")
    if len(header) > _max_tensors:
        raise ValueError(f"it has {len(header):,} tensors, more than {_max_tensors:,}")
    for name, entry in header.items():
        _check_entry(name, entry, n_bytes - 8 - size)
    return metadata


def _check_entry(name, entry, n_bytes):
    "Check the dtype, the shape and the place of a tensor. safetensors checks that the places cover all bytes."
    if not isinstance(entry, dict) or entry.get("dtype") not in _dtypes:
        raise ValueError(f"tensor {name!r} has an unknown dtype")
    shape = entry.get("shape")
    offsets = entry.get("data_offsets")
    if not (_are_sizes(shape, n_bytes) and len(shape) <= _max_dims):
        raise ValueError(f"tensor {name!r} has an impossible shape")
    if not (_are_sizes(offsets, n_bytes) and len(offsets) == 2):
        raise ValueError(f"tensor {name!r} has an impossible place")


def _are_sizes(values, limit):
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= limit for value in values)


def _parse(described):
    "A JSON object. Its lists are counted before memory is spent on them."
    if described.count("[") + described.count("{") > _max_lists:
        raise ValueError(f"it has more than {_max_lists:,} lists")
    parsed = json.loads(described)
    if not isinstance(parsed, dict):
        raise ValueError("a JSON object is missing")
    level = [parsed]
    for _ in range(_max_depth):
        nested = [item for item in level if isinstance(item, (dict, list))]
        level = [child for item in nested for child in (item.values() if isinstance(item, dict) else item)]
    if level:
        raise ValueError(f"it is nested more than {_max_depth} deep")
    return parsed


def _checksum(tensors, described):
    "A checksum of the state, and of the name, dtype, shape and values of every tensor."
    sha = hashlib.sha256(described.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
