"""A text on disk gives the same batches as a text in memory."""

import pickle
import warnings

import numpy as np
import pytest
import torch

from fastai_charrnn.data import ids as ids_module
from fastai_charrnn.data.ids import CharIds, MappedIds
from fastai_charrnn.data.loaders import CharDataLoaders
from fastai_charrnn.data.vocab import CharVocab


def test_ids_take_the_fewest_bytes_and_are_shared(dls):
    assert dls.train_ds.ids.data.dtype == torch.uint8
    assert dls.train_ds.ids is dls.valid_ds.ids


def test_a_large_vocabulary_takes_two_bytes():
    text = "".join(map(chr, range(1, 400))) * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dls = CharDataLoaders.from_text(text, bs=8, device="cpu")
    assert dls.train_ds.ids.data.dtype == torch.int16
    assert CharIds.from_array(CharVocab.from_text(text).encode(text)).data.max() == 399


@pytest.mark.gpu
def test_the_text_is_on_the_gpu_once(small):
    dls = CharDataLoaders.from_text(small, device="cuda")
    x, _ = dls.one_batch()
    assert x.is_cuda
    assert dls.train_ds.ids.data.is_cuda
    assert dls.train_ds.ids is dls.valid_ds.ids


@pytest.mark.parametrize("valid", ["random", "tail", "blocks", "last", [3, 5, -1]])
def test_batches_from_disk_equal_batches_from_memory(tmp_path, small, valid):
    path = tmp_path / "small.txt"
    path.write_text(small, encoding="utf-8")
    on_disk, in_memory = (
        CharDataLoaders.from_file(path, mmap=mmap, bs=100, valid=valid, device="cpu") for mmap in (True, False)
    )
    assert isinstance(on_disk.train_ds.ids, MappedIds)
    assert isinstance(in_memory.train_ds.ids, CharIds)
    assert on_disk.vocab == in_memory.vocab
    assert repr(on_disk) == repr(in_memory)
    assert repr(on_disk.audit()) == repr(in_memory.audit())
    for disk_dl, memory_dl in zip(on_disk.loaders, in_memory.loaders):
        assert len(disk_dl) == len(memory_dl)
        for batch, expected in zip(disk_dl.seed(1), memory_dl.seed(1), strict=True):
            for tensor, expected_tensor in zip(batch, expected, strict=True):
                assert torch.equal(tensor, expected_tensor)
                assert tensor.dtype == torch.int64


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
@pytest.mark.parametrize("piece_bytes", [1, 100, 2**24])
def test_a_scan_and_separate_reads_gather_the_same(tmp_path, monkeypatch, piece_bytes, dtype):
    monkeypatch.setattr(ids_module, "_piece_bytes", piece_bytes)
    array = np.random.default_rng(0).integers(0, 200, 5_000).astype(dtype)
    np.save(tmp_path / "ids.npy", array)
    ids = MappedIds(tmp_path / "ids.npy")
    starts = torch.from_numpy(np.random.default_rng(1).integers(0, 5_000 - 6, 300))
    starts[:3] = torch.tensor([0, 5_000 - 7, 0])
    expected = torch.from_numpy(array).unfold(0, 7, 1)[starts]
    for read in (ids._scan, ids.file.read_each):
        stretches = read(starts.numpy(), 7)
        assert np.array_equal(stretches, expected)
        assert stretches.dtype == dtype
    assert torch.equal(torch.cat(list(ids.gather(starts, 7, 64))), expected)
    unpickled = pickle.loads(pickle.dumps(ids))
    assert torch.equal(next(unpickled.gather(starts, 7, 300)), expected)
