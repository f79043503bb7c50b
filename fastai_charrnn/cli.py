"""The command line: parse, call, print. `--help` imports no torch; the commands live in `commands` and `light_commands`.

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
  charrnn generate my.safetensors --prompt "It was " --prompt "She said" -n 200 --seed 1
  charrnn evaluate my.safetensors other.txt
  charrnn info my.safetensors
  charrnn reproduce --out REPRODUCTION.md
"""
_train = """examples:
  charrnn train my.txt
  charrnn train my.txt --arch lstm --n-hid 512 --n 32 --epochs 8 --out my.safetensors
  charrnn train my.txt --recipe best --minutes 5
  charrnn train my.txt --arch gru --stateful --n-layers 2 --dropout .2
  charrnn train old.txt --encoding latin-1
  charrnn train --corpus human_numbers --prompt "one thousand "
"""
_generate = """examples:
  charrnn generate my.safetensors --prompt "It was " -n 200 --temperature .7 --seed 1
  charrnn generate my.safetensors --prompt "It was " --temperature 0           the likeliest character each time
  charrnn generate my.safetensors --prompt "" -n inf --stream | less           without end, as it is written
  charrnn generate my.safetensors --prompts first-lines.txt --num 3 --json     one JSON object a text
  charrnn generate my.safetensors --prompt "She said " --stop . --stop ! --top-p .9
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
    p.add_argument("--arch", default="rnn", help="char3, loop, concat, rnn, gru, lstm, mullstm, hawk or ensemble (rnn)")
    for name,kind,default,what in (("epochs", int, 4, "times through the text"), ("lr", float, 5e-3, "highest learning rate of the one-cycle policy"),
                                   ("bs", int, None, "windows in a batch (512), or streams (64)"), ("n", int, None, "characters in a window (8; 3 for char3), or read at a time in streams (64)"),
                                   ("stride", int, None, "characters from one window to the next (1; n with --target every)"),
                                   ("n-hid", int, 256, "hidden units"), ("emb-sz", int, 42, "numbers that embed a character"),
                                   ("valid-pct", float, None, "the part that validates (.1; human_numbers: from 8,001 on)"), ("seed", int, 42, "fixes weights and order")):
        p.add_argument(f"--{name}", type=kind, default=default, metavar=kind.__name__.upper(), help=what + ("" if default is None else f" ({default})"))
    p.add_argument("--target", default="next", choices=("next", "every"), help="predict the character after a window, or after each of its characters (next)")
    p.add_argument("--stateful", action="store_true", help="read the text in streams, the state going on from batch to batch; every character is a target")
    p.add_argument("--n-layers", type=int, metavar="INT", help="recurrent layers (1)")
    p.add_argument("--dropout", type=float, metavar="FLOAT", help="the part of each layer's outputs that training leaves out (0)")
    p.add_argument("--minutes", type=float, metavar="FLOAT", help="train so long, by the clock, instead of --epochs")
    p.add_argument("--recipe", choices=("best",), help="what makes the most of --minutes (5) on this machine, in place of --arch and the other numbers")
    p.add_argument("--valid", default="tail", choices=("tail", "blocks", "random", "last"), help="how the validation part is chosen (tail: the end of the text)")
    p.add_argument("--prompt", action="append", metavar="TEXT", help="continue this when trained; repeat for more (three pieces of the text)")
    p.add_argument("--out", default=Path("model.safetensors"), type=Path, metavar="MODEL", help="where the model goes (model.safetensors)")
    p.add_argument("--overwrite", action="store_true", help="replace MODEL if it exists")
    p.add_argument("--device", help="cpu, cuda … (the GPU if there is one)")

    p = _command(sub, "generate", "continue prompts", _generate)
    p.add_argument("model", metavar="MODEL", type=Path, help="a file that train wrote")
    p.add_argument("--prompt", action="append", metavar="TEXT", help="what to continue; repeat for more")
    p.add_argument("--prompts", metavar="FILE", help="a file of prompts, one a line; - is standard input")
    p.add_argument("-n", type=_count, default=200, metavar="INT", help="characters to write for each, at most; inf with --stream (200)")
    p.add_argument("--temperature", type=float, default=.8, metavar="FLOAT", help="0: the likeliest each time; below 1 likelier characters gain, above 1 rarer ones (.8)")
    for name,kind,what in (("top-k", int, "choose among the k likeliest"), ("top-p", float, "choose among the fewest that have this probability together"),
                           ("min-p", float, "choose among those with at least this part of the likeliest's probability"), ("repetition-penalty", float, "above 1: what stands in the text is less likely"),
                           ("seed", int, "what to draw with: the same text each time (drawn)"), ("beam", int, "search for so many likeliest texts instead of drawing")):
        p.add_argument(f"--{name}", type=kind, metavar=kind.__name__.upper(), help=what)
    p.add_argument("--num", type=int, default=1, metavar="INT", help="texts for each prompt (1)")
    p.add_argument("--stop", action="append", metavar="TEXT", help="end a text after this; repeat for more")
    p.add_argument("--stream", action="store_true", help="print as it is written, one prompt after another")
    p.add_argument("--no-prompt", action="store_true", help="print the continuations alone")
    p.add_argument("--json", action="store_true", help="one object a text: prompt, text, log-probabilities, bits per char, seed")
    _unk(p)

    p = _command(sub, "evaluate", "loss, accuracy and bits per char of a model on a text", "examples:\n  charrnn evaluate my.safetensors other.txt --unk skip\n")
    p.add_argument("model", metavar="MODEL", type=Path, help="a file that train wrote")
    p.add_argument("file", metavar="FILE", type=Path, help="a text file")
    p.add_argument("--encoding", default="utf-8", help="how FILE spells characters (utf-8)")
    _unk(p)

    p.add_argument("--by", choices=("windows", "chunks", "streams"), help="how to read FILE (as the model was trained)")
    p.add_argument("--dynamic", action="store_true", help="let the model learn from what it has read, and put its weights back at the end")

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


def _count(s):
    "The type of -n."
    return None if s == "inf" else int(s)


_count.__name__ = "INT" # what argparse calls it in its error


def _senseless(args):
    "What is wrong with the command line as a whole, if anything."
    if args.command == "train" and args.file and args.corpus: return "give FILE or --corpus, not both"
    if args.command == "train" and args.minutes is not None and not args.minutes > 0: return f"--minutes {args.minutes} is not above 0"
    if args.command == "evaluate" and args.by and args.dynamic: return "--dynamic reads in one stream: leave out --by"
    if args.command != "generate": return None
    if not args.prompt and not args.prompts: return "generate needs --prompt TEXT or --prompts FILE"
    if args.stream and (args.json or args.num != 1 or args.beam): return "--stream prints one text after another as it is written: leave out --json, --num and --beam"
    return None


def main(
    argv:list[str]|None=None # arguments; None: the process's
) -> int: # exit code
    "Run one command."
    args = _parser().parse_args(argv)
    if wrong := _senseless(args): _parser().error(wrong)
    if hasattr(sys.stdout, "reconfigure"): sys.stdout.reconfigure(errors="backslashreplace") # a terminal that cannot spell a character
    with warnings.catch_warnings():
        warnings.simplefilter("always", CharRnnWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"charrnn: {message}", file=sys.stderr) if os.environ.get("RANK", "0") == "0" else None
        try:
            if args.command in ("generate", "info"): from . import light_commands as commands
            else: from . import commands
            getattr(commands, args.command)(args)
            sys.stdout.flush()
        except (CharRnnError, OSError, KeyboardInterrupt) as e:
            if isinstance(e, BrokenPipeError): # the reader left, and has all it wants
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 1 if args.command in ("train", "reproduce") else 0 # whose work was cut short
            who = f"rank {os.environ['RANK']}: " if int(os.environ.get("WORLD_SIZE", 1)) > 1 and "RANK" in os.environ else "" # of several processes
            print(f"charrnn: {who}{'interrupted' if isinstance(e, KeyboardInterrupt) and not str(e) else e}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__": sys.exit(main())
