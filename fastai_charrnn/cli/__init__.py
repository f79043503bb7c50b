"""The command line `charrnn`: parse the options, check them, call the command, print errors.

`--help` imports no torch. The commands are in `train_command`, `commands` and `light_commands`.
Exit codes: 0 done, 1 an error printed in one line on stderr (or Ctrl-C), 2 options that do not go together.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

from .. import __version__
from ..errors import CharRnnError, CharRnnWarning
from .checks import check_values, conflict, in_options

__all__ = ["main"]

_examples = """examples:
  charrnn train                   the text of lesson 6, or one of Python's
  charrnn train my.txt --out my.safetensors
  charrnn generate my.safetensors --prompt "It was " -n 200
  charrnn evaluate my.safetensors other.txt
  charrnn info my.safetensors
  charrnn reproduce --out results/REPRODUCTION.md
"""
_train = """examples:
  charrnn train my.txt
  charrnn train my.txt --recipe best --minutes 5
  charrnn train my.txt --arch lstm --n-hid 512 --epochs 8 --out my.safetensors
  charrnn train my.txt --arch gru --stateful --n-layers 2 --output-p .2
  charrnn train old.txt.gz --encoding latin-1
  charrnn train --corpus human_numbers --prompt "one thousand "
"""
_generate = """examples:
  charrnn generate my.safetensors --prompt "It was " -n 200 --seed 1
  charrnn generate my.safetensors --prompt "It was " --temperature 0
  charrnn generate my.safetensors --prompt "" -n inf --stream | less
  charrnn generate my.safetensors --prompts lines.txt --num 3 --json
  charrnn generate my.safetensors --prompt "She said " --stop . --top-p .9
"""
_evaluate = """examples:
  charrnn evaluate my.safetensors my.txt            the part held out
  charrnn evaluate my.safetensors my.txt --all      all of it
  charrnn evaluate my.safetensors other.txt --unk skip
"""
_info = "examples:\n  charrnn info my.safetensors\n  charrnn info my.safetensors --json\n"
_reproduce = (
    "examples:\n  charrnn reproduce --arch char3 --seeds 1\n  charrnn reproduce --out results/REPRODUCTION.md\n"
)

_choices = "char3, loop, concat, rnn, gru, lstm, mullstm, hawk or ensemble"
_train_numbers = (
    ("epochs", int, "times through the text"),
    ("lr", float, "highest learning rate of the one-cycle policy"),
    ("bs", int, "windows in a batch, or streams"),
    ("seq-len", int, "characters in a window, or read at a time in streams"),
    ("stride", int, "characters from one window to the next (1; --seq-len with --target every)"),
    ("n-hid", int, "hidden units"),
    ("emb-sz", int, "size of the embedding of a character"),
    ("n-layers", int, "recurrent layers (1)"),
    ("output-p", float, "part of each layer's outputs that training leaves out"),
    ("minutes", float, "train by the clock, instead of --epochs"),
    ("valid-pct", float, "part of the text that validates (.1; human_numbers: from 8,001 on)"),
)
# names of version 0.1 that keep working
_old_names = {"seq-len": ["n"], "output-p": ["dropout"]}
_generate_numbers = (
    ("top-k", int, "choose among the k most likely characters"),
    ("top-p", float, "choose among the fewest characters that together have this probability"),
    ("min-p", float, "leave out characters below this part of the highest probability"),
    ("repetition-penalty", float, "above 1: characters already in the text are less likely"),
    ("seed", int, "the same seed gives the same text (default: a random one, printed)"),
    ("beam", int, "search for this many of the most likely texts instead of drawing"),
)


def _parser():
    "All commands with their options."
    top = argparse.ArgumentParser(
        "charrnn",
        description="Train small character models and generate text with them.",
        epilog=_examples,
        formatter_class=_Help,
    )
    top.add_argument("--version", action="version", version=f"charrnn {__version__}")
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(_command(sub, "train", "train a model on a text and save it", _train))
    _add_generate(_command(sub, "generate", "continue prompts", _generate))
    _add_evaluate(_command(sub, "evaluate", "loss, accuracy and bits per char of a model on a text", _evaluate))
    _add_info(_command(sub, "info", "what a model file holds", _info))
    _add_reproduce(_command(sub, "reproduce", "train lesson 6's networks and compare with its numbers", _reproduce))
    return top


def _add_train(p):
    p.add_argument("file", nargs="?", metavar="FILE", type=Path, help="a text file, gzip or not")
    p.add_argument(
        "--corpus",
        choices=("nietzsche", "python_reference", "human_numbers"),
        metavar="NAME",
        help="nietzsche, python_reference or human_numbers instead of FILE",
    )
    p.add_argument("--encoding", help="character encoding of FILE (utf-8)")
    p.add_argument("--arch", help=f"{_choices} (default: by the size of the text)")
    for name, kind, what in _train_numbers:
        _add_number(p, name, kind, what)
    p.add_argument("--seed", type=int, default=42, metavar="INT", help="fixes weights, order and samples (42)")
    p.add_argument(
        "--target",
        choices=("next", "every"),
        help="predict the character after a window, or after each of its characters (next)",
    )
    p.add_argument(
        "--stateful",
        action="store_true",
        default=None,
        help="read the text in streams and keep the hidden state from batch to batch",
    )
    p.add_argument(
        "--recipe",
        choices=("best",),
        help="the best network for --minutes (5) on this machine, in place of --arch and the other numbers",
    )
    p.add_argument(
        "--valid",
        default="tail",
        choices=("tail", "blocks", "random", "last"),
        help="how the validation part is chosen (tail: the end of the text)",
    )
    p.add_argument(
        "--prompt",
        action="append",
        metavar="TEXT",
        help="continue this after every epoch and at the end; repeat for more (three places held out)",
    )
    p.add_argument(
        "--temperature", type=float, default=0.8, metavar="FLOAT", help="of the samples; 0: greedy text (.8)"
    )
    p.add_argument(
        "--out",
        default=Path("model.safetensors"),
        type=Path,
        metavar="MODEL",
        help="file to save to (model.safetensors)",
    )
    p.add_argument("--overwrite", action="store_true", help="replace MODEL if it exists")
    p.add_argument("--device", help="cpu, cuda … (the GPU if there is one)")


def _add_generate(p):
    p.add_argument("model", metavar="MODEL", type=Path, help="a file that train wrote")
    p.add_argument("--prompt", action="append", metavar="TEXT", help="text to continue; repeat for more")
    p.add_argument("--prompts", metavar="FILE", help="a file of prompts, one a line; - is standard input")
    p.add_argument(
        "-n",
        "--n",
        type=_count,
        default=200,
        metavar="INT",
        help="characters to generate at most; inf with --stream (200)",
    )
    p.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="FLOAT",
        help="0: the most likely character each time; below 1 safer, above 1 wilder (.8)",
    )
    for name, kind, what in _generate_numbers:
        _add_number(p, name, kind, what)
    p.add_argument("--num", type=int, default=1, metavar="INT", help="texts for each prompt (1)")
    p.add_argument("--stop", action="append", metavar="TEXT", help="end a text after this; repeat for more")
    p.add_argument(
        "--stream", action="store_true", help="print characters as they are generated, one prompt after another"
    )
    p.add_argument("--no-prompt", action="store_true", help="print the continuations only")
    p.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a text: prompt, text, log-probabilities, bits per char, seed",
    )
    _add_unk(p)


def _add_evaluate(p):
    p.add_argument("model", metavar="MODEL", type=Path, help="a file that train wrote")
    p.add_argument("file", metavar="FILE", type=Path, help="a text file, gzip or not")
    p.add_argument("--encoding", default="utf-8", help="character encoding of FILE (utf-8)")
    p.add_argument("--all", action="store_true", help="score all of FILE, even the part that the model was trained on")
    p.add_argument("--by", choices=("windows", "chunks", "streams"), help="how to read FILE (as the model was trained)")
    p.add_argument(
        "--dynamic", action="store_true", help="let the model learn from what it has read, then restore its weights"
    )
    _add_unk(p)


def _add_info(p):
    p.add_argument("model", metavar="MODEL", type=Path, help="a file that train wrote")
    p.add_argument("--json", action="store_true", help="everything, as JSON")


def _add_reproduce(p):
    p.add_argument(
        "--arch", action="append", choices=("char3", "loop", "concat", "rnn"), help="repeat for more (all four)"
    )
    p.add_argument("--seeds", type=int, default=3, metavar="INT", help="trials of each schedule (3)")
    p.add_argument("--no-one-cycle", action="store_true", help="leave out the comparison with the one-cycle policy")
    p.add_argument("--out", type=Path, metavar="FILE", help="write the report there as well")


class _Help(argparse.RawDescriptionHelpFormatter):
    "Help as wide as the terminal."

    def __init__(self, prog):
        super().__init__(prog, max_help_position=28)


def _command(sub, name, what, epilog):
    description = f"{what[0].upper()}{what[1:]}."
    return sub.add_parser(name, help=what, description=description, epilog=epilog, formatter_class=_Help)


def _add_number(p, name, kind, what):
    flags = [f"--{name}", *(f"--{old}" for old in _old_names.get(name, ()))]
    p.add_argument(*flags, type=kind, metavar=kind.__name__.upper(), help=what)


def _add_unk(p):
    p.add_argument(
        "--unk",
        default="error",
        metavar="CHAR",
        help="characters that the model does not know: error, skip, or a known one in their place (error)",
    )


def _count(s):
    "The type of -n."
    return None if s == "inf" else int(s)


# argparse uses the name in its error
_count.__name__ = "INT"


def main(
    argv: list[str] | None = None,  # arguments; None: the process's
) -> int:  # exit code
    "Run one command."
    parser = _parser()
    args = parser.parse_args(argv)
    if wrong := conflict(args):
        parser.error(wrong)
    # a terminal may lack a character
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        # what other packages say to their developers is not for who types a command
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        warnings.simplefilter("always", CharRnnWarning)
        warnings.showwarning = _print_once()
        try:
            check_values(args)
            _run(args)
            sys.stdout.flush()
        except BrokenPipeError:
            # the reader of the output left: train and reproduce were cut short, the others had printed enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1 if args.command in ("train", "reproduce") else 0
        except (CharRnnError, OSError, KeyboardInterrupt) as e:
            print(f"charrnn: {_rank()}{_message(e)}", file=sys.stderr)
            return 1
    return 0


def _run(args):
    "Import what the command needs, and call it."
    if args.command in ("generate", "info"):
        from . import generate as module
    elif args.command == "train":
        from . import train as module
    else:
        from . import evaluate as module
    getattr(module, args.command)(args)


def _print_once():
    "Warnings as lines on stderr, each once; of several processes, the first prints."
    seen = set()

    def show(message, *_, **__):
        if str(message) in seen or os.environ.get("RANK", "0") != "0":
            return
        seen.add(str(message))
        print(f"charrnn: {in_options(str(message))}", file=sys.stderr)

    return show


def _message(e):
    if isinstance(e, KeyboardInterrupt) and not str(e):
        return "interrupted"
    return in_options(str(e))


def _rank():
    "Which of several processes this is."
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1 and "RANK" in os.environ
    return f"rank {os.environ['RANK']}: " if several else ""


if __name__ == "__main__":
    sys.exit(main())
