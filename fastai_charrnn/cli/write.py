"""The command `charrnn write`: write a text together with a model, line by line in a terminal or a pipe.

It shows the end of the text and numbered continuations, reads one line, and does what the line says. The text and the
continuations are a `cli.draft.Draft`. Does not import fastai, so that it starts fast.
"""

import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from .._files import atomic_write
from .._printable import printable
from ..errors import CharRnnError, CorpusError, GenerationError
from ..io.generator import load_generator
from .checks import in_options
from .draft import Draft
from .terminal import for_terminal

__all__ = ["write"]

_shown = 400  # characters of the text's end that are shown
_help = """\
  1, 2, …           add the continuation with this number; Enter alone adds the first
  any other line    add it as typed; +LINE adds a line that begins with a number, / or +
  /line             begin a new line
  /other            show other continuations
  /more, /less      show longer or shorter continuations
  /temperature T    0: the likeliest continuations; above 0: drawn at random, such as .8
  /undo, /redo      take back the last addition, or put it back
  /text             show the whole text
  /save FILE        write the text to a file
  /quit             end; so does the end of the input"""


def write(
    args,  # parsed arguments
):
    "Write a text with a model. At the end, print the text and write it to `--out`."
    _check_out(args)
    seed = secrets.randbits(32) if args.seed is None else args.seed
    draft = Draft(load_generator(args.model), args.prompt, args.num, args.temperature, seed, args.unk)
    draft.options()
    is_terminal = sys.stdin.isatty()
    session = _Session(draft, is_terminal, args.out, args.overwrite)
    session.run(_lines_of_terminal() if is_terminal else _lines_of_pipe())
    if args.out:
        session.save(args.out)
    if draft.was_drawn:
        print(f"charrnn: seed {seed}", file=sys.stderr)


def _check_out(args):
    "Raise an error for an output file before a text is written."
    if not args.out:
        return
    if args.out.exists() and not args.overwrite:
        raise CorpusError(f"{args.out} exists; pass --overwrite to replace it, or another --out")
    if not args.out.parent.is_dir():
        raise CorpusError(f"there is no folder {args.out.parent}; create it, or pass another --out")


class _Session:
    "Reads lines, changes the draft, and shows it."

    def __init__(self, draft, is_terminal, out, may_overwrite):
        self.draft = draft
        self.is_terminal = is_terminal
        # files that may be replaced: those written before
        self.own_files = {out} if out else set()
        self.may_overwrite = may_overwrite
        self.options = []
        self.is_over = False

    def run(self, lines):
        "Read lines to the end of the input, /quit or Ctrl-C. Then print the text."
        print("a number adds that continuation, another line adds itself; /help shows all commands, /quit ends")
        try:
            self.show()
            for line in lines:
                self.obey(line)
                if self.is_over:
                    break
        except KeyboardInterrupt:
            print()
        print(f"\n{for_terminal(self.draft.text)}")

    def show(self):
        "Print the end of the text and the continuations."
        text = for_terminal(self.draft.text)
        print(f"\n{'…' if len(text) > _shown else ''}{text[-_shown:]}▁")
        self.options = self.draft.options()
        for number, option in enumerate(self.options, 1):
            print(f"  {number}  {_percent(option.prob):>6}  {option.text!r}")
        if not self.options:
            print("  no more continuations")
        sys.stdout.flush()

    def obey(self, line):
        "Do what a line says. An error is printed, and changes nothing."
        if not self.is_terminal:
            print(f"> {for_terminal(line)}")
        try:
            if self._changes(line):
                self.show()
        except CharRnnError as error:
            print(f"charrnn: {printable(in_options(str(error)))}", flush=True)

    def _changes(self, line):
        "Obey a line. Returns whether to show the draft again."
        number = line.strip() or "1"
        if number.isascii() and number.isdigit():
            self.draft.add(self._option(int(number)).text)
        elif line.startswith("/"):
            name, _, value = line[1:].strip().partition(" ")
            return self._command(name)(value.strip())
        else:
            self.draft.add(line.removeprefix("+"))
        return True

    def _option(self, number):
        if not 1 <= number <= len(self.options):
            raise GenerationError(f"there is no continuation {number}; type 1 to {len(self.options)}, or +{number}")
        return self.options[number - 1]

    def _command(self, name) -> Callable:
        "The method for the beginning of a command's name."
        names = [o for o in _commands if o.startswith(name)]
        # an exact name, or the first that begins so: /s is /save
        if not name or not names:
            raise GenerationError(f"there is no command /{name}; /help shows all, and +/{name} adds it to the text")
        return getattr(self, f"_{name if name in names else names[0]}")

    def _help(self, _):
        print(_help)

    def _line(self, _):
        self.draft.add("\n")
        return True

    def _other(self, _):
        self.draft.page += 1
        return True

    def _more(self, _):
        self.draft.words = min(self.draft.words + 2, 15)
        return True

    def _less(self, _):
        self.draft.words = max(self.draft.words - 2, 1)
        return True

    def _temperature(self, value):
        self.draft.temperature = _temperature(value)
        self.draft.page = 0
        return True

    def _undo(self, _):
        self.draft.undo()
        return True

    def _redo(self, _):
        self.draft.redo()
        return True

    def _text(self, _):
        print(f"\n{for_terminal(self.draft.text)}")

    def _save(self, value):
        if not value:
            raise GenerationError("/save needs the name of a file, such as /save my-text.txt")
        path = Path(value).expanduser()
        if path.exists() and path not in self.own_files and not self.may_overwrite:
            raise GenerationError(f"{path} exists; save to another file, or start with --overwrite")
        self.save(path)

    def save(self, path):
        "Write the text to a file."
        try:
            atomic_write(path, self.draft.text)
        except OSError as error:
            raise CorpusError(f"cannot write {path}: {error.strerror}; save to another file") from None
        self.own_files.add(path)
        print(f"saved {path}: {len(self.draft.text):,} characters", flush=True)

    def _quit(self, _):
        self.is_over = True


_commands = ("help", "line", "other", "more", "less", "temperature", "undo", "redo", "text", "save", "quit")


def _temperature(value):
    "A number of at least 0."
    try:
        temperature = float(value)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature < float("inf"):
        raise GenerationError(f"/temperature needs a number of at least 0, such as .8, not {value!r}")
    return temperature


def _percent(prob):
    return f"{prob:.1%}" if prob >= 0.001 else "<0.1%"


def _lines_of_terminal():
    "Lines typed at a prompt, to the end of the input."
    try:
        # keys such as the arrows work in `input`
        import readline  # noqa: F401
    except ImportError:
        pass
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return


def _lines_of_pipe():
    "Lines of standard input. Bytes that are not UTF-8 become characters that no vocabulary has."
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")
