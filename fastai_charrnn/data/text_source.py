"""Encode what a user passes as text: one text, several documents, or an encoded file: `encode_source`.

A path, an address or a table raises a `DataError` that names the method to use.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .char_messages import is_large, warn_large
from .document_splits import DocumentSplit, split_documents
from .documents import as_documents, check_sep, choose_documents, encode_documents, reordered
from .encoded import EncodedFile
from .encoded_meta import read_edges
from .files import is_address
from .ids import CharIds, MappedIds
from .ids_file import damaged
from .vocab import CharVocab, check_vocab

__all__ = ["EncodedSource", "encode_source"]

_file_suffix = re.compile(r"\S+\.(txt|text|md|rst|csv|tsv|json|jsonl|html|xml|tex|py|gz|npy)", re.IGNORECASE)
_max_path = 4096  # characters of a longest path


class EncodedSource(NamedTuple):
    "A text in numbers."

    ids: CharIds | MappedIds  # the encoded text
    vocab: CharVocab  # the meaning of its indices
    documents: DocumentSplit | None  # its documents, if there are several


def encode_source(
    text: object,  # a text, several texts, or the result of `encode_file`
    valid_text: object = None,  # a text or several to validate on
    valid: str | Sequence[int] = "tail",  # for documents: "tail", "random" or the numbers of those that validate
    valid_pct: float = 0.1,  # the part that validates
    seed: int = 42,  # of "random"
    vocab: CharVocab | None = None,  # None: the characters of all texts
    unk: str = "error",  # characters outside `vocab`: "error", "skip", or the known character to use for them
    sep: str | None = "\n",  # ends each document of several
) -> EncodedSource:
    "Encode a text or documents, those that validate last. Raises `DataError`, `VocabError`, `UnknownCharError`."
    if valid_text is not None and not (isinstance(valid, str) and valid == "tail"):
        raise DataError(f"valid_text is what validates; leave out valid={valid!r:.40}")
    if isinstance(text, EncodedFile):
        return _encoded_file(text, valid_text, valid, valid_pct, vocab)
    check_vocab(vocab)
    for passed in (text, valid_text):
        _check_is_no_place(passed)
    if valid_text is None and _is_one_text(text):
        vocab = CharVocab.from_text(text) if vocab is None else vocab
        return EncodedSource(_in_memory(vocab.encode(text, unk=unk), vocab), vocab, None)
    sep = check_sep(sep, vocab, unk)
    return _encode_documents(text, valid_text, valid, valid_pct, seed, vocab, unk, sep)


def _is_one_text(text):
    # what is not a text is reported by the vocabulary
    return isinstance(text, (str, bytes)) or not hasattr(text, "__iter__")


def _encode_documents(text, valid_text, valid, valid_pct, seed, vocab, unk, sep):
    train, train_sep = _group(text, "document", sep)
    how = ""
    n_valid = None
    groups = [(train, train_sep)]
    if valid_text is not None:
        group = _group(valid_text, "validation document", sep)
        groups.append(group)
        n_valid = len(group[0])
        how = getattr(valid_text, "how", "given for validation")
    elif not (isinstance(valid, str) and valid == "tail"):
        numbers = choose_documents(len(train), valid, valid_pct, seed)
        n_valid = len(numbers)
        how = f"drawn at random, seed {seed}" if isinstance(valid, str) else "given by number"
        groups = [(reordered(train, numbers), train_sep)]
    encoded = encode_documents(groups, vocab, unk)
    split = split_documents(encoded.edges, valid_pct, n_valid, how)
    return EncodedSource(_in_memory(encoded.ids, encoded.vocab, split.edges), encoded.vocab, split)


def _group(text, what, sep):
    "The documents of one part and what ends each. A single text is one document without a separator."
    if isinstance(text, str):
        if not text:
            raise DataError(f"the {what} is empty; give a text with characters")
        return [text], ""
    docs = as_documents(text, what)
    if not any(docs):
        found = f"all {len(docs):,} {what}s are empty" if len(docs) else f"there are no {what}s"
        raise DataError(f"{found}; pass at least one text")
    return docs, sep


def _in_memory(ids, vocab, edges=None):
    if is_large(vocab):
        warn_large(vocab, np.bincount(ids, minlength=len(vocab)))
    return CharIds.from_array(ids, edges)


def _encoded_file(file, valid_text, valid, valid_pct, vocab):
    if vocab not in (None, file.vocab):
        raise DataError("an encoded text comes with its vocabulary; pass vocab=… to encode_file instead")
    if valid_text is not None:
        raise DataError(
            "valid_text cannot be added to an encoded file; pass CharDataLoaders.from_files(valid_fnames=…)"
        )
    documents = None
    if file.edges is not None:
        if not (isinstance(valid, str) and valid == "tail"):
            raise DataError(
                f'valid={valid!r:.40}: the files of an encoded text keep their order; pass valid="tail", '
                "or let CharDataLoaders.from_files encode them"
            )
        edges = read_edges(file.edges, file.check, file.n_chars)
        documents = split_documents(edges, valid_pct, file.n_valid, file.how)
    ids = MappedIds(file.path, documents.edges if documents else None, file.check)
    if len(ids) != file.n_chars:
        raise damaged(file.path, f"has {len(ids):,} characters instead of {file.n_chars:,}")
    return EncodedSource(ids, file.vocab, documents)


def _check_is_no_place(text):
    "Raise `DataError` for a path, an address or a table, which other methods read."
    if hasattr(text, "columns"):
        raise DataError("a table is not a text; pass it to CharDataLoaders.from_df")
    method = _method_for(text)
    if method is None and isinstance(text, (list, tuple)) and len(text) and _method_for(text[0]) == "from_file":
        method = "from_files"
    if method:
        raise DataError(
            f"text={text!r:.80} is not a text; pass it to CharDataLoaders.{method}, which reads what it points to"
        )


def _method_for(text):
    "The name of the method that reads what `text` points to, or None for a text."
    if isinstance(text, os.PathLike):
        return "from_folder" if os.path.isdir(text) else "from_file"
    if not isinstance(text, str) or len(text) > _max_path or "\n" in text or "\0" in text:
        return None
    if is_address(text):
        return "from_url"
    if os.path.isdir(text):
        return "from_folder"
    return "from_file" if os.path.isfile(text) or _file_suffix.fullmatch(text) else None
