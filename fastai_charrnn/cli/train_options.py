"""The options of `charrnn train` and their help texts: `add_train`. Imports only argparse, as `cli.parser` does."""

import argparse
from pathlib import Path

__all__ = ["add_train", "add_numbers", "TRAIN_EXAMPLES"]

TRAIN_EXAMPLES = """examples:
  charrnn train my.txt
  charrnn train my.txt --recipe best --minutes 5
  charrnn train my.txt --arch lstm --n-hid 512 --epochs 8 --out my.safetensors
  charrnn train my.txt --arch gru --stateful --n-layers 2 --output-p .2
  charrnn train old.txt.gz --encoding latin-1
  charrnn train one.txt two.txt books/ 'code/**/*.py' --valid three.txt
  zcat *.gz | charrnn train - --out my.safetensors
  charrnn train --from my.safetensors more.txt --out longer.safetensors
  charrnn train my.txt --watch
  charrnn train --resume --out my.safetensors
  charrnn train --corpus human_numbers --prompt "one thousand "
"""


def add_train(
    parser: argparse.ArgumentParser,  # the parser of the command
):
    "Add the options of `charrnn train`."
    _add_text(parser)
    _add_network(parser)
    _add_samples(parser)
    out = Path("model.safetensors")
    parser.add_argument("--out", default=out, type=Path, metavar="MODEL", help=f"file to save to ({out})")
    parser.add_argument("--overwrite", action="store_true", help="replace MODEL if it exists, or start it anew")
    summary = "continue the training of MODEL that was interrupted, with its options; give the same FILE if it was -"
    parser.add_argument("--resume", action="store_true", help=summary)
    # set by the command: how much of a large text the time allows to read
    parser.set_defaults(max_bytes=None)
    _add_watch(parser)
    parser.add_argument("--device", help="cpu, cuda … (the GPU if there is one)")


def _add_text(parser):
    summary = "text files, folders, quoted patterns such as '*.py', or - for standard input; gzip or not"
    parser.add_argument("files", nargs="*", metavar="FILE", help=summary)
    summary = "train this model further, with the characters of FILE added to its vocabulary"
    parser.add_argument("--from", dest="from_model", type=Path, metavar="MODEL", help=summary)
    parser.add_argument(
        "--corpus",
        choices=("nietzsche", "python_reference", "human_numbers"),
        metavar="NAME",
        help="nietzsche, python_reference or human_numbers instead of FILE",
    )
    parser.add_argument("--encoding", help="character encoding of FILE (utf-8)")
    summary = "validation texts (repeat for more), or a part of FILE: tail (the default: the end), random, blocks, last"
    parser.add_argument("--valid", action="append", metavar="FILE", help=summary)
    summary = "fraction of the text to validate on (.1; for human_numbers the numbers from 8,001)"
    parser.add_argument("--valid-pct", type=float, metavar="FLOAT", help=summary)


_archs = "char3, loop, concat, rnn, gru, lstm, mullstm or ensemble"
_network_numbers = (
    ("--epochs", int, "number of epochs"),
    ("--minutes", float, "time for everything from reading to samples, instead of --epochs"),
    ("--lr", float, "highest learning rate of the one-cycle schedule"),
    ("--bs", int, "batch size: windows, or streams with --stateful"),
    ("--seq-len", int, "characters in a window, or in a step with --stateful"),
    ("--stride", int, "characters between the starts of two windows (1; --seq-len with --target every)"),
    ("--n-hid", int, "hidden units"),
    ("--emb-sz", int, "embedding size"),
    ("--n-layers", int, "recurrent layers (1)"),
    ("--output-p", float, "dropout probability for the output of each layer"),
)


def _add_network(parser):
    parser.add_argument("--arch", help=f"{_archs} (default: by the size of the text)")
    add_numbers(parser, _network_numbers)
    # the names of version 0.1
    parser.add_argument("--n", type=int, dest="seq_len", help=argparse.SUPPRESS)
    parser.add_argument("--dropout", type=float, dest="output_p", help=argparse.SUPPRESS)
    summary = "predict the character after a window, or after each of its characters (next)"
    parser.add_argument("--target", choices=("next", "every"), help=summary)
    summary = "read the text as continuous streams and keep the hidden state between batches"
    parser.add_argument("--stateful", action="store_true", default=None, help=summary)
    summary = "the best network for --minutes (5) on this machine, instead of --arch and the other numbers"
    parser.add_argument("--recipe", choices=("best",), help=summary)
    summary = "with --recipe: save one small network, which learns from the others that the time allows"
    parser.add_argument("--one-network", action="store_true", default=None, help=summary)


def _add_samples(parser):
    parser.add_argument("--seed", type=int, default=42, metavar="INT", help="fixes weights, order and samples (42)")
    parser.add_argument(
        "--prompt",
        action="append",
        metavar="TEXT",
        help="continue this after every epoch and at the end; repeat for more (three places in the validation part)",
    )
    summary = "of the samples; 0: always the most likely character (.8)"
    parser.add_argument("--temperature", type=float, default=0.8, metavar="FLOAT", help=summary)


def _add_watch(parser):
    summary = "show the training in a browser as it happens, at an address that is printed first"
    parser.add_argument("--watch", action="store_true", help=summary)
    summary = "port of --watch; 0 chooses a free one (8001)"
    parser.add_argument("--watch-port", type=int, metavar="INT", help=summary)
    summary = (
        "address that --watch listens on, such as 0.0.0.0 for other computers, which then need a token (127.0.0.1)"
    )
    parser.add_argument("--watch-host", metavar="HOST", help=summary)


def add_numbers(
    parser: argparse.ArgumentParser,  # the parser of a command
    numbers: tuple,  # for each option its name, type and help
):
    "Add options with one number each. Their default is None."
    for option, kind, summary in numbers:
        parser.add_argument(option, type=kind, metavar=kind.__name__.upper(), help=summary)
