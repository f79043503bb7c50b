"""What `charrnn train` prints after training: the loss next to that of n-grams, samples, a verdict, next commands."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from .._utils import unwrap_model
from ..analysis.verdict import comparison, verdict
from ..callback.write_policy import errors_as_chosen
from ..io.model_file import save_model
from ..learner import CharLearner
from ..models.mixture import CharMixture
from .generate import note_long_prompts
from .plan import Plan
from .terminal import for_terminal
from .time_plan import CountedNgrams

__all__ = ["report", "held_out_prompts", "file_argument", "program", "SAMPLE_CHARS"]

_n_samples = 3
SAMPLE_CHARS = 200
# prompts are looked for in so many characters at most
_max_searched = 100_000


def report(
    learn: CharLearner,  # the trained learner
    args,  # parsed arguments
    plan: Plan,  # what was trained
    out: Path,  # the model file
    ngrams: CountedNgrams,  # of the text
    prompts: list[str],  # of the samples
):
    "Print the loss next to that of n-grams, samples, a verdict, and the next commands."
    _store(learn, ngrams, out)
    numbers = learn.training_log.rows[-1]
    table = comparison(numbers, f"{learn.arch.name}, {plan.length}", ngrams.baseline.best)
    print(f"\n{table}\n{_validated(learn, numbers)}")
    if ngrams.is_part_of(len(learn.dls.train_ds.ids)):
        print(ngrams.note)
    _print_samples(learn, prompts, args)
    is_best = bool(args.recipe)
    print(f"\n{verdict(numbers['valid_loss'], numbers['train_loss'], ngrams.baseline.best.nats, is_best)}")
    _print_next_commands(prompts, out, isinstance(unwrap_model(learn.model), CharMixture))


def _validated(learn, numbers):
    "Which part of the text was validated."
    split = f"validated on {learn.dls.train_ds.info['split']}"
    if "valid_part" not in numbers:
        return split
    n_chars = round(numbers["valid_part"] * learn.dls.valid_ds.n_targets)
    return f"{split}: {n_chars:,} characters spread over it, {numbers['valid_part']:.0%}, which fit in the time"


def _store(learn, ngrams, out):
    "Add the loss of n-grams to the model file, if they were not counted before it was saved. Errors are warnings."
    if "ngram_loss" in learn.dls.train_ds.info:
        return
    ngrams.describe_in(learn.dls)
    with errors_as_chosen("warn"):
        save_model(learn, out)


def held_out_prompts(
    learn: CharLearner,  # a learner with its text
) -> list[str]:  # 3 prompts of 20 characters for a stateful model, else of the length of a window
    "Prompts from the validation part. Each begins with a word, and is inside one document."
    info = learn.dls.train_ds.info
    ids = learn.dls.train_ds.ids
    begin, end = info["spans"][1][0] if info.get("spans") else (int(len(ids) * 0.9), len(ids))
    size = 20 if learn.dls.stateful else learn.dls.seq_len
    # some more characters before, for a part that is shorter than a prompt
    begin = max(min(begin, end - size), 0)
    end = min(end, begin + _max_searched)
    text = learn.dls.vocab.decode(ids.stretch(begin, end))
    # every document ends with a line break
    rest = r"[^\n]" if "documents" in info else r"[\s\S]"
    word = re.compile(rf"(?<=\s)\w{rest}{{{size - 1}}}")
    positions = [len(text) * k // (_n_samples + 1) for k in range(1, _n_samples + 1)]
    return [_from_word(text, position, size, word) for position in positions]


def _from_word(text, position, size, word):
    "`size` characters from the next beginning of a word, if there is one."
    if found := word.search(text, position) or word.search(text):
        return found[0]
    start = max(min(position, len(text) - size), 0)
    return text[start : start + size]


def _print_samples(learn, prompts, args):
    mode = f"temperature {args.temperature:g}, seed {args.seed}" if args.temperature else "greedy"
    source = "your prompts" if args.prompt else "words of the validation part"
    print(f"\nsamples ({mode}), which continue {source}:")
    note_long_prompts(learn, prompts)
    samples = learn.generate(prompts, SAMPLE_CHARS, temperature=args.temperature, seed=args.seed)
    for number, sample in enumerate(samples, 1):
        print(f"\n--- {number} of {len(samples)}: {sample.prompt!r}\n{for_terminal(sample)}")


def _print_next_commands(prompts, out, is_mixture):
    "Print commands to copy, with a prompt of one line if there is one."
    prompt = next((prompt for prompt in prompts if "\n" not in prompt), prompts[0])
    model = file_argument(out)
    # a text that begins with - would be an option
    option = f"--prompt={shlex.quote(prompt)}" if prompt.startswith("-") else f"--prompt {shlex.quote(prompt)}"
    print(f"saved {out}; next, type")
    print(f"  {program()} generate {model} {option} -n 200")
    # a page runs networks without counts
    print(f"  {program()} {'serve' if is_mixture else 'page'} {model}")
    print(f"  {program()} info {model}")


def file_argument(
    path: Path,  # a file
) -> str:
    "A file as a shell and argparse read it: quoted, and not beginning with -."
    name = str(path)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def program() -> str:
    "How to call this program again from here: by name if the shell finds it."
    path = os.path.abspath(sys.argv[0])
    if sys.argv[0].endswith("__main__.py"):
        return f"{os.path.basename(sys.executable)} -m fastai_charrnn"
    return "charrnn" if shutil.which("charrnn") == path else os.path.relpath(sys.argv[0])
