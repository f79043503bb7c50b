"""What is wrong with a command line: `conflict`, `check_values`, and `in_options`, which puts messages into its words.

No torch here: options are checked before anything is imported or read.
"""

import math
import re

from ..errors import CharRnnError

__all__ = ["conflict", "check_values", "in_options"]

# what --recipe best chooses itself
_network = (
    "arch",
    "epochs",
    "lr",
    "bs",
    "seq_len",
    "stride",
    "n_hid",
    "emb_sz",
    "n_layers",
    "output_p",
    "target",
    "stateful",
)
# what a search for the most likely texts cannot use
_drawing = ("top_k", "top_p", "min_p", "repetition_penalty", "seed")


def conflict(
    args,  # parsed arguments
) -> str | None:  # for argparse's error
    "Options that do not go together, if there are any."
    find = dict(train=_train_conflict, generate=_generate_conflict, evaluate=_evaluate_conflict).get(args.command)
    return find(args) if find else None


def _train_conflict(args):
    if args.file and args.corpus:
        return "give FILE or --corpus, not both"
    if args.encoding and not args.file:
        return "--encoding is for FILE; leave it out, or give FILE"
    if args.recipe and (given := _given(args, _network)):
        return f"--recipe best chooses {given} itself; leave out one or the other"
    if args.minutes is not None and args.epochs is not None:
        return "--minutes trains by the clock, --epochs by epochs; leave out one of them"
    if args.stateful and args.target == "next":
        return "--stateful predicts after every character; leave out --target next"
    if args.stateful and args.stride is not None:
        return "--stateful reads the text without gaps; leave out --stride"
    if args.stateful and args.valid != "tail":
        return f"--stateful can only validate on the end of the text; leave out --valid {args.valid}"
    return None


def _generate_conflict(args):
    if not args.prompt and not args.prompts:
        return "generate needs --prompt TEXT or --prompts FILE"
    if args.n is None and not args.stream:
        return "-n inf never ends; it needs --stream"
    if args.stream and (args.json or args.num != 1 or args.beam):
        return "--stream prints one text after another as it is generated; leave out --json, --num and --beam"
    if args.beam and (given := _given(args, _drawing)):
        return f"--beam draws nothing; leave out {given}"
    if args.beam and args.num != 1:
        return "--beam gives as many texts as it is wide; leave out --num"
    return None


def _evaluate_conflict(args):
    return "--dynamic reads the text as one stream; leave out --by" if args.by and args.dynamic else None


def _given(args, names):
    "Those options that were given, as text; empty if none was."
    return ", ".join(_option(k) for k in names if getattr(args, k) is not None)


def _option(name):
    return f"--{name.replace('_', '-')}"


def check_values(
    args,  # parsed arguments
):
    "Raise `CharRnnError` for a number that no command can work with, before a file is read."
    for name in ("epochs", "bs", "seq_len", "stride", "n_hid", "emb_sz", "n_layers"):
        _check_count(args, name)
    for name in ("lr", "minutes"):
        _check_number(args, name, lambda v: 0 < v < math.inf, "must be a finite number above 0")
    _check_number(args, "valid_pct", lambda v: 0 < v < 1, "must be between 0 and 1, such as .1")
    _check_number(args, "output_p", lambda v: 0 <= v < 1, "must be from 0 to below 1, such as .2")
    if args.command == "train":
        allowed = "must be 0 or more; 0 gives greedy text, .8 is usual"
        _check_number(args, "temperature", lambda v: 0 <= v < math.inf, allowed)
        _check_number(args, "seed", lambda v: 0 <= v < 2**32, "must be from 0 to 4294967295")


def _check_count(args, name):
    if args.command == "train":
        _check_number(args, name, lambda v: v >= 1, "must be a whole number from 1 up")


def _check_number(args, name, fits, allowed):
    v = getattr(args, name, None)
    if v is not None and not fits(v):
        raise CharRnnError(f"{_option(name)} {v} {allowed}")


# what Python's users write -> what is typed on the command line
_names = (
    "n seq_len bs stride n_hid emb_sz valid_pct seed target stateful n_layers output_p minutes epochs lr temperature "
    "top_k top_p min_p repetition_penalty num beam stop unk encoding device by valid vocab"
).split()
_phrases = (
    (r"save_model\(learn, [^)]*\) writes one", "charrnn train makes one"),
    (r"save it again", "train it again"),
    (r"CharDataLoaders\.from_text\(…, seq_len=(\d+)\)", r"--seq-len \1"),
    (r"make them with --seq-len", "pass --seq-len"),
    (r"these dls have", "this text has"),
    (r"pass stream=True, or ask in parts", "pass --stream, or ask for less"),
    (r"or None for the best there is", "or leave it out for the best there is"),
    (r"(; |, )or None(?: to leave it out| for all)?$", r"\1or leave out the option"),
    (r"None draws one", "without --seed one is drawn"),
    (r"\. Pass a class of your own, or register it with register_arch", ""),
    (r"\b1 texts\b", "1 text"),
    (r"\bbs<=(\d+)", r"--bs \1 or less"),
    (r"\bseq_len<=(\d+)", r"--seq-len \1 or less"),
    (r"(\w+)=True", lambda m: _option(m[1])),
)


def in_options(
    message: str,  # of an error or a warning, in the words of Python's users
) -> str:  # in those of the command line: "n_hid=0" becomes "--n-hid 0"
    "A message as the command line says it."
    for pattern, words in _phrases:
        message = re.sub(pattern, words, message)
    named = rf"(?<![\w.(-])({'|'.join(sorted(_names, key=len, reverse=True))})=(?=\S)"
    message = re.sub(named, lambda m: _option(m[1]) + " ", message)
    # simple values need no quotes
    return re.sub(r"(--[\w-]+) (['\"])([A-Za-z0-9_.-]+)\2", r"\1 \3", message)
