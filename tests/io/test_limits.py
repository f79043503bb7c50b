"""A file that declares much and holds little is refused at once, and the largest that is allowed works."""

import json
import math

import pytest
import torch
from model_files import changed_copy
from raw_files import read_raw, to_bytes

from fastai_charrnn.all import (
    CharDataLoaders,
    CharRnnWarning,
    CharVocab,
    ModelFileError,
    char_learner,
    describe_model,
    load_model,
    save_model,
)
from fastai_charrnn.io import limits
from fastai_charrnn.io.generator import load_generator


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("limits") / "model")


HUGE = [
    (lambda d: d.update(seq_len=10**9), "seq_len=1000000000 is not from 1 to 65,536"),
    (lambda d: d.update(seq_len=limits.MAX_SEQ_LEN), "seq_len=65,536 is longer than its text of"),
    (lambda d: d["config"].update(n_layers=10**6), "n_layers=1000000 is not from 1 to 100"),
    (lambda d: d["config"].update(n_layers=0), "n_layers=0 is not from 1 to 100"),
    (lambda d: d["config"].update(n_layers=100), "it has 7 tensors, and its description needs many more|'upper.0.rnn"),
    (
        lambda d: d.update(arch="ensemble", config=d["config"] | dict(arch="lstm", n_models=100, n_layers=100)),
        "it has 7 tensors, and its description needs many more",
    ),
    (lambda d: d.update(arch="ensemble", config=d["config"] | dict(n_models=10**9)), "n_models=1000000000 is not"),
    (lambda d: d["config"].update(n_hid=10**15), "its description needs|not enough memory"),
    (lambda d: d["config"].update(output_p=float("nan")), "config has 'output_p': nan"),
    (lambda d: d["config"].update(layer_norm="yes"), "layer_norm='yes' is neither True nor False"),
    (lambda d: d["config"].update(emb_sz=True), "emb_sz=True is not a whole number"),
    (lambda d: d["config"].pop("n_hid"), "n_hid=None is not a whole number"),
    (lambda d: d.update(vocab=["\0"] + ["x"] * limits.MAX_VOCAB), "the vocabulary has 200,001 characters"),
    (lambda d: d.update(vocab=["\0", 1]), "the vocabulary has 1, which is no character"),
    (lambda d: d.update(vocab=["\0", "aa", "aa"]), "2 entries of the vocabulary are not single characters"),
    (lambda d: d["vocab"].append("a"), "duplicate character 'a'"),
    (lambda d: d.update(stateful=True), "stateful=True needs target='every'"),
    (lambda d: d["training"].update(log=3), r"training.log is 3, which is no list of epochs"),
    (lambda d: d["training"].update(log=[{"valid_loss": "x"}]), "training.log has 'valid_loss': 'x'"),
    (lambda d: d["training"].update(bs=10**30), r"training has bs=1\d*, which is no batch size"),
    (lambda d: d["data"].update(n_chars="many"), "data has n_chars='many'"),
    (lambda d: d["data"].update(spans=[[[5, 3]], []]), r"data has the span \[5, 3\]"),
    (lambda d: d["data"].update(digest=7), "data has digest=7"),
    (lambda d: d["data"].update(ngram_loss="low"), "data has ngram_loss='low', which is no loss"),
    (lambda d: d["data"].update(ngram_loss=math.nan), "data has ngram_loss=nan"),
    (lambda d: d["data"].update(ngram_context=-1), "data has ngram_context=-1"),
    (lambda d: d["training"].update(prompts=["a", 7]), "training has prompts=.*no short texts"),
    (lambda d: d["training"].update(units=[dict(unit=-1, tracks="caps", score=0.5)]), "training has units="),
    (lambda d: d["training"].update(units=[dict(unit=1, tracks="caps")]), "training has units="),
    (lambda d: d["data"].update(document_digests=dict(train=[1])), "document_digests of data are"),
    (lambda d: d["data"].update(earlier=[dict(earlier=[])]), "earlier data inside earlier data"),
    (lambda d: d["data"].update(x=[[]] * 600_000), "it has more than 500,000 values"),
    (lambda d: d["versions"].update(torch=2), "versions has 'torch': 2"),
]


@pytest.mark.parametrize("change, message", HUGE, ids=range(len(HUGE)))
def test_wrong_fields_are_refused_before_anything_is_built(path, tmp_path, change, message):
    with pytest.raises(ModelFileError, match=message):
        load_model(changed_copy(path, tmp_path / "m.safetensors", change))


@pytest.mark.parametrize(
    "text, message",
    [
        ("[" * 10**5, "nested more than 20 deep"),
        ('{"a":' * 30 + "1" + "}" * 30, "nested more than 20 deep"),
        ('{"format": 3, "format": 3}', "a name occurs twice"),
        ("[]", "it is no JSON object"),
        ('{"format": 3}', "the fields arch, config, seq_len, target, stateful, vocab, data, training, versions are"),
        (f'{{"format": {"9" * 5000}}}', "integer string conversion"),
        ("", "Expecting value"),
    ],
)
def test_descriptions_that_are_no_description_are_refused(path, tmp_path, text, message):
    (tmp_path / "m.safetensors").write_bytes(to_bytes(read_raw(path), text))
    with pytest.raises(ModelFileError, match=message):
        describe_model(tmp_path / "m")


def _header(entries):
    header = json.dumps(entries).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "raw, message",
    [
        (b"", "it has 0 bytes"),
        (_header({}), "it holds tensors but no description|holds tensors but no description"),
        (_header([]), "its header is no JSON object"),
        (_header({"__metadata__": {"charrnn": 3}}), "its metadata is not made of texts"),
        (_header({"a": {}}), "tensor 'a' needs dtype, shape and data_offsets"),
        (_header({"a": dict(dtype="F32", shape=[10**12], data_offsets=[0, 4 * 10**12])}), "and it holds 0"),
        (_header({"a": dict(dtype="F32", shape=[2], data_offsets=[0, 4])}) + bytes(4), "needs 8 bytes and has"),
        (_header({"a": dict(dtype="F32", shape=[True], data_offsets=[0, 4])}) + bytes(4), r"has the shape \[True\]"),
        (_header({"a": dict(dtype="F8", shape=[4], data_offsets=[0, 4])}) + bytes(4), "has the dtype 'F8'"),
        (_header({n: dict(dtype="U8", shape=[4], data_offsets=[0, 4]) for n in "ab"}) + bytes(4), "begins at byte 0"),
        (_header({f"{n}": dict(dtype="U8", shape=[0], data_offsets=[0, 0]) for n in range(5000)}), "5,000 tensors"),
        ((2**24).to_bytes(8, "little") + b" " * 2**24, "its header has 16,777,216 bytes"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, raw, message):
    (tmp_path / "m.safetensors").write_bytes(raw)
    with pytest.raises(ModelFileError, match=message):
        describe_model(tmp_path / "m")


def test_a_vocabulary_of_100_000_characters_is_saved_and_loaded(tmp_path):
    chars = [chr(i) for i in range(0x20, 0x20000) if not 0xD800 <= i < 0xE000][:100_000]
    with pytest.warns(CharRnnWarning, match="100,000 distinct characters"):
        dls = CharDataLoaders.from_text("".join(chars), bs=64, device="cpu", vocab=CharVocab(["\0", *chars]))
    learn = char_learner(dls, "rnn", n_hid=2, emb_sz=2)
    generator = load_generator(save_model(learn, tmp_path / "m"), device="cpu")
    assert generator.dls.vocab == learn.dls.vocab


def test_booleans_of_a_file_are_booleans(tmp_path):
    from fastai_charrnn.io.tensor_file import open_tensors

    entry = dict(dtype="BOOL", shape=[4], data_offsets=[0, 4])
    (tmp_path / "right").write_bytes(_header({"a": entry}) + bytes([0, 1, 1, 0]))
    (tmp_path / "wrong").write_bytes(_header({"a": entry}) + bytes([0, 1, 7, 0]))
    with open_tensors(tmp_path / "right") as file:
        assert file.read("a").equal(torch.tensor([False, True, True, False]))
    with pytest.raises(ModelFileError, match="other values than 0 and 1"), open_tensors(tmp_path / "wrong") as file:
        file.read("a")
