"""Several documents as one encoded text: `encode_documents`.

Documents are encoded one after the other. `edges` has their borders: document i holds the characters from edges[i] to
edges[i+1]. Each ends with a separator character, added where it is missing. This module does not import torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._checks import check_seed, shown
from ..errors import DataError, UnknownCharError, VocabError
from .splits import as_numbers, check_valid_pct
from .vocab import PAD, CharVocab

__all__ = ["NamedTexts", "EncodedDocuments", "encode_documents", "check_sep", "choose_documents"]

_block_size = 2**20  # characters to encode at a time, as many documents are short


class NamedTexts(list):
    "Texts with a name for each, which errors use instead of a number."

    def __init__(
        self,
        texts: Sequence[str],  # the texts
        names: Sequence[str],  # a name for each
        how: str = "",  # how they were chosen to validate
    ):
        super().__init__(texts)
        self.names = list(names)
        self.how = how


@dataclass(frozen=True)
class EncodedDocuments:
    "Documents as one encoded text."

    ids: np.ndarray  # (n_chars,) as `CharVocab.encode` returns it
    edges: np.ndarray  # (n_documents+1,) int64: document i is at edges[i] to edges[i+1]
    vocab: CharVocab  # the meaning of the indices


def as_documents(
    texts: object,  # what a user passed: a list, a tuple, a column of a table …
    what: str = "document",  # what an error calls one of them
) -> Sequence[str]:
    "Return the documents of a collection. Raises `DataError` unless it is ordered and every item is a str."
    if isinstance(texts, (dict, set, frozenset, bytes)) or not (
        hasattr(texts, "__iter__") and hasattr(texts, "__len__")
    ):
        raise DataError(f"the texts must be a str or a list of str, not {type(texts).__name__}")
    if not isinstance(texts, (list, tuple)):
        texts = list(texts)
    wrong = [i for i, text in enumerate(texts) if not isinstance(text, str)]
    if wrong:
        first = texts[wrong[0]]
        way_out = "files are read by CharDataLoaders.from_files" if isinstance(first, Path) else "pass only str"
        raise DataError(
            f"{len(wrong):,} of {len(texts):,} {what}s are not a str, the first is number {wrong[0]} "
            f"({type(first).__name__} {first!r:.40}); {way_out}"
        )
    return texts


def check_sep(
    sep: str | None,  # what a user passed
    vocab: CharVocab | None = None,  # the characters allowed, or None for all
    unk: str = "error",  # as `CharVocab.encode`
) -> str:  # one character, or ""
    "Return a separator. Raises `DataError` unless it is a single character of `vocab`, an empty str or None."
    if sep is None or sep == "":
        return ""
    if not isinstance(sep, str) or len(sep) != 1 or sep == PAD:
        raise DataError(f'sep={shown(sep)} must be one character, such as "\\n", or None for no separator')
    if vocab is not None and sep not in vocab and unk == "error":
        raise DataError(f"sep={sep!r} is not in the vocabulary; pass sep=… with one of its characters, or sep=None")
    return sep


def choose_documents(
    n: int,  # the number of documents
    valid: str | Sequence[int],  # "random", or the numbers of the documents that validate
    valid_pct: float,  # the part of the documents that validates, for "random"
    seed: int,  # of "random"
) -> np.ndarray:  # (n_valid,) int64, sorted
    "The numbers of the documents that validate. Raises `DataError` if none is left to train or to validate on."
    if isinstance(valid, str):
        check_valid_pct(valid_pct)
        check_seed("seed", seed, 32)
        if valid != "random":
            raise DataError(
                f'valid={valid!r}: for several documents valid must be "tail", "random" or document numbers; '
                "valid_text=… passes documents to validate on"
            )
        numbers = np.random.RandomState(seed).permutation(n)[: max(int(valid_pct * n), 1)]
    else:
        numbers = _document_numbers(valid, n)
    if not 0 < len(numbers) < n:
        raise DataError(
            f"{len(numbers):,} of {n:,} documents validate; leave at least one to train on and one to validate on, "
            'or pass valid="tail", which can cut a document'
        )
    return np.sort(numbers).astype(np.int64)


def _document_numbers(valid, n):
    "Document numbers given by the user, distinct. Negative ones count from the end."
    numbers = as_numbers(valid, "document")
    outside = numbers[(numbers < -n) | (numbers >= n)]
    if outside.size:
        raise DataError(f"validation document {outside[0]} does not exist: there are {n:,}, numbered from 0")
    return np.unique(numbers % n)


def reordered(
    texts: Sequence[str],  # documents, or files
    numbers: np.ndarray,  # (k,) int64: those to move to the end
) -> list:  # the others, then these, each in their order
    "Move the validation documents behind the training documents."
    last = set(numbers.tolist())
    order = [i for i in range(len(texts)) if i not in last] + numbers.tolist()
    moved = [texts[i] for i in order]
    return NamedTexts(moved, [texts.names[i] for i in order]) if isinstance(texts, NamedTexts) else moved


def encode_documents(
    groups: Sequence[tuple[Sequence[str], str]],  # (documents, separator) of each group, from `check_sep`
    vocab: CharVocab | None = None,  # None: the characters of the documents and separators
    unk: str = "error",  # characters outside `vocab`: "error", "skip", or the known character to use for them
) -> EncodedDocuments:
    """Encode groups of documents one after the other, in blocks.

    Raises `UnknownCharError` or `VocabError`, which names the document, and `VocabError` if there is no text."""
    if vocab is None:
        vocab = _vocab_of(groups)
    vocab.check_unk(unk)
    lengths = []
    parts = []
    for first, names, block in _blocks(groups):
        ids = _encode_block(block, vocab, unk, first, names)
        whole = len(ids) == sum(map(len, block))
        lengths += [len(doc) if whole else len(vocab.encode(doc, unk=unk)) for doc in block]
        parts.append(ids)
    edges = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return EncodedDocuments(np.concatenate(parts), edges, vocab)


def _vocab_of(groups):
    "The characters of all documents. Raises `VocabError`."
    try:
        return CharVocab.from_pieces("".join(block) for _, _, block in _blocks(groups))
    except VocabError:
        for first, names, block in _blocks(groups):
            for i, doc in enumerate(block):
                if PAD in doc:
                    at = f"{_name(first + i, names)}, position {doc.index(PAD):,}"
                    raise VocabError(
                        f"{at}: the text contains the padding character '\\0'; remove it with text.replace('\\0', '')"
                    ) from None
        raise


def _encode_block(block, vocab, unk, first, names):
    try:
        return vocab.encode("".join(block), unk=unk)
    except UnknownCharError:
        for i, doc in enumerate(block):
            _encode_named(doc, vocab, unk, _name(first + i, names))
        raise


def _encode_named(doc, vocab, unk, name):
    try:
        vocab.encode(doc, unk=unk)
    except UnknownCharError as e:
        raise UnknownCharError(f"{name}: {e}", e.chars, e.positions) from None


def _name(i, names):
    return names[i] if names else f"document {i}"


def _blocks(groups) -> Iterator[tuple[int, Sequence[str], list[str]]]:
    "The documents with their separators, about 2**20 characters at a time: (number of the first, names, documents)."
    for docs, sep in groups:
        names = getattr(docs, "names", ())
        block = []
        size = 0
        for i, doc in enumerate(docs):
            # an empty document stays empty
            block.append(doc + sep if doc and not doc.endswith(sep) else doc)
            size += len(doc)
            if size >= _block_size:
                yield i + 1 - len(block), names, block
                block = []
                size = 0
        if block:
            yield len(docs) - len(block), names, block
