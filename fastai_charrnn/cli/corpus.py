"""The texts of one training: `Corpus`, read from FILE and --valid or from --corpus, and how they are split."""

from dataclasses import dataclass

from ..data.corpus import human_numbers, nietzsche, python_reference
from ..data.documents import NamedTexts, choose_documents, reordered
from ..data.loaders import CharDataLoaders
from ..data.text_file import read_text
from ..data.vocab import CharVocab
from ..errors import DownloadError
from .checks import SPLITS
from .documents import store_digests
from .texts import read_texts

__all__ = ["Corpus", "read_corpus"]

# seconds to wait for a download that nobody asked for
_download_timeout = 10


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
        return size if self.valid_text is None else round(size / 0.9)

    @property
    def pieces(self) -> list[str]:
        "All texts."
        texts = [self.text] if isinstance(self.text, str) else list(self.text)
        return texts + list(self.valid_text or ())

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
            store_digests(dls.train_ds.info, dls.vocab, self.pieces)

    def unknown(
        self,
        vocab: CharVocab,  # of a model
    ) -> list[str]:  # in sorted order
        "The characters that a vocabulary lacks."
        return sorted(set().union(*map(set, self.pieces)) - set(vocab))


def read_corpus(
    args,  # parsed arguments of `charrnn train`
) -> Corpus:
    "Read all texts. Raises `CorpusError` and `DownloadError`."
    if args.files:
        return _from_files(args)
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


def _from_files(args):
    encoding = args.encoding or "utf-8"
    texts = read_texts(args.files, encoding)
    text = texts if len(texts) > 1 else texts[0]
    valid = args.valid or ["tail"]
    if valid[0] not in SPLITS:
        valid_texts = read_texts(valid, encoding, not_in=texts)
        valid_texts.how = f"given by --valid {' --valid '.join(valid)}"[:80]
        return Corpus(text, valid_texts)
    pct = 0.1 if args.valid_pct is None else args.valid_pct
    if valid[0] == "random" and len(texts) > 1:
        return _random_documents(texts, pct, args.seed)
    return Corpus(text, valid=valid[0], valid_pct=pct)


def _random_documents(texts, pct, seed):
    'The draw of `CharDataLoaders.from_text(texts, valid="random")`, made here to know which documents validate.'
    numbers = choose_documents(len(texts), "random", pct, seed)
    moved = reordered(texts, numbers)
    n_train = len(texts) - len(numbers)
    train, valid = (NamedTexts(moved[part], moved.names[part]) for part in (slice(n_train), slice(n_train, None)))
    valid.how = f"drawn at random, seed {seed}"
    return Corpus(train, valid)


def _default_text():
    "Nietzsche, or the embedded text if it cannot be found or downloaded; and which."
    try:
        path = nietzsche(timeout=_download_timeout)
    except DownloadError as error:
        return python_reference(), f"corpus: python_reference, the embedded text, because {error}"
    return read_text(path), f"corpus: nietzsche, found at {path}"
