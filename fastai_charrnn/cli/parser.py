"""The options of every `charrnn` command and their help texts: `make_parser`.

Imports only argparse, so that `charrnn --help` is fast. To add an option, add it here (one of `train` in
`cli.train_options`), check it in `cli.checks` and use it in the module of its command.
"""

import argparse
from pathlib import Path

from .. import __version__
from .completion import SHELLS, PrintCompletion
from .train_options import TRAIN_EXAMPLES, add_numbers, add_train

__all__ = ["make_parser"]

_main_examples = """examples:
  charrnn train                   the text of lesson 6, or one of Python's
  charrnn train my.txt --out my.safetensors
  charrnn generate nietzsche --prompt "The "   a model of the package
  charrnn generate my.safetensors --prompt "It was " -n 200
  charrnn write my.safetensors
  charrnn evaluate my.safetensors other.txt
  charrnn info my.safetensors
  charrnn page my.safetensors
  charrnn serve my.safetensors
  charrnn reproduce --out losses.txt
  eval "$(charrnn --print-completion bash)"
"""
_generate_examples = """examples:
  charrnn generate my.safetensors --prompt "It was " -n 200 --seed 1
  charrnn generate my.safetensors --prompt "It was " --temperature 0
  charrnn generate my.safetensors --prompt "" -n inf --stream | less
  charrnn generate my.safetensors --prompts lines.txt --num 3 --json
  charrnn generate my.safetensors --prompt "She said " --stop . --top-p .9
"""
_write_examples = """examples:
  charrnn write my.safetensors --prompt "It was "
  charrnn write my.safetensors --temperature .8 --seed 1 --out story.txt
  printf '1\\n2\\n/more\\n1\\n' | charrnn write my.safetensors --prompt "It was "
"""
_serve_examples = """examples:
  charrnn serve nietzsche
  charrnn serve small.safetensors large.safetensors --open
  charrnn serve my.safetensors --port 0 --host 0.0.0.0
  charrnn serve hawk.safetensors --import examples/hawk.py
"""
_evaluate_examples = """examples:
  charrnn evaluate my.safetensors my.txt            the validation part
  charrnn evaluate my.safetensors my.txt --all      the whole file
  charrnn evaluate my.safetensors other.txt --unk skip
"""
_info_examples = """examples:
  charrnn info my.safetensors
  charrnn info my.safetensors --json
"""
_page_examples = """examples:
  charrnn page my.safetensors
  charrnn page my.safetensors --text my.txt --out index.html
  charrnn page my.safetensors --prompt "It was " --title "My novel"
"""
_push_examples = """examples:
  charrnn push my.safetensors me/my-model --license mit --data "my diary"
  charrnn generate hf://me/my-model --prompt "It was "
"""
_reproduce_examples = """examples:
  charrnn reproduce --arch char3 --seeds 1
  charrnn reproduce --out losses.txt
"""


def make_parser() -> argparse.ArgumentParser:
    "The parser of `charrnn` with all its commands."
    parser = argparse.ArgumentParser(
        "charrnn",
        description="Train small character models and generate text with them.",
        epilog=_main_examples,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"charrnn {__version__}")
    summary = "print a script that completes commands, options and files: bash, zsh or tcsh"
    parser.add_argument("--print-completion", action=PrintCompletion, choices=SHELLS, help=summary)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_train(_command(commands, "train", "train a model on a text and save it", TRAIN_EXAMPLES))
    _add_generate(_command(commands, "generate", "continue prompts", _generate_examples))
    _add_write(_command(commands, "write", "write a text with a model, choosing among continuations", _write_examples))
    _add_serve(_command(commands, "serve", "look at models in a browser, side by side on one text", _serve_examples))
    summary = "measure loss, accuracy and bits per char on a text"
    _add_evaluate(_command(commands, "evaluate", summary, _evaluate_examples))
    _add_info(_command(commands, "info", "show what a model file contains", _info_examples))
    summary = "write one HTML file in which a model runs"
    _add_page(_command(commands, "page", summary, _page_examples))
    summary = "upload a model and its card to the Hugging Face Hub"
    _add_push(_command(commands, "push", summary, _push_examples))
    summary = "train lesson 6's networks and compare with its losses"
    _add_reproduce(_command(commands, "reproduce", summary, _reproduce_examples))
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    "Help as wide as the terminal."

    def __init__(self, prog):
        super().__init__(prog, max_help_position=28)


def _command(commands, name, summary, examples):
    "A command with its help."
    description = f"{summary[0].upper()}{summary[1:]}."
    return commands.add_parser(name, help=summary, description=description, epilog=examples, formatter_class=_Help)


# generate

_sampling_numbers = (
    ("--top-k", int, "choose among the k most likely characters"),
    ("--top-p", float, "choose among the fewest characters that together have this probability"),
    ("--min-p", float, "leave out characters below this fraction of the highest probability"),
    ("--repetition-penalty", float, "above 1: characters already in the text are less likely"),
    ("--seed", int, "the same seed gives the same text (default: a random one, printed)"),
    ("--beam", int, "beam search of this width instead of sampling"),
)


def _add_generate(parser):
    _add_model(parser)
    parser.add_argument("--prompt", action="append", metavar="TEXT", help="text to continue; repeat for more")
    parser.add_argument("--prompts", metavar="FILE", help="a file with one prompt per line; - is standard input")
    summary = "characters to generate at most; inf with --stream (200)"
    parser.add_argument("-n", "--n", type=_count, default=200, metavar="INT", help=summary)
    summary = "0: always the most likely character; below 1 safer, above 1 wilder (.8)"
    parser.add_argument("--temperature", type=float, default=0.8, metavar="FLOAT", help=summary)
    add_numbers(parser, _sampling_numbers)
    parser.add_argument("--num", type=int, default=1, metavar="INT", help="texts for each prompt (1)")
    parser.add_argument("--stop", action="append", metavar="TEXT", help="end a text after this; repeat for more")
    parser.add_argument("--stream", action="store_true", help="print each character as soon as it is generated")
    parser.add_argument("--no-prompt", action="store_true", help="print the continuations only")
    summary = "print one JSON object per text: prompt, text, log-probabilities, bits per character, seed"
    parser.add_argument("--json", action="store_true", help=summary)
    _add_unk(parser)


def _count(text):
    "The type of -n."
    return None if text == "inf" else int(text)


# argparse uses the name in its error
_count.__name__ = "INT"


# write


def _add_write(parser):
    _add_model(parser)
    parser.add_argument("--prompt", default="", metavar="TEXT", help="how the text begins (empty)")
    parser.add_argument("--num", type=int, default=5, metavar="INT", help="continuations to choose from (5)")
    summary = "0: the likeliest continuations; above 0: drawn at random (0)"
    parser.add_argument("--temperature", type=float, default=0.0, metavar="FLOAT", help=summary)
    summary = "the same seed and choices give the same text (default: a random one, printed)"
    parser.add_argument("--seed", type=int, metavar="INT", help=summary)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the text to this file at the end")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    _add_unk(parser)


# serve


def _add_serve(parser):
    summary = "model files saved by charrnn train, or pretrained models: nietzsche, python; at most 8"
    parser.add_argument("models", nargs="+", metavar="MODEL", type=Path, help=summary)
    summary = "port to listen on; 0 chooses a free one (8000)"
    parser.add_argument("--port", type=int, default=8000, metavar="INT", help=summary)
    summary = "address to listen on, such as 0.0.0.0 for other computers, which then need a token (127.0.0.1)"
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help=summary)
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    summary = "Python file to run first, which registers the architecture of a MODEL; repeat for more"
    parser.add_argument(
        "--import", dest="imports", action="append", default=[], type=Path, metavar="FILE", help=summary
    )


# the other commands


def _add_evaluate(parser):
    _add_model(parser)
    summary = "text files, folders, quoted patterns such as '*.py', or - for standard input; gzip or not"
    parser.add_argument("files", nargs="+", metavar="FILE", help=summary)
    parser.add_argument("--encoding", default="utf-8", help="character encoding of FILE (utf-8)")
    parser.add_argument("--all", action="store_true", help="score all of FILE, including what the model was trained on")
    summary = "how to read FILE (as in training)"
    parser.add_argument("--by", choices=("windows", "chunks", "streams"), help=summary)
    summary = "let the model learn while it reads, mixed with counts, then restore its weights"
    parser.add_argument("--dynamic", action="store_true", help=summary)
    _add_unk(parser)


def _add_info(parser):
    _add_model(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _add_page(parser):
    _add_model(parser)
    summary = "the page to write (the name of MODEL, with the ending .html)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=summary)
    parser.add_argument("--overwrite", action="store_true", help="replace the page if it exists")
    parser.add_argument("--title", metavar="TEXT", help="shown at the top of the page (the name of MODEL)")
    summary = "a text to begin with and to find hidden units in; with the text of the training, n-grams are counted"
    parser.add_argument("--text", metavar="FILE", help=summary)
    parser.add_argument("--encoding", default="utf-8", help="character encoding of --text (utf-8)")
    summary = "a text that visitors can begin with; repeat for more (parts of --text)"
    parser.add_argument("--prompt", action="append", metavar="TEXT", help=summary)


def _add_push(parser):
    _add_model(parser)
    summary = "the repository, which is made if there is none: USER/NAME, or NAME for one of your own"
    parser.add_argument("repo", metavar="REPO", help=summary)
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    summary = "such as mit or cc-by-4.0 (none, and the card says so)"
    parser.add_argument("--license", metavar="ID", help=summary)
    parser.add_argument("--data", metavar="TEXT", help="what the model was trained on, in a few words")
    parser.add_argument("--name", metavar="TEXT", help="the title of the card (the name of REPO)")


def _add_reproduce(parser):
    archs = ("char3", "loop", "concat", "rnn")
    parser.add_argument("--arch", action="append", choices=archs, help="repeat for more (all four)")
    parser.add_argument("--seeds", type=int, default=3, metavar="INT", help="runs of each schedule (3)")
    parser.add_argument("--no-one-cycle", action="store_true", help="skip the comparison with the one-cycle schedule")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the table to this file")


def _add_model(parser):
    summary = "a model file saved by charrnn train, a pretrained model (nietzsche, python), or hf://USER/NAME"
    parser.add_argument("model", metavar="MODEL", type=Path, help=summary)


def _add_unk(parser):
    parser.add_argument(
        "--unk",
        default="error",
        metavar="CHAR",
        help="characters outside the model's vocabulary: error, skip, or a character to use instead (error)",
    )
