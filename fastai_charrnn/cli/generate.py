"""The commands `charrnn generate` and `charrnn info`, called by `cli.main` with the parsed arguments.

They do not import fastai, so that they start fast.
"""

import json
import math
import secrets
import sys

from .._printable import printable
from ..errors import CorpusError
from ..generation.decoders import is_stateful
from ..io.format import describe_model
from ..io.generator import load_generator
from .terminal import for_terminal

__all__ = ["generate", "info"]

# characters of a row that `info` prints
_max_row = 10_000
# printed between two texts
_separator = "---"
# options that are passed on to `CharGenerator.generate`
_passed_on = ("n", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "stop", "seed", "unk")


def generate(
    args,  # parsed arguments
):
    "Print every prompt with its continuations, all at once or with `--stream` character by character."
    generator = load_generator(args.model)
    prompts = _read_prompts(args)
    is_random = args.temperature != 0 and not args.beam
    # one seed for all prompts, which is printed
    if is_random and args.seed is None:
        args.seed = secrets.randbits(32)
    options = {name: getattr(args, name) for name in _passed_on}
    options["return_prompt"] = not args.no_prompt
    if args.stream:
        _stream(generator, prompts, options)
    else:
        _print_all(generator, list(prompts), args, options)
    if is_random:
        print(f"charrnn: seed {args.seed}", file=sys.stderr)


def _stream(generator, prompts, options):
    "Print characters as soon as they are generated."
    for i, prompt in enumerate(prompts):
        note_long_prompts(generator, [prompt])
        if i > 0:
            print(_separator)
        for char in generator.generate(prompt, stream=True, **options):
            print(for_terminal(char), end="", flush=True)
        print(flush=True)


def _print_all(generator, prompts, args, options):
    "Generate all texts as one batch, then print them."
    note_long_prompts(generator, prompts)
    texts = generator.generate(prompts, num=None if args.beam else args.num, beam=args.beam, **options)
    for i, text in enumerate(texts):
        if i > 0 and not args.json:
            print(_separator)
        print(_to_json(text) if args.json else for_terminal(text))


def note_long_prompts(
    learn,  # a learner or a `CharGenerator`
    prompts: list[str],  # texts to continue
):
    "Print a note on stderr if the model reads only the last characters of a prompt."
    if is_stateful(learn.model):
        return
    seq_len = learn.dls.seq_len
    long_prompt = next((prompt for prompt in prompts if len(prompt) > seq_len), None)
    if long_prompt is None:
        return
    note = f"the model reads the last {seq_len} characters of a prompt"
    example = f"of {short_repr(long_prompt)} it reads {printable(repr(long_prompt[-seq_len:]), max_len=200)}"
    print(f"charrnn: {note}; {example}", file=sys.stderr)


def short_repr(
    text: str,  # any text
) -> str:
    "The `repr` of a text, cut to about 40 characters."
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _read_prompts(args):
    "Yield the prompts given as options, then each line of the file or of standard input when it arrives."
    yield from args.prompt or ()
    if args.prompts is None:
        return
    with _open_prompts(args.prompts) as lines:
        for number, line in enumerate(lines, 1):
            yield _decode_line(line, number, args.prompts)


def _open_prompts(name):
    if name == "-":
        return sys.stdin.buffer
    try:
        return open(name, "rb")
    except OSError as error:
        message = f"cannot read {name}: {error.strerror}; pass a file with one prompt per line, or -"
        raise CorpusError(message) from None


def _decode_line(line, number, name):
    # a file may begin with a byte order mark
    encoding = "utf-8-sig" if number == 1 else "utf-8"
    try:
        return line.decode(encoding).rstrip("\r\n")
    except UnicodeDecodeError:
        message = f"line {number:,} of {name} is not valid UTF-8; convert the file with iconv -f latin-1 -t utf-8"
        raise CorpusError(message) from None


def _to_json(text):
    "A generated text as one line of JSON. Log-probabilities keep the digits of float32."
    fields = dict(
        prompt=text.prompt,
        text=text.text,
        new=text.new,
        log_probs=[float(str(value)) for value in text.log_probs],
        bits_per_char=text.bits_per_char if text.new else None,
        seed=text.seed,
    )
    return json.dumps(fields)


def info(
    args,  # parsed arguments
):
    "Print what a model file contains."
    description = describe_model(args.model)
    if args.json:
        print(json.dumps(description))
        return
    config = ", ".join(f"{name}={value}" for name, value in description["config"].items())
    print(printable(f"{args.model}: {description['arch']}, {config}, format {description['format']}"))
    for label, value in _info_rows(description):
        # a file of a stranger may hold anything, also line breaks
        print(f"  {label:<11} {printable(value, max_len=_max_row)}")


def _info_rows(description):
    "Yield a label and a text for each row."
    data = description["data"]
    training = description["training"]
    chars = description["vocab"]
    yield "window", f"{description['seq_len']} characters"
    yield "vocabulary", f"{len(chars)} characters: {''.join(chars[1:])!r}"
    yield "text", f"{data.get('n_chars', 0):,} characters, validated on {data.get('split', 'nothing')}"
    for earlier in data.get("earlier", ()):
        yield "before", f"{earlier.get('n_chars', 0):,} characters, validated on {earlier.get('split', 'nothing')}"
    yield "trained", epochs_text(training.get("epochs", 0)) + _last_losses(training.get("log", []))
    if "ngram_loss" in data:
        contexts = f", contexts up to {data['ngram_context']} characters" if "ngram_context" in data else ""
        yield "n-grams", f"{data['ngram_loss']:.4f} nats on the validation part{contexts}"
    if {"counts.keys", "counts.chars"} <= description["tensors"].keys():
        # the tables of a mixture
        n_contexts, n_chars = (math.prod(description["tensors"][f"counts.{name}"]) for name in ("keys", "chars"))
        yield "counts", f"{n_contexts:,} contexts, {n_chars:,} characters after them"
    yield "tensors", ", ".join(f"{name} {tuple(shape)}" for name, shape in description["tensors"].items())
    yield "versions", ", ".join(f"{name} {version}" for name, version in description["versions"].items())


def _last_losses(log):
    "The losses of the last epoch, if it was validated."
    if not log or "valid_loss" not in log[-1]:
        return ""
    return f", last: train {log[-1].get('train_loss', math.nan):.4f}, valid {log[-1]['valid_loss']:.4f} nats"


def epochs_text(
    n: int,  # number of epochs
    kind: str = "",  # a word before "epochs", with a space
) -> str:  # "1 epoch", "4 epochs"
    "A number of epochs, in words."
    return f"{n} {kind}epoch{'' if n == 1 else 's'}"
