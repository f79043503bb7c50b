"""The command line: parse, call, print. `--help` imports no torch; the commands live in `commands`.

Exit codes: 0 done, 1 an error said in one line on stderr (or Ctrl-C), 2 a command line that makes no sense.
"""
import argparse,os,sys,warnings
from pathlib import Path

from . import __version__
from .errors import CharRnnError,CharRnnWarning

__all__ = ["main"]

_examples = """examples:
  charrnn train                                  the reference's corpus if at hand or downloaded in 10 s, else an embedded text
  charrnn train my.txt --epochs 4 --out my.safetensors
  charrnn generate my.safetensors --prompt "It was " --prompt "She said" -n 200
  charrnn evaluate my.safetensors other.txt
  charrnn info my.safetensors
  charrnn reproduce --out REPRODUCTION.md
"""
_train = """examples:
  charrnn train my.txt
  charrnn train my.txt --arch lstm --n-hid 512 --n 32 --epochs 8 --out my.safetensors
  charrnn train old.txt --encoding latin-1
  charrnn train --corpus human_numbers --prompt "one thousand "
"""


def _parser():
    "Every command with its options; each says its default."
    top = argparse.ArgumentParser("charrnn", description="Train small character models and write text with them.", epilog=_examples, formatter_class=_Help)
    top.add_argument("--version", action="version", version=f"charrnn {__version__}")
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    p = _command(sub, "train", "train a model on a text and save it after every epoch", _train)
    p.add_argument("file", nargs="?", metavar="FILE", type=Path, help="a text file")
    p.add_argument("--corpus", choices=("nietzsche", "python_reference", "human_numbers"), help="instead of FILE; never replaced by another")
    p.add_argument("--encoding", default="utf-8", help="how FILE spells characters (utf-8)")
    p.add_argument("--arch", default="rnn", help="char3, loop, concat, rnn, gru or lstm (rnn)")
    for name,kind,default,what in (("epochs", int, 4, "times through the text"), ("lr", float, 5e-3, "highest learning rate of the one-cycle policy"),
                                   ("bs", int, 512, "windows in a batch"), ("n", int, None, "characters in a window (3 for char3, else 8)"), ("stride", int, 1, "characters from one window to the next"),
                                   ("n-hid", int, 256, "hidden units"), ("emb-sz", int, 42, "numbers that embed a character"),
                                   ("valid-pct", float, None, "the part that validates (.1; human_numbers: from 8,001 on)"), ("seed", int, 42, "fixes weights and order")):
        p.add_argument(f"--{name}", type=kind, default=default, metavar=kind.__name__.upper(), help=what + ("" if default is None else f" ({default})"))
    p.add_argument("--valid", default="tail", choices=("tail", "blocks", "random", "last"), help="how the validation part is chosen (tail: the end of the text)")
    p.add_argument("--prompt", action="append", metavar="TEXT", help="continue this when trained; repeat for more (three pieces of the text)")
    p.add_argument("--out", default=Path("model.safetensors"), type=Path, metavar="MODEL", help="where the model goes (model.safetensors)")
    p.add_argument("--overwrite", action="store_true", help="replace MODEL if it exists")
    p.add_argument("--device", help="cpu, cuda … (the GPU if there is one)")

    p = _command(sub, "generate", "continue prompts, the likeliest character again and again", 'examples:\n  charrnn generate my.safetensors --prompt "It was " -n 200\n')
    p.add_argument("model", metavar="MODEL", type=Path, help="a file that train wrote")
    p.add_argument("--prompt", action="append", required=True, metavar="TEXT", help="what to continue; repeat for more")
    p.add_argument("-n", type=int, default=200, help="characters to write for each (200)")
    _unk(p)

    p = _command(sub, "evaluate", "loss, accuracy and bits per char of a model on a text", "examples:\n  charrnn evaluate my.safetensors other.txt --unk skip\n")
    p.add_argument("model", metavar="MODEL", type=Path, help="a file that train wrote")
    p.add_argument("file", metavar="FILE", type=Path, help="a text file")
    p.add_argument("--encoding", default="utf-8", help="how FILE spells characters (utf-8)")
    _unk(p)

    p = _command(sub, "info", "what a model file says of itself", "examples:\n  charrnn info my.safetensors\n  charrnn info my.safetensors --json\n")
    p.add_argument("model", metavar="MODEL", type=Path, help="a file that train wrote")
    p.add_argument("--json", action="store_true", help="everything, as JSON")

    p = _command(sub, "reproduce", "train the reference's networks by its schedules and compare", "examples:\n  charrnn reproduce --arch char3 --seeds 1\n  charrnn reproduce --out REPRODUCTION.md\n")
    p.add_argument("--arch", action="append", choices=("char3", "loop", "concat", "rnn"), help="repeat for more (all four)")
    p.add_argument("--seeds", type=int, default=3, help="trials of each schedule (3)")
    p.add_argument("--no-one-cycle", action="store_true", help="leave out the comparison with the one-cycle policy")
    p.add_argument("--out", type=Path, metavar="FILE", help="write the report there as well")
    return top


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog): super().__init__(prog, max_help_position=28, width=120)


def _command(sub, name, what, epilog): return sub.add_parser(name, help=what, description=what[0].upper()+what[1:]+".", epilog=epilog, formatter_class=_Help)
def _unk(p): p.add_argument("--unk", default="error", metavar="CHAR", help="characters the model does not know: error, skip, or a known one to take instead (error)")


def main(
    argv:list[str]|None=None # arguments; None: the process's
) -> int: # exit code
    "Run one command."
    args = _parser().parse_args(argv)
    if args.command == "train" and args.file and args.corpus: _parser().error("give FILE or --corpus, not both")
    with warnings.catch_warnings():
        warnings.simplefilter("always", CharRnnWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"charrnn: {message}", file=sys.stderr)
        try:
            from . import commands
            getattr(commands, args.command)(args)
            sys.stdout.flush()
        except (CharRnnError, OSError, KeyboardInterrupt) as e:
            if isinstance(e, BrokenPipeError): os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()) # the reader left: nobody to tell
            else: print(f"charrnn: {'interrupted' if isinstance(e, KeyboardInterrupt) and not str(e) else e}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__": sys.exit(main())
