"""The command line `charrnn`: `main` parses the options, checks them, runs the command and prints errors.

The commands are in `cli.train`, `cli.evaluate` (with `reproduce`), `cli.generate` (with `info`), `cli.write`,
`cli.page`, `cli.push` and `cli.serve`. Each is imported only when it is called, so that `--help` does not import torch.
The options are in `cli.parser`.

Exit codes:

    0  success
    1  an error, printed as one line on stderr, or Ctrl-C
    2  invalid options, or options that cannot be combined
"""

import os
import re
import sys
import time
import warnings

from .._printable import printable
from ..errors import CharRnnError, CharRnnWarning
from .checks import check_values, conflict, in_options
from .parser import make_parser
from .streams import LastingOutput, discard_output, open_missing

__all__ = ["main"]

# commands that have more to do than print: their output may end before they do
_lasting = ("train", "reproduce")


def main(
    argv: list[str] | None = None,  # arguments; None: those of the process
) -> int:  # exit code
    "Run one command. Invalid options raise `SystemExit(2)`, as in argparse."
    # the time of `--minutes` begins here, before torch is imported
    began = time.perf_counter()
    open_missing()
    output = sys.stdout
    try:
        return _main(argv, began)
    except KeyboardInterrupt:
        # Ctrl-C while an error or an interruption was reported
        return 1
    finally:
        sys.stdout = output


def _main(argv, began):
    parser = make_parser()
    args = parser.parse_args(argv)
    args.began = began
    if problem := conflict(args):
        parser.error(problem)
    # a terminal may not be able to print every character
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if args.command in _lasting:
        sys.stdout = LastingOutput(sys.stdout)
    with warnings.catch_warnings():
        _show_own_warnings()
        try:
            check_values(args)
            _run(args)
            sys.stdout.flush()
        except BrokenPipeError:
            discard_output(sys.stdout)
            return 1 if args.command in _lasting else 0
        except (CharRnnError, OSError, KeyboardInterrupt, MemoryError, RecursionError) as error:
            _report(_message(error))
            return 1
    if error := getattr(sys.stdout, "error", None):
        _report(f"cannot write the output: {error.strerror}; {args.command} ended without it")
        return 1
    return 0


def _report(message):
    "Print an error as one line, if that is possible."
    try:
        print(f"charrnn: {_rank()}{message}", file=sys.stderr, flush=True)
    except OSError:
        discard_output(sys.stderr)


def _run(args):
    "Find the models that are named, import the module of the command and call it."
    from .models import find_models

    find_models(args)
    if args.command in ("generate", "info"):
        from . import generate as module
    elif args.command == "write":
        from . import write as module
    elif args.command == "page":
        from . import page as module
    elif args.command == "serve":
        from . import serve as module
    elif args.command == "push":
        from . import push as module
    elif args.command == "train":
        from . import train as module
    else:
        from . import evaluate as module
    command = getattr(module, args.command)
    command(args)


def _show_own_warnings():
    "Print our warnings as lines. Deprecation warnings of other packages are not for users of a command."
    for category in (DeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", category)
    warnings.simplefilter("always", CharRnnWarning)
    warnings.showwarning = _print_once()


def _print_once():
    "Print each warning once on stderr. Of several processes, only the first prints."
    printed = set()

    def show(message, *_, **__):
        text = str(message)
        if text in printed or os.environ.get("RANK", "0") != "0":
            return
        printed.add(text)
        print(f"charrnn: {printable(in_options(text))}", file=sys.stderr)

    return show


def _message(error):
    if isinstance(error, KeyboardInterrupt) and not str(error):
        return "interrupted"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; try less at a time"
    if isinstance(error, RecursionError):
        return "something is nested too deeply to be read; check the files"
    if isinstance(error, OSError) and not error.filename:
        return f"cannot read or write: {error.strerror or error}"
    # fastai puts the name of a callback before its error
    text = re.sub(r"^Exception occured in `\w+` when calling event `\w+`:\s*", "", str(error))
    # a message may quote a file, and the name of a file may hold anything
    return printable(in_options(text))


def _rank():
    "The rank of this process, if there are several."
    is_distributed = int(os.environ.get("WORLD_SIZE", 1)) > 1 and "RANK" in os.environ
    return f"rank {os.environ['RANK']}: " if is_distributed else ""
