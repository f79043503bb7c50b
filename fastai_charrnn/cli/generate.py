"""What the commands of `charrnn` do that need no fastai: `generate` and `info`, given the parsed arguments (`cli`)."""

import json
import secrets
import sys

from ..errors import CorpusError
from ..generation.decoders import is_stateful
from ..io.format import describe_model
from ..io.generator import load_generator

__all__ = ["generate", "info"]

# the line between two texts
_between = "---"


_options = ("n", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "stop", "seed")


def generate(
    args,  # parsed arguments
):
    "Print every prompt with its continuations: all at once, or one after another as they are generated."
    learn, prompts = load_generator(args.model), _prompts_of(args)
    # one seed for all prompts
    drawn = args.temperature != 0 and not args.beam
    if drawn and args.seed is None:
        args.seed = secrets.randbits(32)
    options = {k: getattr(args, k) for k in _options}
    options |= dict(return_prompt=not args.no_prompt, unk=args.unk)
    if args.stream:
        _stream(learn, prompts, options)
    else:
        _print_all(learn, list(prompts), args, options)
    if drawn:
        print(f"charrnn: seed {args.seed}", file=sys.stderr)


def _stream(learn, prompts, options):
    "Characters as they are generated."
    for k, prompt in enumerate(prompts):
        note_long_prompts(learn, [prompt])
        if k:
            print(_between)
        for c in learn.generate(prompt, stream=True, **options):
            print(c, end="", flush=True)
        print(flush=True)


def _print_all(learn, prompts, args, options):
    note_long_prompts(learn, prompts)
    texts = learn.generate(prompts, num=args.num, beam=args.beam, **options)
    for k, o in enumerate(texts):
        if k and not args.json:
            print(_between)
        print(_as_json(o) if args.json else o)


def note_long_prompts(
    learn,  # a model that reads windows, or keeps a state
    prompts: list[str],  # texts to continue
):
    "Say on stderr, once, how many characters of a prompt count, if a prompt has more."
    n = None if is_stateful(learn.model) else learn.dls.seq_len
    long = next((p for p in prompts if n is not None and len(p) > n), None)
    if long is None:
        return
    print(
        f"charrnn: the model reads the last {n} characters of a prompt; of {short_repr(long)} only {long[-n:]!r} counts",
        file=sys.stderr,
    )


def short_repr(
    s: str,  # a text
) -> str:
    "Its `repr`, cut to 40 characters."
    return repr(s if len(s) <= 40 else s[:37] + "...")


def _prompts_of(args):
    "Those given, then the lines of the file or of standard input as they come."
    yield from args.prompt or ()
    if args.prompts is None:
        return
    try:
        source = sys.stdin.buffer if args.prompts == "-" else open(args.prompts, "rb")
    except OSError as e:
        raise CorpusError(
            f"cannot read {args.prompts}: {e.strerror}; pass a file of prompts, one a line, or -"
        ) from None
    with source:
        for k, line in enumerate(source, 1):
            try:
                yield line.decode("utf-8-sig" if k == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                raise CorpusError(
                    f"line {k:,} of {args.prompts} is not valid utf-8; convert it, as with iconv -f latin-1 -t utf-8"
                ) from None


def _as_json(o):
    "A result as one line; log-probabilities with the digits they have."
    log_probs = [float(str(v)) for v in o.log_probs]
    bits = o.bits_per_char if o.new else None
    return json.dumps(
        dict(prompt=o.prompt, text=o.text, new=o.new, log_probs=log_probs, bits_per_char=bits, seed=o.seed)
    )


def info(
    args,  # parsed arguments
):
    "Print what a model file holds."
    d = describe_model(args.model)
    if args.json:
        return print(json.dumps(d))
    data = d["data"]
    log = d["training"].get("log", [])
    config = ", ".join(f"{k}={v}" for k, v in d["config"].items())
    rows = dict(
        seq_len=f"{d['seq_len']} characters",
        vocabulary=f"{len(d['vocab'])} characters: {''.join(d['vocab'][1:])!r}",
        text=f"{data.get('n_chars', 0):,} characters, validated on {data.get('split', 'nothing')}",
        trained=f"{epochs(d['training'].get('epochs', 0))}{_last_losses(log)}",
        tensors=", ".join(f"{k} {tuple(v)}" for k, v in d["tensors"].items()),
        versions=", ".join(f"{k} {v}" for k, v in d["versions"].items()),
    )
    print(f"{args.model}: {d['arch']}, {config}, format {d['format']}")
    for name, value in rows.items():
        print(f"  {name:<11} {value}")


def _last_losses(log):
    "The losses of the last epoch, if it was validated."
    if not log or "valid_loss" not in log[-1]:
        return ""
    return f", last: train {log[-1]['train_loss']:.4f}, valid {log[-1]['valid_loss']:.4f} nats"


def epochs(
    n: int,  # how many
) -> str:  # "1 epoch", "4 epochs"
    "A number of epochs, in words."
    return f"{n} epoch{'' if n == 1 else 's'}"
