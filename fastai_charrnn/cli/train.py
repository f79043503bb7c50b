"""The command `charrnn train`: read a text, train on it, save the model, print samples and a verdict."""

import shutil
import signal
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from fastai.basics import noop, num_distrib, rank_distrib

from .._checks import MAX_COUNT
from .._deadline import Deadline
from .._utils import count_weights
from ..callback.checkpoint import CheckpointCallback
from ..callback.fp16 import fast_bf16
from ..callback.progress import RunProgress
from ..callback.signals import StopOnSignal
from ..callback.timed_validation import validate_until
from ..errors import ResumeError, TrainingError, UnknownCharError
from ..io.checkpoint import SaveModelFile, check_place, check_room
from ..io.format import with_suffix
from ..recipes.best import BestRecipe
from ..serve.watch import WatchCallback
from .checks import training_minutes
from .clock_rows import ClockRows
from .continued import continued_plan
from .corpus import read_corpus
from .generate import epochs_text
from .plan import Plan, make_plan
from .report import SAMPLE_CHARS, file_argument, held_out_prompts, program, report
from .stored_corpus import text_folder
from .time_plan import count_ngrams, prepare_report
from .unfinished import CommandOptions, check_unfinished, checkpoint_of, read_options, remove_checkpoint, training_lock

__all__ = ["train"]

# minutes between two checkpoints: not by epochs, which may take a tenth of a second
_checkpoint_minutes = 0.25
# seconds between two saves with `--minutes`
_save_interval = 60
# seconds to validate in after Ctrl-C
_quick_seconds = 2
# texts up to this many characters train within two minutes
_max_quick = 3_000_000


def train(
    args,  # parsed arguments
):
    """Train and save a model, then print its loss next to that of n-grams, samples and a verdict.

    Of several processes, only the first prints and writes."""
    if args.out.is_dir():
        # raises
        check_place(args.out)
    out = with_suffix(args.out)
    if rank_distrib():
        _read_and_train(args, out)
        return
    if not args.resume and not args.overwrite and out.parent.is_dir():
        check_unfinished(out, False, False)
    check_place(args.out, args.overwrite or args.resume)
    with training_lock(out):
        check_unfinished(out, args.resume, args.overwrite)
        _read_and_train(args, out)


def _read_and_train(args, out):
    with _watched(args) as watching:
        recorded = read_options(args, out) if args.resume else {}
        with text_folder(out) as folder:
            _train(args, out, read_corpus(args, folder), recorded, watching)


@contextmanager
def _watched(args):
    "The callback of `--watch`, in a list. At the end an open page gets the last numbers."
    if not args.watch:
        yield []
        return
    watch = WatchCallback(8001 if args.watch_port is None else args.watch_port, args.watch_host or "127.0.0.1")
    try:
        yield [watch]
    finally:
        watch.stop()


def _train(args, out, corpus, recorded, watching):
    if corpus.note:
        _print_first(corpus.note)
    plan = _plan(args, corpus, recorded)
    if args.from_model:
        corpus = corpus.in_vocab(plan.vocab)
    dls = plan.dls(corpus.text, device=args.device, **corpus.split())
    corpus.describe_in(dls)
    digest = dls.train_ds.info["digest"]
    if digest != recorded.get("digest", digest):
        raise ResumeError("this is another text than that of the interrupted training; give the same text again")
    if plan.minutes:
        is_bf16 = recorded.get("bf16", dls.device.type == "cpu" and fast_bf16())
        plan = replace(plan, bf16=is_bf16)
    _check_prompts(args, dls.vocab)
    saving = SaveModelFile(out, _save_interval if plan.minutes else None)
    stopping = StopOnSignal(send_again=False)
    checkpoint = CheckpointCallback(checkpoint_of(out), None, _checkpoint_minutes)
    cbs = [saving, stopping, checkpoint, CommandOptions(args, plan, digest), *watching]
    # with a time limit, samples are printed by the clock and not after every epoch
    samples = dict(every=MAX_COUNT) if plan.minutes else {}
    learn = plan.learner(dls, prompts=args.prompt or [], temperature=args.temperature, cbs=cbs, **samples)
    n_params = count_weights(learn.model)
    check_room(out, n_params)
    _print_first(f"{dls}\n{plan}: {n_params:,} parameters{plan.why}")
    if corpus.n_chars > _max_quick and not plan.minutes:
        _print_first("a text of this size takes more than two minutes; --minutes 2 limits the time")
    _print_processes(dls)
    prompts = args.prompt or held_out_prompts(learn)
    ngrams, deadline = None, None
    if plan.minutes and num_distrib() <= 1:
        limit = Deadline(args.began + 60 * plan.minutes)
        ngrams, deadline = prepare_report(learn, limit, plan.minutes, prompts, SAMPLE_CHARS)
    with learn.distrib_ctx(), stopping:
        if recorded:
            learn.resume(checkpoint.path)
            saving.saved = learn.saved_fit.position.epoch if out.exists() else 0
        shows = ClockRows(_print_line, prompts[0], args.temperature, args.seed)
        _fit(learn, plan, saving, stopping, shows, deadline)
    if rank_distrib() == 0:
        remove_checkpoint(checkpoint.path)
        report(learn, args, plan, out, ngrams or count_ngrams(dls), prompts)


def _plan(args, corpus, recorded):
    "What to train. A training that is resumed has the recipe of its first command."
    if args.from_model:
        return continued_plan(args, corpus)
    if recorded.get("recipe"):
        return Plan(BestRecipe(**recorded["recipe"]), args.seed, training_minutes(args))
    return make_plan(args, corpus.n_chars)


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


def _fit(learn, plan, saving, stopping, clock_rows, deadline):
    "Train, with a bar for the whole run on a terminal and plain rows elsewhere. An error says what was saved."
    on_terminal = sys.stdout.isatty()
    if plan.minutes:
        # rows by the clock, not by epochs
        learn.logger = noop
        shows = [clock_rows]
    else:
        learn.logger = _print_row
        shows = [RunProgress()] if on_terminal else []
        if not on_terminal:
            _print_header(learn)
    # a fit with a time limit has a bar of its own
    shows_own_bar = on_terminal and plan.minutes
    with nullcontext() if shows_own_bar else learn.no_bar():
        try:
            plan.fit(learn, cbs=shows, deadline=deadline)
        except KeyboardInterrupt:
            if plan.minutes and stopping.received == signal.SIGINT:
                _print_loss_so_far(learn, stopping)
            raise KeyboardInterrupt(f"interrupted; {_what_was_saved(saving, plan)}{_way_on(saving.path)}") from None
        except TrainingError as error:
            # to resume would only end in the same way
            remove_checkpoint(checkpoint_of(saving.path))
            raise TrainingError(f"{error}; {_what_was_saved(saving, plan)}") from None
    saving.finish(learn)


def _print_loss_so_far(learn, stopping):
    "The validation loss of an interrupted training, on what can be read in two seconds. Another Ctrl-C skips it."
    try:
        # the callback would end the validation too; a second signal still does
        with learn.removed_cbs(stopping):
            values, part = validate_until(learn, Deadline.after(_quick_seconds))
    except KeyboardInterrupt:
        return
    where = "the validation part" if part >= 1 else f"{part:.0%} of the validation part"
    _print_line(f"validation loss so far: {float(values[0]):.4f}, on {where}")


def _what_was_saved(saving, plan):
    "The last part of an error message."
    if not saving.saved:
        return "no model was saved"
    if plan.minutes:
        return f"{saving.path} contains the model as trained {'before' if saving.failed else 'so far'}"
    more = "more " if plan.continues else ""
    return f"{saving.path} contains the model after {epochs_text(saving.saved, more)}"


def _way_on(out):
    "How to continue an interrupted training."
    return f"; {program()} train --resume --out {file_argument(out)} continues" if checkpoint_of(out).exists() else ""


def _print_header(learn):
    "The names of the columns."
    if rank_distrib() == 0:
        _print_row(["epoch", "train_loss", "valid_loss", *learn.metrics.attrgot("name"), "time"])


def _print_line(line):
    "Print a line in the first of several processes, on a terminal over the bar, which the next second draws again."
    if sys.stdout.isatty():
        print("\r" + " " * (shutil.get_terminal_size().columns - 1), end="\r")
    _print_first(line)


def _print_row(values):
    cells = [f"{value:>13.4f}" if isinstance(value, float) else f"{value!s:>13}" for value in values]
    print("  ".join(cells), flush=True)
