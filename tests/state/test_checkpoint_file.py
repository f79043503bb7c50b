"""Files of checkpoints: what is written is read, damage is found, and the checkpoint before is then used."""

import json
import os
import random
import time
import warnings

import pytest
import torch
from safetensors.torch import save

from fastai_charrnn.errors import CharRnnWarning, ModelFileError
from fastai_charrnn.state import checkpoint_file
from fastai_charrnn.state.checkpoint_file import previous_path, read_checkpoint, write_checkpoint

TENSORS = dict(
    floats=torch.arange(6.0).reshape(2, 3).T,
    half=torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
    number=torch.tensor(3),
    empty=torch.zeros(0, 5),
    flags=torch.tensor([True, False]),
)
STATE = dict(epoch=3, loss=0.1, rates=[1e-3, float("inf")], text="é\ud800\0", nested=dict(none=None))


def _same(found, tensors):
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0, equal_nan=True)


@pytest.fixture
def path(tmp_path):
    "The path of a checkpoint of step 2, with that of step 1 beside it."
    path = tmp_path / "run.safetensors"
    for step in (0, 1, 2):
        write_checkpoint(path, dict(w=torch.full((40,), float(step))), dict(step=step))
    return path


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    path = write_checkpoint(tmp_path / "new" / "run.safetensors", TENSORS, STATE)
    tensors, state = read_checkpoint(path)
    _same(tensors, TENSORS)
    assert state == STATE


def test_tensors_that_share_memory_can_be_written(tmp_path):
    w = torch.randn(4, 4)
    path = write_checkpoint(tmp_path / "run.safetensors", dict(a=w, b=w, c=w[1:]), {})
    _same(read_checkpoint(path)[0], dict(a=w, b=w, c=w[1:]))


def test_the_last_two_are_kept(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_checkpoint(path)[1] == dict(step=2)
        assert read_checkpoint(previous_path(path))[1] == dict(step=1)
    assert {p.name for p in path.parent.iterdir()} == {"run.safetensors", "run.1.safetensors"}


def test_a_link_to_a_checkpoint_is_followed(path, tmp_path):
    link = tmp_path / "link.safetensors"
    link.symlink_to(path)
    write_checkpoint(link, {}, dict(step=3))
    assert link.is_symlink()
    assert read_checkpoint(path)[1] == dict(step=3)
    assert read_checkpoint(previous_path(link))[1] == dict(step=2)


# damage


def _damages(data):
    "Damaged versions of a file: emptied, cut, with a flipped bit, with bytes more, zeros at the end."
    rng = random.Random(0)
    yield b""
    yield data + b"\0"
    yield data[:-64] + bytes(64)
    for _ in range(40):
        yield data[: rng.randrange(len(data))]
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield bytes(flipped)


def test_every_damage_is_found_and_the_checkpoint_before_is_used(path):
    data = path.read_bytes()
    for damaged in _damages(data):
        path.write_bytes(damaged)
        with pytest.warns(
            CharRnnWarning, match=r"run\.safetensors is damaged .*; run\.1\.safetensors, written \d+ sec"
        ):
            tensors, state = read_checkpoint(path)
        assert state == dict(step=1)
        _same(tensors, dict(w=torch.ones(40)))


def test_the_warning_says_how_old_the_checkpoint_before_is(path):
    path.unlink()
    for age, words in ((7200, "2 hours"), (5400, "90 minutes"), (90, "9. seconds"), (10 * 86400, "10 days")):
        os.utime(previous_path(path), (time.time() - age,) * 2)
        with pytest.warns(CharRnnWarning, match=f"there is no checkpoint .*; .* written {words} ago, is used instead"):
            assert read_checkpoint(path)[1] == dict(step=1)


def test_a_damaged_checkpoint_does_not_replace_a_whole_one(path):
    path.write_bytes(path.read_bytes()[:-1])
    write_checkpoint(path, {}, dict(step=3))
    assert read_checkpoint(path)[1] == dict(step=3)
    assert read_checkpoint(previous_path(path))[1] == dict(step=1)


def test_two_damaged_checkpoints_are_one_error_that_names_both(path):
    path.write_bytes(b"")
    previous_path(path).write_bytes(b"x" * 99)
    with pytest.raises(ModelFileError, match=r"run\.safetensors is damaged.* either: .*run\.1\.safetensors is damaged"):
        read_checkpoint(path)


def test_a_missing_checkpoint_and_a_folder_are_errors(tmp_path):
    with pytest.raises(ModelFileError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="is not a file"):
        read_checkpoint(tmp_path)


# files of strangers


def _file(header, data=b""):
    header = json.dumps(header).encode() if isinstance(header, dict) else header
    return len(header).to_bytes(8, "little") + header + data


def _with_entry(**changes):
    "A file with a right checksum of nothing, and a tensor whose entry is changed."
    meta = dict(charrnn_checkpoint="1", state="{}", sha256=checkpoint_file._checksum({}, "{}"))
    return _file(dict(__metadata__=meta, w=dict(dtype="F32", shape=[1], data_offsets=[0, 4]) | changes), bytes(4))


def _with_state(state):
    return save({}, dict(charrnn_checkpoint="1", state=state, sha256=checkpoint_file._checksum({}, state)))


HOSTILE = dict(
    dtype_of_another_type=_with_entry(dtype=[]),
    unknown_dtype=_with_entry(dtype="\x1b[31m"),
    huge_shape=_with_entry(shape=[10**12]),
    shape_of_booleans=_with_entry(shape=[True]),
    many_dims=_with_entry(shape=[1] * 3000),
    no_shape=_with_entry(shape=None),
    offsets_outside=_with_entry(data_offsets=[0, 400]),
    offsets_backwards=_with_entry(data_offsets=[4, 0]),
    entry_of_another_type=_file(dict(__metadata__=dict(charrnn_checkpoint="1", state="{}", sha256=""), w=3)),
    header_is_a_list=_file(b"[]"),
    header_is_no_utf8=_file(b'{"\xff": 1}'),
    huge_header=(2**62).to_bytes(8, "little") + b"{}",
    other_format=save({}, dict(charrnn_checkpoint="2", state="{}", sha256="")),
    state_of_another_type=_file(dict(__metadata__=dict(charrnn_checkpoint="1", state={}, sha256=""))),
    state_is_a_list=_with_state("[]"),
    state_is_a_number=_with_state("3"),
    deep_state=_with_state('{"a":' + "[" * 50 + "]" * 50 + "}"),
    very_deep_state=_with_state('{"a":' + "[" * 50_000 + "]" * 50_000 + "}"),
    many_lists=_with_state('{"a":[' + "[]," * 200_000 + "1]}"),
    long_number=_with_state('{"a":' + "1" * 10_000 + "}"),
    model_file=save(dict(w=torch.zeros(3)), dict(charrnn="{}")),
)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_an_error_of_one_short_printable_line(tmp_path, kind):
    path = tmp_path / "run.safetensors"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(ModelFileError) as error:
        read_checkpoint(path)
    message = str(error.value).replace(str(tmp_path), "")
    assert message.isprintable()
    assert len(message) < 300


def test_a_state_that_could_not_be_read_is_not_written(tmp_path):
    path = write_checkpoint(tmp_path / "run.safetensors", {}, dict(step=1))
    with pytest.raises(ModelFileError, match="long lists belong into tensors"):
        write_checkpoint(path, {}, dict(losses=[0.1234567890123456] * 500_000))
    assert read_checkpoint(path)[1] == dict(step=1)


# disks


def test_a_full_disk_is_an_error_and_both_checkpoints_stay(full_disk):
    path = full_disk / "run.safetensors"
    for step in (0, 1):
        write_checkpoint(path, dict(w=torch.zeros(1000)), dict(step=step))
    with pytest.raises(ModelFileError, match=r"cannot write .*run\.safetensors: .*; free disk space"):
        write_checkpoint(path, dict(w=torch.zeros(10**5)), dict(step=2))
    assert read_checkpoint(path)[1] == dict(step=1)
    assert read_checkpoint(previous_path(path))[1] == dict(step=0)
    assert len(list(full_disk.iterdir())) == 2


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(ModelFileError, match="cannot write"):
        write_checkpoint(tmp_path / "a" / "run.safetensors", {}, {})


def test_a_file_system_without_links_keeps_the_checkpoint_before(path, monkeypatch):
    def no_links(*_):
        raise PermissionError("no links")

    monkeypatch.setattr(os, "link", no_links)
    write_checkpoint(path, {}, dict(step=3))
    assert read_checkpoint(previous_path(path))[1] == dict(step=2)
