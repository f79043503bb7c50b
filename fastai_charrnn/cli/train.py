"""The command `charrnn train`: read a text, train on it, save the model, print samples and a verdict."""

import os
import re
import shlex
import shutil
import sys
from contextlib import nullcontext

from fastai.basics import num_distrib, rank_distrib

from ..analysis.ngrams import ngram_baseline
from ..analysis.verdict import comparison, verdict
from ..callback.progress import RunProgress
from ..data.corpus import human_numbers, nietzsche, python_reference
from ..data.text_file import read_text
from ..errors import DownloadError, TrainingError, UnknownCharError
from ..io.checkpoint import SaveModelFile, StopOnSignal, check_memory, check_place, check_room
from ..io.format import with_suffix
from ..io.model_file import save_model
from .generate import epochs_text, note_long_prompts
from .plan import make_plan

__all__ = ["train"]

# seconds to wait for a download that nobody asked for
_download_timeout = 10
# seconds between two saves with `--minutes`
_save_interval = 60
_n_samples = 3
_sample_chars = 200
# n-grams are counted in this many training characters, the last ones, to limit time and memory
_max_counted = 5_000_000
# texts up to this many characters train within two minutes
_max_quick = 3_000_000


def train(
    args,  # parsed arguments
):
    """Train and save a model, then print its loss next to that of n-grams, samples and a verdict.

    Of several processes, only the first prints and writes."""
    is_first = rank_distrib() == 0
    out = check_place(args.out, args.overwrite) if is_first else with_suffix(args.out)
    name, text = _read_corpus(args)
    plan = make_plan(args, len(text))
    dls = plan.dls(text, valid_pct=_valid_pct(args, name, text), device=args.device)
    _check_prompts(args, dls.vocab)
    check_memory(plan.count_parameters(dls))
    saving = SaveModelFile(out, _save_interval if plan.minutes else None)
    stopping = StopOnSignal()
    learn = plan.learner(dls, prompts=args.prompt or [], temperature=args.temperature, cbs=[saving, stopping])
    n_params = sum(p.numel() for p in learn.model.parameters())
    check_room(out, n_params)
    _print_first(f"{dls}\n{plan}: {n_params:,} parameters")
    if len(text) > _max_quick and not plan.minutes:
        _print_first("a text of this size takes more than two minutes; --minutes 2 limits the time")
    _print_processes(dls)
    with learn.distrib_ctx(), stopping:
        _fit(learn, plan, saving)
    if is_first:
        _report(learn, args, plan, text, out)


def _read_corpus(args):
    "The name of the corpus (None for a file) and the text. Prints which corpus was chosen if none was given."
    if args.file:
        return None, read_text(args.file, args.encoding or "utf-8")
    if args.corpus == "human_numbers":
        return args.corpus, human_numbers()
    if args.corpus == "python_reference":
        return args.corpus, python_reference()
    if args.corpus == "nietzsche":
        return args.corpus, read_text(nietzsche())
    return _default_corpus()


def _default_corpus():
    "Nietzsche, or the embedded text if it cannot be found or downloaded."
    try:
        path = nietzsche(timeout=_download_timeout)
    except DownloadError as error:
        _print_first(f"corpus: python_reference, the embedded text, because {error}")
        return "python_reference", python_reference()
    text = read_text(path)
    _print_first(f"corpus: nietzsche, found at {path}")
    return "nietzsche", text


def _valid_pct(args, name, text):
    "The fraction that validates. In human_numbers the course validates on the numbers from 8,001."
    if args.valid_pct is not None:
        return args.valid_pct
    if name == "human_numbers":
        return len(human_numbers("valid")) / len(text)
    return 0.1


def _check_prompts(args, vocab):
    for prompt in args.prompt or ():
        unknown = [char for char in prompt if char not in vocab]
        if unknown:
            raise UnknownCharError(
                f"--prompt {prompt!r}: {unknown[0]!r} is not in the text, so the model cannot know it; "
                "use only characters of the text"
            )


def _print_first(line):
    "Print a line in the first of several processes."
    if rank_distrib() == 0:
        print(line, flush=True)


def _print_processes(dls):
    if num_distrib() > 1:
        rows = "streams" if dls.stateful else "windows"
        _print_first(f"{num_distrib()} processes, batches of {dls.train.bs} {rows} on each")


# training


def _fit(learn, plan, saving):
    "Train, with a bar for the whole run on a terminal and plain rows elsewhere. An error says what was saved."
    on_terminal = sys.stdout.isatty()
    if not on_terminal:
        _print_header(learn, plan)
    learn.logger = _print_row
    run_bar = [RunProgress()] if on_terminal and not plan.minutes else []
    # a fit with a time limit has a bar of its own
    shows_own_bar = on_terminal and plan.minutes
    with nullcontext() if shows_own_bar else learn.no_bar():
        try:
            plan.fit(learn, cbs=run_bar)
        except KeyboardInterrupt:
            if plan.minutes:
                saving.save()
            raise KeyboardInterrupt(f"interrupted; {_what_was_saved(saving, plan)}") from None
        except TrainingError as error:
            raise TrainingError(f"{error}; {_what_was_saved(saving, plan)}") from None
    if plan.minutes:
        save_model(learn, saving.path)


def _what_was_saved(saving, plan):
    "The last part of an error message."
    if not saving.saved:
        return "nothing was saved"
    if plan.minutes:
        return f"{saving.path} contains the model as trained so far"
    return f"{saving.path} contains the model after {epochs_text(saving.saved)}"


def _print_header(learn, plan):
    "The names of the columns. With a time limit there is no validation while training."
    if rank_distrib() == 0:
        validation = [] if plan.minutes else ["valid_loss", *learn.metrics.attrgot("name")]
        _print_row(["epoch", "train_loss", *validation, "time"])


def _print_row(values):
    cells = [f"{value:>13.4f}" if isinstance(value, float) else f"{value!s:>13}" for value in values]
    print("  ".join(cells), flush=True)


# after training


def _report(learn, args, plan, text, out):
    "Print the loss next to that of n-grams, samples, a verdict, and the next commands."
    baseline = ngram_baseline(learn.dls, max_chars=_max_counted)
    numbers = learn.training_log.rows[-1]
    table = comparison(numbers, f"{learn.arch.name}, {plan.length}", baseline.best)
    print(f"\n{table}\nvalidated on {learn.dls.train_ds.info['split']}")
    if baseline.n_train == _max_counted:
        print(f"n-grams: only the last {_max_counted:,} training characters were counted")
    prompts = args.prompt or held_out_prompts(learn, text)
    _print_samples(learn, prompts, args)
    is_best = bool(args.recipe)
    print(f"\n{verdict(numbers['valid_loss'], numbers['train_loss'], baseline.best.nats, is_best)}")
    _print_next_commands(prompts, out)


def held_out_prompts(
    learn,  # a trained learner
    text: str,  # the text that it was trained on
) -> list[str]:  # 3 prompts of 20 characters for a stateful model, else of the length of a window
    "Prompts from the validation part. Each begins with a word."
    spans = learn.dls.train_ds.info.get("spans")
    start, end = spans[1][0] if spans else (int(len(text) * 0.9), len(text))
    size = 20 if learn.dls.stateful else learn.dls.seq_len
    positions = [start + (end - start) * k // (_n_samples + 1) for k in range(1, _n_samples + 1)]
    return [_from_word(text, position, size) for position in positions]


def _from_word(text, position, size):
    "`size` characters from the next beginning of a word."
    word = re.compile(r"(?<=\s)\w").search(text, position)
    start = word.start() if word else position
    if start + size > len(text):
        start = min(position, len(text) - size)
    return text[start : start + size]


def _print_samples(learn, prompts, args):
    mode = f"temperature {args.temperature:g}, seed {args.seed}" if args.temperature else "greedy"
    source = "your prompts" if args.prompt else "words of the validation part"
    print(f"\nsamples ({mode}), which continue {source}:")
    note_long_prompts(learn, prompts)
    samples = learn.generate(prompts, _sample_chars, temperature=args.temperature, seed=args.seed)
    for number, sample in enumerate(samples, 1):
        print(f"\n--- {number} of {len(samples)}: {sample.prompt!r}\n{sample}")


def _print_next_commands(prompts, out):
    "Print commands to copy, with a prompt of one line if there is one."
    prompt = next((prompt for prompt in prompts if "\n" not in prompt), prompts[0])
    model = shlex.quote(str(out))
    program = _program()
    print(f"saved {out}; next, type")
    print(f"  {program} generate {model} --prompt {shlex.quote(prompt)} -n 200")
    print(f"  {program} info {model}")


def _program():
    "How to call this program again from here: by name if the shell finds it."
    path = os.path.abspath(sys.argv[0])
    if sys.argv[0].endswith("__main__.py"):
        return f"{os.path.basename(sys.executable)} -m fastai_charrnn"
    return "charrnn" if shutil.which("charrnn") == path else os.path.relpath(sys.argv[0])
