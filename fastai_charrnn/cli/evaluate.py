"""The commands `charrnn evaluate` and `charrnn reproduce`, called by `cli.main` with the parsed arguments."""

import sys
import warnings

from .._files import atomic_write
from .._printable import printable
from ..analysis.held_out import evaluate_spans, held_out, is_trained_text, trained_part
from ..data.corpus import nietzsche
from ..data.text_file import read_text
from ..errors import CharRnnError, CharRnnWarning
from ..io.model_file import load_model
from ..mixing.reading import learning_while_reading
from .documents import inside, joined, parts_of
from .texts import read_texts

__all__ = ["evaluate", "reproduce"]


def evaluate(
    args,  # parsed arguments
):
    """Print the loss and metrics of a model on a text.

    If the model was trained on this text, only its validation part is scored, unless `--all` is given."""
    learn = load_model(args.model)
    texts = read_texts(args.files, args.encoding)
    # positions in the text count characters as the model reads them
    if args.unk != "error":
        vocab = learn.dls.vocab
        texts[:] = [vocab.decode(vocab.encode(text, unk=args.unk)) for text in texts]
    text, documents = joined(texts)
    name = texts.names[0] if len(texts) == 1 else f"{len(texts):,} files"
    spans = None if args.all else held_out(learn, text)
    if spans is None:
        _warn_if_trained_on(learn, text, texts)
        description = f"{name}: {len(text):,} characters"
        spans = [(0, len(text))]
    else:
        description = _describe_validation_part(name, len(text), spans)
    if args.dynamic:
        before = "" if args.all else trained_part(learn, text)
        result = _dynamic_result(learn, text, spans, before)
    else:
        mode = args.by or learn.dls.mode
        result = _fixed_result(learn, text, spans if mode == "streams" else inside(documents, spans), args.by)
    # names of files may hold anything
    print(printable(description) + result)


def _warn_if_trained_on(learn, text, texts):
    if is_trained_text(learn, text):
        message = (
            "the model was trained on this text, so the loss below is too low; use another text, or a model that was "
            'trained with valid="tail", whose validation part can be scored'
        )
        warnings.warn(message, CharRnnWarning, stacklevel=2)
        return
    info = learn.dls.train_ds.info
    trained = [name for name, text in zip(texts.names, texts) if "train" in parts_of(info, learn.dls.vocab, text)]
    if trained:
        names = ", ".join(trained[:3]) + (" …" if len(trained) > 3 else "")
        message = (
            f"the model was trained on {names}, so the loss below is too low; use another text, or give all files "
            "of the training in their order to score the validation part"
        )
        warnings.warn(message, CharRnnWarning, stacklevel=2)


def _describe_validation_part(name, n_chars, spans):
    "Which characters are scored."
    n_scored = sum(end - start for start, end in spans)
    return (
        f"{name}: the model was trained on this text; of its {n_chars:,} characters, "
        f"only the {n_scored:,} of the validation part are scored (--all: all)"
    )


def _fixed_result(learn, text, spans, by):
    "The loss and metrics with fixed weights."
    values = evaluate_spans(learn, text, spans, by=by)
    values = {name.removeprefix(f"{by}_"): value for name, value in values.items()}
    mode = f", read in {by}" if by else ""
    numbers = "{loss:.4f} nats, {bits_per_char:.4f} bits per char, accuracy {accuracy:.4f}".format(**values)
    return f"{mode}: {numbers}"


def _dynamic_result(learn, text, spans, before):
    "The losses of learning while reading. The spans are joined to one stream."
    text = "".join(text[start:end] for start, end in spans)
    fixed = learn.evaluate(text, by="streams")["streams_loss"]
    values = learning_while_reading(learn, text, before)
    parts = "fixed weights {fixed:.4f}, with steps {dynamic_loss:.4f}, counts {counts_loss:.4f}"
    numbers = "{mixed_loss:.4f} nats, {mixed_bits_per_char:.4f} bits per char".format(**values)
    counted = f"{values['n_counted']:,} characters of the training part were counted before" if before else ""
    return (
        f", learning while reading: {numbers}\n"
        f"its parts, in nats: {parts.format(fixed=fixed, **values)}\n"
        f"{counted or 'the counts began empty'}; "
        "do not compare losses of learning while reading with those of fixed weights"
    )


def reproduce(
    args,  # parsed arguments
):
    "Print lesson 6's losses next to ours."
    from ..recipes.lesson6 import RECIPES
    from ..recipes.reproduce import reproduce as train_and_compare

    if args.seeds < 1:
        raise CharRnnError(f"--seeds {args.seeds} must be a whole number, at least 1")
    if args.out and not args.out.parent.is_dir():
        raise CharRnnError(
            f"there is no folder {args.out.parent} to write {args.out.name} to; create it, or pass another --out"
        )
    archs = args.arch or tuple(RECIPES)
    corpus = read_text(nietzsche())
    found = train_and_compare(corpus, archs, args.seeds, not args.no_one_cycle, progress=_print_progress)
    print(found)
    if args.out:
        atomic_write(args.out, f"{found}\n")


def _print_progress(line):
    print(line, file=sys.stderr, flush=True)
