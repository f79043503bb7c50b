"""Loaders over several files and over folders, in memory and on disk."""

import gzip
import inspect
import warnings

import numpy as np
import pytest
import torch

from fastai_charrnn.all import CharDataLoaders, CharVocab, encode_file
from fastai_charrnn.errors import CharRnnWarning, CorpusError, DataError, UnknownCharError

TEXTS = {f"{letter}.txt": f"{letter * 30}{letter.upper() * 5}" for letter in "abcdefghij"}
MMAP = pytest.mark.parametrize("mmap", [False, True], ids=["memory", "disk"])


@pytest.fixture
def fnames(tmp_path):
    return [_write(tmp_path / name, text) for name, text in TEXTS.items()]


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _loaders(fnames, method="from_files", **options):
    return getattr(CharDataLoaders, method)(fnames, **(dict(seq_len=4, bs=8, device="cpu") | options))


def _letters(ds):
    "The letters of all windows of a dataset."
    starts = torch.as_tensor(ds.starts[:])
    chars = next(ds.ids.gather(starts, ds.seq_len + 1, len(starts)))
    return set(ds.vocab.decode(chars).lower()) - {"\n"}


@MMAP
@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(valid="random", valid_pct=0.3, seed=3),
        dict(valid=[0, -1]),
        dict(sep="|"),
        dict(sep=None),
        dict(target="every"),
        dict(target="every", stateful=True, bs=2),
        dict(target="every", stateful=True, bs=2, valid="random"),
    ],
    ids=str,
)
def test_files_are_read_as_their_texts_in_a_list(fnames, options, mmap):
    found = _loaders(fnames, mmap=mmap, **options)
    expected = _loaders(list(TEXTS.values()), "from_text", **options)
    assert repr(found) == repr(expected)
    assert found.vocab == expected.vocab
    assert found.audit().shared == 0
    for a, b in zip(found.valid, expected.valid, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    for dls in (found, expected):
        dls.train.seed(0)
    for a, b in zip(found.train, expected.train, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


@MMAP
def test_validation_files_validate_and_the_others_train(fnames, mmap):
    dls = _loaders(fnames[:3], valid_fnames=fnames[3:5], mmap=mmap)
    assert _letters(dls.train_ds) == set("abc")
    assert _letters(dls.valid_ds) == set("de")
    assert "2 of 5 documents, given for validation" in repr(dls)


@MMAP
def test_gzipped_and_empty_files_are_read_among_others(fnames, tmp_path, mmap):
    packed = tmp_path / "k.gz"
    with gzip.open(packed, "wt", encoding="utf-8") as f:
        f.write("k" * 30)
    empty = _write(tmp_path / "empty.txt", "")
    with pytest.warns(CharRnnWarning, match="1 of 12 documents have fewer than 5 characters"):
        dls = _loaders([empty, packed, *fnames], mmap=mmap)
    assert _letters(dls.train_ds) == set("kabcdefghi")


def test_files_are_encoded_once_and_again_when_one_changes(fnames):
    first = encode_file(fnames)
    before = first.path.stat().st_mtime_ns, first.edges.stat().st_mtime_ns
    assert encode_file(fnames) == first
    assert (first.path.stat().st_mtime_ns, first.edges.stat().st_mtime_ns) == before
    assert np.load(first.edges).tolist() == list(range(0, 361, 36))
    fnames[0].touch()
    assert encode_file(fnames).path.stat().st_mtime_ns == before[0]
    for text, length in (("z" * 35, 36), ("z" * 50, 51)):
        fnames[0].write_text(text)
        encoded = encode_file(fnames)
        ids = np.load(encoded.path)
        assert encoded.vocab.decode(ids[:length]) == text + "\n"
        assert np.load(encoded.edges)[1] == length
    encoded.edges.unlink()
    assert len(np.load(encode_file(fnames).edges)) == 11


def test_other_files_order_and_separator_have_results_of_their_own(fnames, tmp_path):
    cache = tmp_path / "cache"
    results = [encode_file(names, cache=cache) for names in (fnames, fnames[::-1], fnames[:-1], fnames[:1])]
    results += [encode_file(fnames, cache=cache, sep="|"), encode_file(fnames[0], cache=cache)]
    assert len({encoded.path for encoded in results}) == 6
    assert results[-1].edges is None


def test_the_files_of_an_encoded_text_keep_their_order(fnames):
    encoded = encode_file(fnames)
    assert "the last 1 of 10 documents" in repr(_loaders(encoded, "from_text"))
    with pytest.raises(DataError, match="valid='random': the files of an encoded text keep their order"):
        _loaders(encoded, "from_text", valid="random")
    with pytest.raises(DataError, match="pass CharDataLoaders.from_files"):
        _loaders(encoded, "from_text", valid_text="abc")


@MMAP
def test_errors_name_the_file(fnames, tmp_path, mmap):
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"abc\xff")
    with pytest.raises(CorpusError, match="bad.txt is not valid utf-8: byte 0xff at position 3"):
        _loaders([*fnames, bad], mmap=mmap)
    with pytest.raises(CorpusError, match="cannot read .*none.txt"):
        _loaders([*fnames, tmp_path / "none.txt"], mmap=mmap)
    with pytest.raises(UnknownCharError, match=r"b\.txt: 'b' \(U\+0062\) at position 0"):
        _loaders(fnames, vocab=CharVocab.from_text("aA\n"), mmap=mmap)
    with pytest.raises(DataError, match=r"sep='\\n' is not in the vocabulary; pass sep="):
        _loaders(fnames, vocab=CharVocab.from_text("".join(TEXTS.values())), mmap=mmap)


@MMAP
def test_changed_line_ends_are_reported_once_for_all_files(tmp_path, mmap):
    fnames = [tmp_path / f"{i}.txt" for i in range(5)]
    for fname in fnames:
        fname.write_bytes(b"some text\r\n" * 4)
    with pytest.warns(CharRnnWarning, match="5 of 5 files were changed while reading, the first: .*0.txt: 4 CRLF") as w:
        _loaders(fnames, mmap=mmap)
    assert [x.filename for x in w if x.category is CharRnnWarning] == [__file__]


def test_other_arguments_name_the_method_to_use(fnames, tmp_path):
    for call, message in (
        (lambda: _loaders("https://example.org/a.txt", "from_file"), "is an address, not a file.*from_url"),
        (lambda: _loaders(["https://example.org/a.txt"]), "is an address, not a file.*from_url"),
        (lambda: _loaders(tmp_path, "from_file"), "is a folder, not a file.*from_folder"),
        (lambda: _loaders([tmp_path]), "is a folder, not a file.*from_folder"),
        (lambda: _loaders(fnames, "from_file"), "these are several files.*from_files"),
        (lambda: _loaders(3, "from_file"), "3 is not a path"),
        (lambda: _loaders([]), "there are no files"),
        (lambda: _loaders(fnames, valid_fnames=[]), "there are no validation files"),
        (lambda: _loaders(set(fnames)), "fnames must be a list of paths, not set"),
        (lambda: _loaders([*fnames, fnames[2]]), "c.txt is given twice; leave one out"),
        (lambda: _loaders(fnames, valid_fnames=[fnames[0]]), "a.txt is given to train and to validate on"),
        (lambda: _loaders(fnames, valid_fnames=fnames, valid="random"), "leave out valid='random'"),
        (lambda: _loaders(fnames[0], "from_folder"), "is not a folder; from_file reads one file"),
        (lambda: _loaders(tmp_path / "none", "from_folder"), "none is not a folder"),
        (
            lambda: _loaders(tmp_path, "from_folder", extensions=".md"),
            "no files that end in .md; its files end in .txt",
        ),
        (lambda: _loaders(tmp_path, "from_folder", valid="other"), "there are no folders .*train and .*other"),
    ):
        with pytest.raises(DataError, match=message):
            call()


@MMAP
def test_a_folder_is_read_in_sorted_order_without_hidden_files(fnames, tmp_path, mmap):
    _write(tmp_path / ".hidden.txt", "x" * 40)
    _write(tmp_path / ".git" / "x.txt", "x" * 40)
    _write(tmp_path / "notes.md", "x" * 40)
    _write(tmp_path / "z" / "k.TXT", "k" * 40)
    for _ in range(2):  # the second time with the encoded text in the folder
        dls = _loaders(tmp_path, "from_folder", mmap=mmap, extensions=None if mmap else (".txt",))
        assert dls.path == tmp_path
        assert _letters(dls.valid_ds) == {"k"}
        assert _letters(dls.train_ds) == set("abcdefghijx" if mmap else "abcdefghij")
    flat = _loaders(tmp_path, "from_folder", recurse=False, mmap=mmap)
    assert _letters(flat.valid_ds) == {"j"}


def test_folders_train_and_valid_are_used_if_there_are_both(fnames, tmp_path):
    _write(tmp_path / "train" / "one.txt", "v" * 40)
    assert "of 11 documents" in repr(_loaders(tmp_path, "from_folder"))
    _write(tmp_path / "valid" / "two.txt", "w" * 40)
    dls = _loaders(tmp_path, "from_folder")
    assert _letters(dls.train_ds) == {"v"}
    assert _letters(dls.valid_ds) == {"w"}
    named = _loaders(tmp_path, "from_folder", train="valid", valid="train")
    assert _letters(named.train_ds) == {"w"}
    assert "of 12 documents" in repr(_loaders(tmp_path, "from_folder", valid_pct=0.1))
    assert "drawn at random" in repr(_loaders(tmp_path, "from_folder", valid="random"))


def test_gzipped_files_have_the_extension_below(tmp_path):
    for name in ("a.txt.gz", "b.gz"):
        with gzip.open(tmp_path / name, "wt") as f:
            f.write(name[0] * 100)
    dls = _loaders(tmp_path, "from_folder")
    assert _letters(dls.train_ds) == {"a"}
    both = _loaders(tmp_path, "from_folder", extensions=["txt", ".gz"], valid=[1])
    assert _letters(both.valid_ds) == {"b"}


def test_a_damaged_gzip_file_is_an_error(tmp_path):
    whole = gzip.compress(b"some text " * 1000)
    for name, raw in (("cut.txt", whole[:-20]), ("changed.txt", whole[:20] + b"\0\0" + whole[22:])):
        (tmp_path / name).write_bytes(raw)
        for mmap in (False, True):
            with pytest.raises(CorpusError, match=f"{name} is a damaged gzip file"):
                _loaders(tmp_path / name, "from_file", mmap=mmap)


def test_files_of_64_mb_in_total_stay_on_disk(fnames, monkeypatch):
    monkeypatch.setattr("fastai_charrnn.data.loaders._min_mapped", 10 * 35)
    assert type(_loaders(fnames).train_ds.ids).__name__ == "MappedIds"
    assert type(_loaders(fnames[:-1]).train_ds.ids).__name__ == "CharIds"


@pytest.mark.parametrize("method", ["from_file", "from_files", "from_folder", "from_df", "from_csv", "from_url"])
def test_signatures_show_the_options_of_from_text(method):
    params = inspect.signature(getattr(CharDataLoaders, method)).parameters
    assert {"seq_len", "bs", "valid_pct", "target", "stateful", "vocab", "device"} <= set(params)
    assert "text" not in params


def test_reading_files_does_not_warn_without_a_reason(fnames):
    with warnings.catch_warnings():
        warnings.simplefilter("error", CharRnnWarning)
        _loaders(fnames)
