"""The texts of one training: `Corpus`, read from FILE and --valid or from --corpus, and how they are split.

Large texts are not read into memory: they are a `cli.stored_corpus.StoredCorpus`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..data.corpus import human_numbers, nietzsche, python_reference
from ..data.documents import NamedTexts, choose_documents, reordered
from ..data.files import check_distinct
from ..data.loaders import CharDataLoaders
from ..data.text_file import read_text
from ..data.vocab import CharVocab
from ..errors import DownloadError
from .checks import SPLITS, training_minutes
from .documents import store_digests, text_digest
from .stored_corpus import StoredCorpus, is_large
from .text_parts import bytes_in, fitting_texts
from .texts import STDIN, find_files, read_texts, store_stdin

__all__ = ["Corpus", "read_corpus"]

# seconds to wait for a download that nobody asked for
_download_timeout = 10
# the part of `--minutes` in which a large text is read
_reading_part = 0.06
# bytes that are read in any case
_min_read = 2**24
# how much of that is read of texts that validate
_valid_part = 0.2


@dataclass(frozen=True)
class Corpus:
    "Texts to train on, and perhaps texts to validate on."

    text: str | NamedTexts  # one text, or several documents
    valid_text: NamedTexts | None = None  # None: a part of `text`
    valid: str = "tail"  # which part, as `CharDataLoaders.from_text`
    valid_pct: float = 0.1  # how much of it
    note: str = ""  # which corpus was chosen if none was asked for

    @property
    def n_chars(self) -> int:
        "The size of the text, as recipes count it: with a tenth to validate on."
        size = len(self.text) if isinstance(self.text, str) else sum(map(len, self.text))
        n_train = size * (1 - self.valid_pct) if self.valid_text is None else size
        return round(n_train / 0.9)

    @property
    def pieces(self) -> list[str]:
        "All texts."
        texts = [self.text] if isinstance(self.text, str) else list(self.text)
        return texts + list(self.valid_text or ())

    @property
    def chars(self) -> set[str]:
        "All characters."
        return set().union(*map(set, self.pieces))

    def in_vocab(
        self,
        vocab: CharVocab,  # of a model, extended by the characters of the texts
    ) -> "Corpus":
        "The corpus for loaders of another vocabulary: itself, as texts are encoded by the loaders."
        return self

    def split(self) -> dict:
        "The arguments of `CharDataLoaders.from_text` that say what validates."
        if self.valid_text is not None:
            return dict(valid_text=self.valid_text)
        return dict(valid=self.valid, valid_pct=self.valid_pct)

    def describe_in(
        self,
        dls: CharDataLoaders,  # made of these texts
    ):
        "Store in the description of the data what identifies each document, for `charrnn evaluate`."
        if "documents" in dls.train_ds.info:
            store_digests(dls.train_ds.info, [text_digest(text, dls.vocab) for text in self.pieces])


def read_corpus(
    args,  # parsed arguments of `charrnn train`
    folder: Path,  # for what does not fit in memory; made if it is needed
) -> Corpus | StoredCorpus:
    "Read all texts. Raises `CorpusError`, `DataError` and `DownloadError`."
    if args.files:
        return _from_files(args, folder)
    pct = 0.1 if args.valid_pct is None else args.valid_pct
    valid = args.valid[0] if args.valid else "tail"
    if args.corpus == "human_numbers":
        text = human_numbers()
        # the course validates on the numbers from 8,001
        pct = len(human_numbers("valid")) / len(text) if args.valid_pct is None else pct
        return Corpus(text, valid=valid, valid_pct=pct)
    if args.corpus == "python_reference":
        return Corpus(python_reference(), valid=valid, valid_pct=pct)
    if args.corpus == "nietzsche":
        return Corpus(read_text(nietzsche()), valid=valid, valid_pct=pct)
    text, note = _default_text()
    return Corpus(text, valid=valid, valid_pct=pct, note=note)


class _Files(NamedTuple):
    "The files of a training."

    train: list[str]
    valid: list[str]  # empty: a part of `train` validates
    how: str  # how those that validate were chosen


def _from_files(args, folder):
    files = _named_files(args)
    encoding = args.encoding or "utf-8"
    stdin = store_stdin(folder / "standard input") if STDIN in files.train + files.valid else None
    valid = args.valid[0] if args.valid and not files.valid else "tail"
    paths, valid_paths = ([stdin if file == STDIN else file for file in part] for part in files[:2])
    if is_large(paths + valid_paths):
        paths, note = _in_time(args, paths, 1.0, folder / "train")
        valid_paths, valid_note = _in_time(args, valid_paths, _valid_part, folder / "valid")
        note = "\n".join(filter(None, [note, valid_note]))
        return StoredCorpus.encoded(paths, valid_paths, files.how, encoding, folder, valid, args.valid_pct, note)
    texts = read_texts(files.train, encoding, stdin)
    text = texts if len(texts) > 1 else texts[0]
    if not files.valid:
        return Corpus(text, valid=valid, valid_pct=0.1 if args.valid_pct is None else args.valid_pct)
    valid_texts = read_texts(files.valid, encoding, stdin)
    valid_texts.how = files.how
    return Corpus(text, valid_texts)


def _in_time(args, paths, part, folder):
    "Texts that the time of `--minutes` allows to read: those that train, or a part of so many bytes."
    minutes = training_minutes(args)
    if not minutes or not paths:
        return paths, ""
    encoding = args.encoding or "utf-8"
    if args.max_bytes is None:
        # kept among the options, because a resumed training reads the same
        args.max_bytes = max(bytes_in(paths[0], encoding, _reading_part * 60 * minutes), _min_read)
    return fitting_texts(paths, encoding, int(part * args.max_bytes), folder)


def _named_files(args):
    "The files that train and those that validate."
    encoding = args.encoding or "utf-8"
    valid = args.valid or ["tail"]
    train = find_files(args.files, encoding)
    if valid[0] not in SPLITS:
        valid_files = find_files(valid, encoding)
        check_distinct(train, valid_files)
        return _Files(train, valid_files, f"given by --valid {' --valid '.join(valid)}"[:80])
    check_distinct(train)
    if valid[0] != "random" or len(train) == 1:
        return _Files(train, [], "")
    # the draw of `CharDataLoaders.from_text(texts, valid="random")`, made here to know which documents validate
    numbers = choose_documents(len(train), "random", 0.1 if args.valid_pct is None else args.valid_pct, args.seed)
    moved = reordered(train, numbers)
    return _Files(moved[: -len(numbers)], moved[-len(numbers) :], f"drawn at random, seed {args.seed}")


def _default_text():
    "Nietzsche, or the embedded text if it cannot be found or downloaded; and which."
    try:
        path = nietzsche(timeout=_download_timeout)
    except DownloadError as error:
        return python_reference(), f"corpus: python_reference, the embedded text, because {error}"
    return read_text(path), f"corpus: nietzsche, found at {path}"
