"""Where calls with bad input run: files of all kinds (`write_files`), texts, loaders and learners (`make_names`)."""

import gzip
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import fastai_charrnn.all as charrnn
from fastai_charrnn.io.generator import load_generator

TEXT = "the quick brown fox jumps over the lazy dog. " * 40
_nobody = 65534  # a user without rights


@contextmanager
def quiet() -> Iterator[None]:
    "Without output and warnings."
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
        plt.close("all")


@contextmanager
def without_rights(wanted: bool) -> Iterator[None]:
    "As a user who may not write everywhere, if this process may: the administrator's does."
    if not wanted or os.geteuid():
        yield
        return
    os.seteuid(_nobody)
    try:
        yield
    finally:
        os.seteuid(0)


def write_files():
    "Files of all kinds in the current folder, which all users may enter."
    os.chmod(".", 0o755)
    contents = {
        "text.txt": TEXT.encode(),
        "empty.txt": b"",
        "spaces.txt": b"   \n  ",
        "latin-1.txt": "café ".encode("latin-1") * 200,
        "nul.txt": TEXT.encode() + b"\0",
        "crlf.txt": TEXT.replace(". ", ".\r\n").encode(),
        "bom.txt": b"\xef\xbb\xbf" + TEXT.encode(),
        "utf-16.txt": TEXT.encode("utf-16"),
        "surrogates.txt": b"\xed\xa0\x80" * 200,
        "broken.gz": gzip.compress(TEXT.encode())[:-20],
        "text.txt.gz": gzip.compress(TEXT.encode()),
        "locked.txt": TEXT.encode(),
        "empty.csv": b"",
        "header.csv": b"text,label\n",
        "texts.csv": b"text,label\n" + b"".join(b'"%s",%d\n' % (TEXT.encode(), i % 2) for i in range(4)),
        "holes.csv": b"text,label\nabc,1\n,2\n",
    }
    for name, content in contents.items():
        with open(name, "wb") as f:
            f.write(content)
    os.chmod("locked.txt", 0)
    for folder in ("folder", "no-texts", "locked"):
        os.mkdir(folder)
    with open("folder/a.txt", "w") as a, open("folder/b.txt", "w") as b:
        a.write(TEXT)
        b.write(TEXT)
    os.chmod("locked", 0o555)


def make_names() -> dict:
    "What calls can use."
    loaders = charrnn.CharDataLoaders.from_text
    names = vars(charrnn) | dict(np=np, pd=pd, text=TEXT, load_generator=load_generator)
    names["dls"] = loaders(TEXT, bs=32, device="cpu")
    names["every"] = loaders(TEXT, bs=32, target="every", device="cpu")
    names["streams"] = loaders(TEXT, bs=4, target="every", stateful=True, device="cpu")
    names["df"] = pd.DataFrame(dict(text=[TEXT] * 4, valid=[False, False, False, True]))
    names["many"] = "".join(map(chr, range(0x20000, 0x20000 + 100_000)))
    names["blocks"] = lambda **options: charrnn.DataBlock(
        charrnn.CharBlock(**options), splitter=charrnn.IndexSplitter([0])
    )
    for name, data in dict(learn="dls", every_learn="every", streams_learn="streams").items():
        names[name] = charrnn.char_learner(names[data], n_hid=8, emb_sz=4, seed=0, path=".")
        names[name].remove_cb(charrnn.ProgressCallback)
    return names
