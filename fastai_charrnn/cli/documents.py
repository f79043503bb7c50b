"""Recognise the documents that a model was trained on: `store_digests`, `parts_of`; join them as training does."""

from collections.abc import Sequence
from itertools import accumulate

from ..data.ids import CharIds
from ..data.vocab import CharVocab
from ..errors import UnknownCharError

__all__ = ["store_digests", "text_digest", "parts_of", "trained_documents", "validating_documents", "joined", "inside"]

_n_digits = 16  # hexadecimal digits of a digest that are stored


def store_digests(
    info: dict,  # the description of the data, with the number of `documents` in each part
    digests: Sequence[str],  # of all documents, those that validate last
):
    "Add a short checksum of each document to a description of data. A document that is cut belongs to both parts."
    n_train = info["documents"]["train"]
    n_valid = info["documents"]["valid"]
    digests = [digest[:_n_digits] for digest in digests]
    info["document_digests"] = dict(train=digests[:n_train], valid=digests[len(digests) - n_valid :])


def parts_of(
    info: dict,  # the description of a model's data
    vocab: CharVocab,  # of the model
    text: str,  # a document
) -> set[str]:  # of "train" and "valid"; empty for another text
    "The parts of the data that contain a document. Data of an earlier training counts too."
    try:
        digest = text_digest(text, vocab)[:_n_digits]
    except UnknownCharError:
        return set()
    infos = [info, *info.get("earlier", ())]
    return {
        part for part in ("train", "valid") if any(digest in o.get("document_digests", {}).get(part, ()) for o in infos)
    }


def trained_documents(
    infos: Sequence[dict],  # descriptions of data
) -> set[str]:
    "The digests of all documents that trained, whole or in part, and of texts that were not several documents."
    digests = {digest for info in infos for digest in info.get("document_digests", {}).get("train", ())}
    return digests | {info["digest"][:_n_digits] for info in infos if _is_one_text(info)}


def validating_documents(
    info: dict,  # a description of data
) -> set[str]:
    "The digests of the documents that validate, or of the one text, of which a part validates."
    if _is_one_text(info):
        return {info["digest"][:_n_digits]}
    return set(info.get("document_digests", {}).get("valid", ()))


def _is_one_text(info):
    return "digest" in info and "documents" not in info


def text_digest(
    text: str,  # a document
    vocab: CharVocab,  # of the model
) -> str:  # sha256, in hexadecimal
    "The checksum of a document as a model reads it. Raises `UnknownCharError`."
    return CharIds.from_array(vocab.encode(text)).digest


def joined(
    texts: Sequence[str],  # documents
) -> tuple[str, list[tuple[int, int]]]:  # the text, and (begin, end) of each document in it
    "Join documents as `CharDataLoaders.from_text` does: each ends with a line break. One text stays as it is."
    if len(texts) > 1:
        texts = [text if text.endswith("\n") or not text else f"{text}\n" for text in texts]
    edges = [0, *accumulate(map(len, texts))]
    return "".join(texts), list(zip(edges, edges[1:]))


def inside(
    documents: Sequence[tuple[int, int]],  # (begin, end) of each
    spans: Sequence[tuple[int, int]],  # (begin, end) of parts of a text
) -> list[tuple[int, int]]:  # (begin, end), in order
    "The parts of spans that are inside one document each."
    pieces = [(max(begin, a), min(end, b)) for begin, end in spans for a, b in documents]
    return [(begin, end) for begin, end in pieces if begin < end]
