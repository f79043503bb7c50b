"""What `charrnn train` does: read a text, train on it, save the model, show samples and a verdict (`cli`)."""

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
from ..data.corpus import human_numbers, nietzsche, python_reference, read_text
from ..errors import DownloadError, TrainingError, UnknownCharError
from ..io.checkpoint import SaveModelFile, StopOnSignal, check_memory, check_place, check_room
from ..io.format import with_suffix
from ..io.model_file import save_model
from .generate import epochs, note_long_prompts
from .plan import make_plan

__all__ = ["train"]

# seconds, where nobody asked for the corpus by name
_download_limit = 10
# seconds between two files of a fit by the clock
_save_seconds = 60
_n_samples, _sample_chars = 3, 200
# training characters from which n-grams are counted, the last ones: more take long and much memory
_most_counted = 5_000_000
# characters that are trained on within two minutes
_quick = 3_000_000


def train(
    args,  # parsed arguments
):
    """Train and save a model, then print its loss beside that of n-grams, samples and a verdict.

    Of several processes, only the first prints and writes."""
    out = with_suffix(args.out) if rank_distrib() else check_place(args.out, args.overwrite)
    name, text = _corpus(args)
    plan = make_plan(args, len(text))
    dls = plan.dls(text, valid_pct=_valid_pct(args, name, text), device=args.device)
    _check_prompts(args, dls.vocab)
    check_memory(plan.count_parameters(dls))
    saving = SaveModelFile(out, _save_seconds if plan.minutes else None)
    stopping = StopOnSignal()
    learn = plan.learner(dls, prompts=args.prompt or [], temperature=args.temperature, cbs=[saving, stopping])
    n_params = sum(p.numel() for p in learn.model.parameters())
    check_room(out, n_params)
    _say(f"{dls}\n{plan}: {n_params:,} parameters")
    if len(text) > _quick and not (args.minutes or args.recipe):
        _say("a text of this size takes more than two minutes; --minutes 2 limits the time")
    if num_distrib() > 1:
        rows = "streams" if dls.stateful else "windows"
        _say(f"{num_distrib()} processes, batches of {dls.train.bs} {rows} on each")
    with learn.distrib_ctx(), stopping:
        _fit(learn, plan, saving)
    if not rank_distrib():
        _report(learn, args, plan, text, out)


def _corpus(args):
    "The name of the text (None for a file) and the text; where none was asked for, one line says which it is and why."
    if args.file:
        return None, read_text(args.file, args.encoding or "utf-8")
    if args.corpus:
        read = dict(
            nietzsche=lambda: read_text(nietzsche()), python_reference=python_reference, human_numbers=human_numbers
        )
        return args.corpus, read[args.corpus]()
    try:
        path = nietzsche(timeout=_download_limit)
        name = "nietzsche"
        text = read_text(path)
        why = f"found at {path}"
    except DownloadError as e:
        name = "python_reference"
        text = python_reference()
        why = f"the embedded text, because {e}"
    _say(f"corpus: {name}, {why}")
    return name, text


def _valid_pct(args, name, text):
    "The part that validates; that of human_numbers is the course's, from 8,001 on."
    if args.valid_pct is not None:
        return args.valid_pct
    return len(human_numbers("valid")) / len(text) if name == "human_numbers" else 0.1


def _check_prompts(args, vocab):
    for prompt in args.prompt or ():
        if odd := [c for c in prompt if c not in vocab]:
            raise UnknownCharError(
                f"--prompt {prompt!r}: {odd[0]!r} is not in the text, so the model cannot know it; "
                "use only characters of the text"
            )


def _say(line):
    if not rank_distrib():
        print(line, flush=True)


def _fit(learn, plan, saving):
    "Train, with a bar for the whole run on a terminal and plain rows elsewhere. An error says what is on disk."
    on_terminal = sys.stdout.isatty()
    with learn.no_bar() if not (on_terminal and plan.minutes) else nullcontext():
        if not on_terminal:
            _print_header(learn, plan)
        learn.logger = _print_row
        bar = [RunProgress()] if on_terminal and not plan.minutes else []
        try:
            plan.fit(learn, cbs=bar)
        except KeyboardInterrupt:
            if plan.minutes:
                saving.save()
            raise KeyboardInterrupt(f"interrupted; {_on_disk(saving, plan)}") from None
        except TrainingError as e:
            raise TrainingError(f"{e}; {_on_disk(saving, plan)}") from None
    if plan.minutes:
        save_model(learn, saving.path)


def _on_disk(saving, plan):
    "What was saved, for an error."
    if not saving.saved:
        return "nothing was saved"
    if plan.minutes:
        return f"{saving.path} holds the model as far as it was trained"
    return f"{saving.path} holds the model after {epochs(saving.saved)}"


def _print_header(learn, plan):
    measured = [] if plan.minutes else ["valid_loss", *learn.metrics.attrgot("name")]
    if not rank_distrib():
        _print_row(["epoch", "train_loss", *measured, "time"])


def _print_row(values):
    print("  ".join(f"{v:>13.4f}" if isinstance(v, float) else f"{v!s:>13}" for v in values), flush=True)


def _report(learn, args, plan, text, out):
    "The loss beside that of n-grams, samples, the verdict, and what to type next."
    counted = ngram_baseline(learn.dls, max_chars=_most_counted)
    ngrams = counted.best
    row = learn.training_log.rows[-1]
    table = comparison(row, f"{learn.arch.name}, {plan.length}", ngrams)
    print(f"\n{table}\nvalidated on {learn.dls.train_ds.info['split']}")
    if counted.n_train == _most_counted:
        print(f"n-grams: only the last {_most_counted:,} training characters were counted")
    prompts = args.prompt or held_out_prompts(learn, text)
    _print_samples(learn, prompts, args)
    print(f"\n{verdict(row['valid_loss'], row['train_loss'], ngrams.nats, bool(args.recipe))}")
    program = _program()
    model = shlex.quote(str(out))
    # a command of one line, if there is a prompt of one line
    prompt = next((p for p in prompts if "\n" not in p), prompts[0])
    print(
        f"saved {out}; next, type\n"
        f"  {program} generate {model} --prompt {shlex.quote(prompt)} -n 200\n"
        f"  {program} info {model}"
    )


def held_out_prompts(
    learn,  # a trained learner
    text: str,  # its text
) -> list[str]:  # three, of about 8 characters, or 20 for a model that keeps its state
    "Beginnings of words in the held-out part, as prompts."
    spans = learn.dls.train_ds.info.get("spans")
    start, end = spans[1][0] if spans else (int(len(text) * 0.9), len(text))
    size = 20 if learn.dls.stateful else learn.dls.seq_len
    places = [start + (end - start) * k // (_n_samples + 1) for k in range(1, _n_samples + 1)]
    return [_from_word(text, i, size) for i in places]


def _from_word(text, i, size):
    "`size` characters from the first beginning of a word at `i` or after it."
    word = re.compile(r"(?<=\s)\w").search(text, i)
    i = word.start() if word and word.start() + size <= len(text) else min(i, len(text) - size)
    return text[i : i + size]


def _print_samples(learn, prompts, args):
    "Continuations as text."
    how = f"temperature {args.temperature:g}, seed {args.seed}" if args.temperature else "greedy"
    print(f"\nsamples ({how}), which continue {'your prompts' if args.prompt else 'words of the part held out'}:")
    note_long_prompts(learn, prompts)
    texts = learn.generate(prompts, _sample_chars, temperature=args.temperature, seed=args.seed)
    for k, o in enumerate(texts, 1):
        print(f"\n--- {k} of {len(texts)}: {o.prompt!r}\n{o}")


def _program():
    "How to call this program again from here: by name where the shell finds it."
    here = os.path.abspath(sys.argv[0])
    if sys.argv[0].endswith("__main__.py"):
        return f"{os.path.basename(sys.executable)} -m fastai_charrnn"
    return "charrnn" if shutil.which("charrnn") == here else os.path.relpath(sys.argv[0])
