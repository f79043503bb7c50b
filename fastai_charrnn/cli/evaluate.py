"""What `charrnn evaluate` and `charrnn reproduce` do, given the parsed arguments (`cli`)."""

import os
import sys
import warnings

from ..adapt import dynamic_evaluation
from ..analysis.held_out import evaluate_spans, held_out, is_trained_text
from ..data.corpus import nietzsche, read_text
from ..errors import CharRnnError, CharRnnWarning
from ..io.model_file import load_model

__all__ = ["evaluate", "reproduce"]


def evaluate(
    args,  # parsed arguments
):
    """Print the loss and metrics of a model on a text.

    Of the text that the model was trained on, only the part held out is scored, unless `--all` asks for all of it."""
    learn = load_model(args.model)
    text = read_text(args.file, args.encoding)
    # the spans count characters as the model reads them
    if args.unk != "error":
        text = learn.dls.vocab.decode(learn.dls.vocab.encode(text, unk=args.unk))
    spans = None if args.all else held_out(learn, text)
    if spans is None:
        _warn_if_trained_on(learn, text)
    what = _what(args, text, spans)
    spans = spans or [(0, len(text))]
    print(f"{what}{_dynamic(learn, text, spans) if args.dynamic else _fixed(learn, text, spans, args.by)}")


def _warn_if_trained_on(learn, text):
    if not is_trained_text(learn, text):
        return
    warnings.warn(
        "the model was trained on this text, so the loss below is too low; an honest one is that of another "
        'text, or of the part held out by a training with valid="tail"',
        CharRnnWarning,
        stacklevel=2,
    )


def _what(args, text, spans):
    "Which characters are scored, in words."
    if spans is None:
        return f"{args.file}: {len(text):,} characters"
    n = sum(b - a for a, b in spans)
    return (
        f"{args.file}: the model was trained on this text; of its {len(text):,} characters, "
        f"the {n:,} held out (--all scores all)"
    )


def _fixed(learn, text, spans, by):
    "The loss and metrics of the model as it is."
    values = evaluate_spans(learn, text, spans, by=by)
    values = {k.removeprefix(f"{by}_"): v for k, v in values.items()}
    how = f", read in {by}" if by else ""
    loss, bits, accuracy = (values[k] for k in ("loss", "bits_per_char", "accuracy"))
    return f"{how}: {loss:.4f} nats, {bits:.4f} bits per char, accuracy {accuracy:.4f}"


def _dynamic(learn, text, spans):
    "The loss of a model that learns while it reads; the stretches one after another, as one stream."
    values = dynamic_evaluation(learn, "".join(text[a:b] for a, b in spans))
    loss, bits = (values[k] for k in ("dynamic_loss", "dynamic_bits_per_char"))
    return (
        f", learning while reading: {loss:.4f} nats, {bits:.4f} bits per char "
        "(not to be compared with the loss of fixed weights)"
    )


def reproduce(
    args,  # parsed arguments
):
    "Print lesson 6's losses beside ours."
    from ..recipes.reproduce import RECIPES, report

    if args.seeds < 1:
        raise CharRnnError(f"--seeds {args.seeds} must be a whole number from 1 up")
    if args.out and not args.out.parent.is_dir():
        raise CharRnnError(
            f"there is no folder {args.out.parent} to write {args.out.name} to; make it, or pass another --out"
        )
    text = report(read_text(nietzsche()), args.arch or tuple(RECIPES), args.seeds, not args.no_one_cycle, said=_say)
    print(text)
    if args.out:
        _write(args.out, text)


def _say(line):
    print(line, file=sys.stderr, flush=True)


def _write(path, text):
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
