"""What the commands of `charrnn` do that train or evaluate: one function a command, given the parsed arguments (`cli`)."""
import os,shlex,shutil,sys
from contextlib import nullcontext

from fastai.basics import Recorder,num_distrib,rank_distrib

from .adapting import dynamic_evaluation
from .baseline import ngram_baseline
from .bundle import load_model,save_model
from .callbacks import EachTrainedEpoch
from .corpus import human_numbers,nietzsche,python_reference,read_text
from .data import CharDataLoaders
from .errors import CharRnnError,DataError,DownloadError,ModelFileError
from .learner import char_learner
from .light_commands import epochs
from .modelfile import with_suffix
from .recipes import best_recipe

__all__ = ["train", "evaluate", "reproduce"]

_download_limit = 10 # seconds, where nobody asked for the corpus by name
_prompts = {"nietzsche": ["for thos", "part of ", "The phil"], "python_reference": ["The valu", "for exam", "a functi"],
            "human_numbers": ["one thou", "nine hun", "twenty t"]}


def train(args):
    "Train, saving after every epoch; then the result beside n-grams, three texts, and what to type next. Of several processes, the first alone prints and writes."
    out = with_suffix(args.out) if rank_distrib() else _free_place(args.out, args.overwrite)
    _positive(args, "epochs", "lr")
    name,text = _corpus(args)
    course = len(human_numbers("valid"))/len(text) if name == "human_numbers" else .1 # the course's split, at 8,000
    valid_pct = course if args.valid_pct is None else args.valid_pct
    recipe = best_recipe(args.minutes or 5.) if args.recipe else None
    common = dict(valid_pct=valid_pct, device=args.device)
    dls = recipe.dls(text, **common) if recipe else _dls(args, text, common)
    n = min(dls.window, 8)
    prompts = args.prompt or _prompts.get(name) or [text[i:i+n] for i in (len(text)*k//4 for k in (1, 2, 3))]
    cbs,shown = SaveEachEpoch(out),args.prompt or []
    learn = (recipe.learner(dls, seed=args.seed, prompts=shown, cbs=cbs) if recipe else
             char_learner(dls, args.arch, n_hid=args.n_hid, emb_sz=args.emb_sz, config=_given(args, "n_layers", "dropout"), prompts=shown, seed=args.seed, cbs=cbs))
    args.arch = learn.arch.name
    _say(f"{dls}\n{args.arch}: {sum(p.numel() for p in learn.model.parameters()):,} parameters")
    if num_distrib() > 1: _say(f"{num_distrib()} processes, batches of {dls.train.bs} {'streams' if dls.stateful else 'windows'} on each")
    with learn.distrib_ctx(): _fit(learn, args, out, recipe)
    if rank_distrib(): return
    print(f"\n{_comparison(learn, args, ngram_baseline(dls))}\n")
    for p in prompts: print(f"{p!r} -> {learn.predict_next(p, n=80)!r}")
    quoted = shlex.quote(prompts[0])
    print(f"\nsaved {out}; next, type\n  {_program()} generate {shlex.quote(str(out))} --prompt {quoted} -n 200\n  {_program()} info {shlex.quote(str(out))}")


def _dls(args, text, common):
    "The data as the options say."
    n = (3 if args.arch == "char3" else 64 if args.stateful else 8) if args.n is None else args.n
    bs = (64 if args.stateful else 512) if args.bs is None else args.bs
    return CharDataLoaders.from_text(text, n=n, stride=args.stride, bs=bs, valid=args.valid, seed=args.seed, target="every" if args.stateful else args.target, stateful=args.stateful, **common)


def _given(args, *names): return {k:v for k in names if (v := getattr(args, k)) is not None}


def _say(s):
    if not rank_distrib(): print(s, flush=True)


def _program():
    "How to call this program again from here: by name where the shell finds it."
    return "charrnn" if shutil.which("charrnn") == os.path.abspath(sys.argv[0]) else os.path.relpath(sys.argv[0])


def _free_place(out, overwrite):
    "Where the model goes, made sure of before an epoch is spent."
    out = with_suffix(out)
    if out.exists() and not overwrite: raise ModelFileError(f"{out} exists; pass --overwrite to replace it, or another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.is_dir() or not os.access(out.parent, os.W_OK): raise ModelFileError(f"cannot write {out}; pass another --out")
    return out


def _positive(args, *names):
    for k in names:
        if not getattr(args, k) > 0: raise DataError(f"--{k.replace('_', '-')} {getattr(args, k)} is not above 0")


def _corpus(args):
    "The name of the corpus and its text, as asked for; where nothing was, one line says which and why."
    if args.file: return None,read_text(args.file, args.encoding)
    named = dict(nietzsche=lambda: read_text(nietzsche()), python_reference=python_reference, human_numbers=human_numbers)
    if args.corpus: return args.corpus,named[args.corpus]()
    try: name,text,why = "nietzsche",read_text(path := nietzsche(timeout=_download_limit)),f"found at {path}"
    except DownloadError as e: name,text,why = "python_reference",python_reference(),f"the embedded text, because {e}"
    _say(f"corpus: {name}, {why}")
    return name,text


class SaveEachEpoch(EachTrainedEpoch):
    "Keep the last finished epoch on disk, whatever happens to the next."
    order = Recorder.order+2 # after the epoch's numbers are logged

    def __init__(self, path): self.path,self.saved = path,0

    def trained_epoch(self):
        "Save, and count."
        save_model(self.learn, self.path)
        self.saved += 1


def _fit(learn, args, out, recipe=None):
    "One cycle, or by the clock; with fastai's bar on a terminal and plain rows elsewhere."
    minutes = args.minutes or (recipe.minutes if recipe else None)
    plain = not sys.stdout.isatty()
    with learn.no_bar() if plain else nullcontext():
        learn.logger = _row
        if plain: _say_row(["epoch", "train_loss", *([] if minutes else ["valid_loss", *learn.metrics.attrgot("name")]), "time"])
        try:
            if minutes: learn.fit_minutes(minutes, recipe.lr if recipe else args.lr)
            else: learn.fit_one_cycle(args.epochs, args.lr)
        except KeyboardInterrupt:
            done = learn.save_each_epoch.saved
            raise KeyboardInterrupt(f"interrupted; {out} holds the model after {epochs(done)}" if done else
                                    "interrupted before an epoch was finished; nothing was saved") from None
    if minutes: save_model(learn, out)


def _say_row(values):
    if not rank_distrib(): _row(values)


def _row(values): print("  ".join(f"{v:>13.4f}" if isinstance(v, float) else f"{v!s:>13}" for v in values), flush=True)


def _comparison(learn, args, ngrams):
    "The model's validation numbers above those of counting alone."
    row,best = learn.training_log.rows[-1],ngrams.best
    time = f"{row['minutes']:g} minutes" if "minutes" in row else epochs(args.epochs)
    rows = [("", "nats", "bits per char", "accuracy"),
            (f"{args.arch}, {time}", f"{row['valid_loss']:.4f}", f"{row['bits_per_char']:.4f}", f"{row['accuracy']:.4f}"),
            (f"n-grams, contexts to {best.context}", f"{best.nats:.4f}", f"{best.bits:.4f}", "")]
    return "\n".join(f"{a:<26}{b:>10}{c:>15}{d:>10}" for a,b,c,d in rows) + f"\nvalidated on {learn.dls.train_ds.info['split']}"


def evaluate(args):
    "Loss and metrics of a model on a text, by the way the model was trained or as asked."
    learn = load_model(args.model)
    text = read_text(args.file, args.encoding)
    if args.dynamic:
        values = dynamic_evaluation(learn, text, unk=args.unk)
        print(f"{args.file}: {len(text):,} characters, learning while reading: {values['dynamic_loss']:.4f} nats, {values['dynamic_bits_per_char']:.4f} bits per char (not to be compared with a loss of fixed weights)")
        return
    values = {k.removeprefix(f"{args.by}_"):v for k,v in learn.evaluate(text, unk=args.unk, by=args.by).items()}
    how = f", read in {args.by}" if args.by else ""
    print(f"{args.file}: {len(text):,} characters{how}, {values['loss']:.4f} nats, {values['bits_per_char']:.4f} bits per char, accuracy {values['accuracy']:.4f}")


def reproduce(args):
    "The reference's table, printed beside ours."
    from .reproduce import RECIPES,report
    if args.seeds < 1: raise CharRnnError(f"--seeds {args.seeds} is not above 0")
    if args.out and not args.out.parent.is_dir(): raise CharRnnError(f"there is no folder {args.out.parent} to write {args.out.name} to")
    text = report(read_text(nietzsche()), args.arch or tuple(RECIPES), args.seeds, not args.no_one_cycle, said=lambda s: print(s, file=sys.stderr, flush=True))
    print(text)
    if args.out:
        part = args.out.with_name(f".{args.out.name}.part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, args.out)
