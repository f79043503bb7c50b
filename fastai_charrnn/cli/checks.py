"""Check the options of a command, and word error messages for the command line.

`conflict` finds options that cannot be combined, `check_values` numbers out of range. Both run before any file is read.
`in_options` replaces Python arguments in a message by options: "n_hid=0" becomes "--n-hid 0". No import of torch.
"""

import math
import re

from ..errors import CharRnnError

__all__ = ["SPLITS", "conflict", "check_values", "in_options", "option_of", "training_minutes"]

# options that `--recipe best` sets
_set_by_recipe = (
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
# options that the model of `--from` sets
_set_by_model = ("arch", "seq_len", "n_hid", "emb_sz", "n_layers", "output_p", "target", "stateful")
# values of `--valid` that are not files
SPLITS = ("tail", "random", "blocks", "last")
# options that only sampling uses, not beam search
_for_sampling = ("top_k", "top_p", "min_p", "repetition_penalty", "seed")


def conflict(
    args,  # parsed arguments
) -> str | None:  # an error message for argparse
    "Describe options that cannot be combined. None: all options fit together."
    if args.command == "train":
        return _train_conflict(args)
    if args.command == "generate":
        return _generate_conflict(args)
    if args.command == "evaluate" and args.by and args.dynamic:
        return "--dynamic reads the text as one stream; leave out --by"
    return None


def _train_conflict(args):
    if not args.watch and (given := _given_options(args, ("watch_port", "watch_host"))):
        return f"{given} is for --watch; give --watch too, or leave it out"
    if args.resume:
        return "--resume continues a training and --overwrite starts anew; leave out one" if args.overwrite else None
    if args.files and args.corpus:
        return "give FILE or --corpus, not both"
    if args.encoding and not args.files:
        return "--encoding is for FILE; leave it out, or give FILE"
    if args.from_model and (problem := _continue_conflict(args)):
        return problem
    if problem := _valid_conflict(args):
        return problem
    if args.recipe and (given := _given_options(args, _set_by_recipe)):
        return f"--recipe best sets {given} itself; leave out one or the other"
    if args.one_network and not args.recipe:
        return "--one-network is for --recipe best; give it too, or leave out --one-network"
    if args.minutes is not None and args.epochs is not None:
        return "--minutes and --epochs both set the length of training; leave out one of them"
    if args.stateful and args.target == "next":
        return "--stateful predicts after every character; leave out --target next"
    if args.stateful and args.stride is not None:
        return "--stateful reads the text without gaps; leave out --stride"
    return None


def _continue_conflict(args):
    "Options that a model to train further has set."
    if not args.files and not args.corpus:
        return "a model file contains no text; give --from MODEL with FILE, or with --corpus"
    if args.recipe:
        return "--from continues the network of MODEL; leave out --recipe"
    if given := _given_options(args, _set_by_model):
        return f"--from continues the network of MODEL, which sets {given}; leave out one or the other"
    return None


def _valid_conflict(args):
    valid = args.valid or ["tail"]
    splits = [value for value in valid if value in SPLITS]
    if splits and len(valid) > 1:
        return (
            f"--valid {splits[0]} chooses a part of the text; leave out the other --valid, "
            f"or write ./{splits[0]} for a file of this name"
        )
    if not splits and not args.files:
        return f"--valid {valid[0]} is a file; give FILE too, or choose one of {', '.join(SPLITS)}"
    if not splits and args.valid_pct is not None:
        return "--valid FILE is the validation text; leave out --valid-pct"
    if args.stateful and splits and valid[0] != "tail" and len(args.files) < 2:
        return f"--stateful can only validate on the end of the text; leave out --valid {valid[0]}"
    return None


def _generate_conflict(args):
    if not args.prompt and not args.prompts:
        return "generate needs --prompt TEXT or --prompts FILE"
    if args.n is None and not args.stream:
        return "-n inf never ends; it needs --stream"
    if args.stream and (args.json or args.num != 1 or args.beam):
        return "--stream prints each text while it is generated; leave out --json, --num and --beam"
    if args.beam and (given := _given_options(args, _for_sampling)):
        return f"--beam does not sample; leave out {given}"
    if args.beam and args.num != 1:
        return "--beam returns as many texts as its width; leave out --num"
    return None


def _given_options(args, names):
    "Which of these options were given, as text."
    return ", ".join(option_of(name) for name in names if getattr(args, name) is not None)


def option_of(
    name: str,  # of an argument
) -> str:
    "The option for an argument."
    names = {"files": "FILE", "from_model": "--from", "imports": "--import"}
    if name in names:
        return names[name]
    return f"--{name.replace('_', '-')}"


def training_minutes(
    args,  # parsed arguments of `charrnn train`
) -> float | None:  # None: there is no time limit
    "The minutes that a training takes: those of `--minutes`, or 5 with `--recipe`."
    return args.minutes or (5.0 if args.recipe else None)


def check_values(
    args,  # parsed arguments
):
    "Raise `CharRnnError` for a number out of range."
    if args.command == "train":
        _check_training_numbers(args)
    if args.command == "write":
        _check_number(args, "num", lambda v: 1 <= v <= 99, "must be a whole number, from 1 to 99")
    if args.command in ("train", "write"):
        _check_number(args, "temperature", lambda v: 0 <= v < math.inf, _temperatures)
        _check_number(args, "seed", lambda v: 0 <= v < 2**32, "must be from 0 to 4294967295")


_temperatures = "must be 0 or more; 0 takes the most likely character, .8 is usual"


def _check_training_numbers(args):
    for name in ("epochs", "bs", "seq_len", "stride", "n_hid", "emb_sz", "n_layers"):
        _check_number(args, name, lambda v: v >= 1, "must be a whole number, at least 1")
    _check_number(args, "epochs", lambda v: v < 2**31, "must be below 2**31")
    for name in ("lr", "minutes"):
        _check_number(args, name, lambda v: 0 < v < math.inf, "must be a finite number above 0")
    # a shorter time ends before the first batch
    _check_number(args, "minutes", lambda v: v >= 1e-3, "is less than .001, a sixteenth of a second; give more time")
    _check_number(args, "valid_pct", lambda v: 0 < v < 1, "must be between 0 and 1, such as .1")
    _check_number(args, "output_p", lambda v: 0 <= v < 1, "must be from 0 to below 1, such as .2")


def _check_number(args, name, is_allowed, allowed):
    value = getattr(args, name)
    if value is not None and not is_allowed(value):
        raise CharRnnError(f"{option_of(name)} {value} {allowed}")


# arguments of the Python functions that are options of the command line, too
_arguments = (
    "n seq_len bs stride n_hid emb_sz valid_pct seed target stateful n_layers output_p minutes epochs lr temperature "
    "top_k top_p min_p repetition_penalty num beam stop unk encoding device by valid vocab port host"
).split()
# other phrases for users of Python, and their replacements
_phrases = (
    (r"save_model\(learn, [^)]*\) writes one", "charrnn train makes one"),
    (r"save it again", "train it again"),
    (r"CharDataLoaders\.from_text\(…, seq_len=(\d+)\)", r"--seq-len \1"),
    (r"make them with --seq-len", "pass --seq-len"),
    (r"these dls have", "this text has"),
    (r"pass another folder or extensions=…", "for others give a pattern, such as 'texts/**/*.log'"),
    (r"pass cache=… with a writable folder, .*", "free disk space, or pass --out with another folder"),
    (r"pass stream=True, or ask in parts", "pass --stream, or ask for less"),
    (r"or None for the best available", "or leave it out for the best available"),
    (r"(; |, )or None(?: to leave it out| for all)?$", r"\1or leave out the option"),
    (r"None draws one", "without --seed one is drawn"),
    (r"\. Pass a class of your own, or register it with register_arch", ""),
    (r"\b1 texts\b", "1 text"),
    (r"\bbs<=(\d+)", r"--bs \1 or less"),
    (r"\bseq_len<=(\d+)", r"--seq-len \1 or less"),
    (
        r"takes no argument (\w+); it takes .*",
        lambda m: f"has no {option_of(m[1])}; leave it out, or choose another --arch",
    ),
    (r"pass overwrite=True to replace it, or another path", "pass --overwrite to replace it, or another --out"),
    (r"(\w+)=True", lambda m: option_of(m[1])),
)


def in_options(
    message: str,  # an error or a warning that names Python arguments
) -> str:  # the message with options instead
    "Word a message for the command line."
    for pattern, replacement in _phrases:
        message = re.sub(pattern, replacement, message)
    # the longest first: `n` is the end of other names
    names = "|".join(sorted(_arguments, key=len, reverse=True))
    message = re.sub(rf"(?<![\w.(-])({names})=(?=\S)", lambda m: f"{option_of(m[1])} ", message)
    # simple values need no quotes
    return re.sub(r"(--[\w-]+) (['\"])([A-Za-z0-9_.-]+)\2", r"\1 \3", message)
