"""`char_learner`: data and the name of an architecture in, a fastai `Learner` with the verbs of text out.

learn = char_learner(dls, arch="rnn")
learn.fit(4, 1e-3); learn.set_lrs(1e-4); learn.fit(2)     # lesson 6's schedule
learn.predict_next("for thos", n=40)
"""

import inspect
import warnings
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from copy import copy
from operator import attrgetter

import fastai.callback.all  # noqa: F401 (puts fit_one_cycle, lr_find, no_bar and the like on Learner)
from fastai.basics import (
    Adam,
    Callback,
    Learner,
    PrettyString,
    Recorder,
    Tensor,
    TrainEvalCallback,
    delegates,
    event,
    nn,
    noop,
    torch,
)

from ._utils import is_count
from .callback.core import FiniteLoss, StateResetter, TrainEpochCallback, check_has_text
from .callback.distributed import detach_distributed, distrib_ctx, to_distributed
from .callback.fp16 import to_bf16, to_fp16
from .callback.lr_find import lr_find
from .callback.samples import PredictNextCallback
from .callback.time_budget import fit_minutes
from .data.loaders import CharDataLoaders
from .data.streams import CharStreams
from .data.windows import CharIds, CharWindows
from .errors import ArchError, CharRnnWarning, DataError
from .generation.text import generate, next_probs, predict_next, score
from .metrics import BitsPerChar, CharAccuracy, CharLoss, CharNLLLoss, SmoothLoss
from .models.build import build_model
from .models.registry import get_arch

__all__ = ["CharLearner", "char_learner", "TrainingLog"]


class TrainingLog(TrainEpochCallback):
    "Keep what every epoch of every fit printed, so that a model file can say how its model was trained; fetch the epoch's smoothed losses from the device."

    order = Recorder.order + 1

    def __init__(self):
        self.rows = []
        self.warned = False  # whether the warning about a random split was given

    def before_train(self):
        "Raise `DataError` where there is no text. Warn once where the validation loss is flattered by a random split."
        check_has_text(self.dls)
        is_random = self.dls.train_ds.info.get("split", "").startswith("random")
        if self.warned or not is_random or hasattr(self.learn, "lr_finder"):
            return
        self.warned = True
        warnings.warn(
            'validation shares characters with training (valid="random", the split of lesson 6), so its loss is too low; '
            'for an honest loss make dls with valid="tail"',
            CharRnnWarning,
            stacklevel=2,
        )

    def trained_epoch(self):
        "Keep the numbers by name, and the learning rate they were reached with."
        named = zip(self.learn.recorder.metric_names[1:], self.learn.final_record)
        self.rows.append(
            {k: float(v) for k, v in named if isinstance(v, (int, float))} | {"lr": float(self.opt.hypers[-1]["lr"])}
        )
        self._fetch_losses()

    def after_batch(self):
        """Keep a batch's loss as a number of Python's until the epoch ends, where it is on the CPU anyway.

        A tensor is a small piece of the C library's heap, cut from the room that a batch's large tensors have just left; as it
        outlives the batch, the next one's would not fit there any more, and the heap grows by megabytes a batch."""
        losses = self.learn.recorder.losses if self.training and hasattr(self.learn, "recorder") else []
        if losses and losses[-1].device.type == "cpu":
            losses[-1] = float(losses[-1])

    def after_fit(self):
        self._fetch_losses()  # of an epoch that did not end

    def _fetch_losses(self):
        "Whoever plots the losses finds them as fastai's would be: tensors, on the CPU."
        losses = getattr(getattr(self.learn, "recorder", None), "losses", [])
        here = sum(isinstance(o, Tensor) and o.device.type == "cpu" for o in losses)
        if new := losses[here:]:
            losses[here:] = (torch.tensor(new) if isinstance(new[0], float) else torch.stack(new).cpu()).unbind()


class CharLearner(Learner):
    "A fastai `Learner` that continues text. Made by `char_learner`."

    training_now = False  # whether a fit is under way
    # the architecture's record and every argument it was built with: set by `char_learner`
    arch = None
    arch_config = {}
    predict_next = predict_next
    next_probs = next_probs
    generate = generate
    score = score
    fit_minutes, lr_find = fit_minutes, lr_find
    distrib_ctx = distrib_ctx
    to_distributed = to_distributed
    detach_distributed = detach_distributed
    to_bf16 = to_bf16
    to_fp16 = to_fp16

    def _call_one(self, event_name):
        """Send an event to the callbacks that handle it, in their order.

        As fastai's, which sends it to all: each then looks for a handler on itself, the learner and the model, in vain, at
        nine events a batch, which takes half of the time that fastai adds to a training step."""
        if not hasattr(event, event_name):
            raise Exception(f"missing {event_name}")  # fastai's own type and words
        for cb in sorted(self.cbs, key=attrgetter("order")):
            if _may_handle(cb, event_name):
                cb(event_name)

    def fit(
        self,
        n_epoch: int,  # times through the training part
        lr: float | slice | None = None,  # learning rate; None: the learner's
        wd: float | None = None,  # weight decay; None: the learner's
        cbs: Callback | list | None = None,  # callbacks for this fit alone
        reset_opt: bool = False,  # whether to begin with a new optimizer
        start_epoch: int = 0,  # the epoch to begin with; those before are skipped
    ):
        "As fastai's. Raises `TrainingError` at the first loss that is NaN or infinite; the weights stay those before that step."
        super().fit(n_epoch, lr, wd, cbs, reset_opt, start_epoch)
        stopped = getattr(self, "finite_loss", None)
        if stopped is not None and stopped.error is not None:
            raise stopped.error

    def set_lrs(
        self,
        lr: float | slice,  # the learning rate; a slice spreads it over parameter groups, as in `fit`
    ) -> "CharLearner":  # itself
        "Set the learning rate the next fit starts from; the optimizer's moments are kept."
        self.lr = lr
        if self.opt is not None:
            self.opt.set_hypers(lr=lr)
        return self

    def evaluate(
        self,
        text: str,  # a text of at least one window and a character more
        bs: int
        | None = None,  # rows in a batch; None: 4,096 windows, 512 chunks, or streams of 8,192 characters or more
        unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to put in their place
        by: str | None = None,  # how the text is read: "windows", "chunks" or "streams"; None: as the model was trained
    ) -> dict[str, float]:  # loss in nats, then the metrics, by name; with `by` named so: "streams_loss"
        """The loss and metrics on `text`; its numbers depend on how it is read, so they can be named by it.

        windows    every character after the first n, each from the n before it and a state of zeros
        chunks     every character after the first, from a state of zeros at each n-th
        streams    every character after the first, from all before it (in its row)

        Raises `UnknownCharError`, `DataError` for a text too short or an unknown way, `ArchError` for a way the model cannot read."""
        ids = CharIds.from_array(self.dls.vocab.encode(text, unk=unk))
        n = self.dls.seq_len
        own = trained_way(self.dls)
        way = own if by is None else by
        if way not in ("windows", "chunks", "streams"):
            raise DataError(f'by={by!r} is not a way to read; take "windows", "chunks" or "streams"')
        need = n + 1 if way == "windows" else 2
        if len(ids) < need:
            raise DataError(
                f"the text has {len(ids)} characters; one window of {n} and its target need {n + 1}"
                if way == "windows"
                else f"the text has {len(ids)} characters; a character and its target need 2"
            )
        model = getattr(self.model, "module", self.model)
        if way != own and not hasattr(model, "reading"):
            raise ArchError(f"{type(model).__name__} reads {own} alone; derive it from CharModel to have it read {way}")
        rows = bs or dict(windows=4096, chunks=512, streams=min(max(len(ids) // 8192, 1), 64))[way]
        if way == "windows":
            ds = CharWindows(ids, self.dls.vocab, torch.arange(len(ids) - n), n)
        else:
            ds = CharStreams(
                ids, self.dls.vocab, [(0, len(ids))], rows, n if way == "chunks" else 128, stateful=way == "streams"
            )
        if way == own:
            how = nullcontext()
        else:
            how = model.reading("next" if way == "windows" else "every", None if way == "streams" else n)
        with how, self.no_bar(), self.no_logging():
            values = self.validate(dl=self.dls.valid.new(ds, bs=rows))
        return dict(
            zip([("" if by is None else f"{by}_") + o for o in ("loss", *self.metrics.attrgot("name"))], values)
        )

    def validate(
        self,
        ds_idx: int = 1,  # which of `dls`, if `dl` is None
        dl=None,  # what to validate with
        cbs=None,  # callbacks for this alone
    ) -> list[float]:  # loss in nats, then the metrics
        "As fastai's; may be called by a callback in the middle of an epoch, whose next loss is the same with and without it."
        if not self.training_now:
            return super().validate(ds_idx, dl, cbs)
        with _aside(self):
            return super().validate(ds_idx, dl, cbs)

    def get_preds(
        self,
        ds_idx: int = 1,  # which of `dls`, if `dl` is None
        dl=None,  # what to predict
        act: Callable | None = None,  # what to apply to predictions; None: probabilities
        with_decoded: bool = False,  # whether to return the likeliest characters too
        **kwargs,  # as fastai's: with_input, with_loss, inner, reorder …
    ) -> tuple:  # as fastai's
        "As fastai's; of streams, whose batches are of unequal sizes, each character one row, in the order of the text."
        ds = getattr(self.dls[ds_idx] if dl is None else dl, "dataset", None)
        if not isinstance(ds, CharStreams):
            return super().get_preds(ds_idx, dl, act=act, with_decoded=with_decoded, **kwargs)
        with_loss, order = kwargs.pop("with_loss", False), ds.text_order()
        raw = super().get_preds(ds_idx, dl, act=noop, **kwargs | dict(reorder=False))
        *inp, preds, targs = [
            (torch.cat(list(o)) if not isinstance(o, Tensor) else o.flatten(0, 1))[order] for o in raw
        ]
        res = [*inp, (act or self.loss_func.activation)(preds), targs]
        if with_decoded:
            res.append(self.loss_func.decodes(preds))
        if with_loss:
            with self.loss_not_reduced():
                res.append(self.loss_func(preds, targs))
        return tuple(res)

    def _do_fit(self):
        self.training_now = True
        try:
            super()._do_fit()
        finally:
            self.training_now = False

    def summary(self) -> PrettyString:
        """The layers of the model with the shapes of their weights, optimizer, loss and callbacks.

        By weights, not by calls as fastai's own: the table folds layers together, so that they are not called one by one."""
        rows, line = [], "=" * 76
        for name, layer, ps in _layers(self.model):
            shapes = ", ".join(" x ".join(map(str, p.shape)) for p in ps if p.dim() > 1)
            rows.append(
                f"{f'{name} ({type(layer).__name__})':<30} {shapes:<22} {sum(p.numel() for p in ps):<12,} {any(p.requires_grad for p in ps)}"
            )
        total, train = (
            sum(p.numel() for p in self.model.parameters() if p.requires_grad or not only) for only in (False, True)
        )
        return PrettyString(
            "\n".join(
                [
                    f"{type(self.model).__name__} (Input shape: {self.dls.train.bs} x {self.dls.seq_len})",
                    line,
                    f"{'Layer (type)':<30} {'Weights':<22} {'Param #':<12} Trainable",
                    line,
                    *rows,
                    "_" * 76,
                    "",
                    f"Total params: {total:,}",
                    f"Total trainable params: {train:,}",
                    f"Total non-trainable params: {total - train:,}",
                    "",
                    f"Optimizer used: {self.opt_func}",
                    f"Loss function: {self.loss_func}",
                    "",
                    "Callbacks:",
                    *(f"  - {cb}" for cb in self.cbs.sorted("order")),
                ]
            )
        )


def trained_way(
    dls: CharDataLoaders,  # those of a model
) -> str:  # "windows", "chunks" or "streams"
    "How the model was trained to read: the value of `by` that `evaluate` takes by default."
    if dls.stateful:
        return "streams"
    return "chunks" if dls.target == "every" else "windows"


def _layers(model, prefix=""):
    "Every part of a model that has weights of its own or no parts: (name, module, its own weights)."
    for name, m in model.named_children():
        own = list(m.parameters(recurse=False))
        parts = list(m.children())
        if own or not (parts or isinstance(m, nn.ModuleList)):
            yield prefix + name, m, own
        yield from _layers(m, f"{prefix}{name}.")


@contextmanager
def _aside(learn):
    "Room for a validation in the middle of a fit: what it changes of the learner, its record and its model's mode is put back, and callbacks of training do not hear of it."
    modes = [m for m in learn.model.modules() if m.training]
    kept = [(o, dict(o.__dict__)) for o in (learn, *learn.cbs)]
    model = getattr(learn.model, "module", learn.model)
    state = getattr(model, "state", None)
    learn.cbs = learn.cbs.filter(lambda cb: isinstance(cb, (TrainEvalCallback, Recorder, StateResetter)))
    if hasattr(learn, "recorder"):
        vars(learn.recorder).update({k: copy(getattr(learn.recorder, k)) for k in ("loss", "smooth_loss")})
    learn.metrics = learn.metrics.map(copy)
    learn.training_now = False
    try:
        with learn.no_logging(), torch.random.fork_rng():
            yield  # every pass over a DataLoader draws from the global state
    finally:
        for o, d in kept:
            vars(o).clear()
            vars(o).update(d)
        for m in modes:
            m.training = True
        if state is not None:
            model.state = state


def _may_handle(cb, event_name):
    "Whether `cb` has a handler; where its class looks for one in a way of its own, it is asked. `after_fit` resets every callback."
    cls = type(cb)
    if event_name == "after_fit" or hasattr(cls, event_name) or event_name in cb.__dict__:
        return True
    return any(getattr(cls, o) is not getattr(Callback, o) for o in ("__call__", "__getattr__"))


_sample_options = set(inspect.signature(PredictNextCallback).parameters) - {"prompts", "seed"}


@delegates(PredictNextCallback.__init__, keep=True, but=["prompts", "seed"])
@delegates(Learner.__init__, keep=True)
def char_learner(
    dls: CharDataLoaders,  # windows of text
    arch: str
    | Callable = "rnn",  # a name from `list_archs()`, or a class or function of your own: arch(vocab_sz, emb_sz=…, n_hid=…, **config)
    n_hid: int = 256,  # hidden units
    emb_sz: int = 42,  # numbers that embed a character
    config: dict | None = None,  # further arguments of the architecture
    loss_func: Callable | None = None,  # None: `CharNLLLoss`, negative log-likelihood in nats
    opt_func: Callable = Adam,  # optimizer
    lr: float | slice = 1e-3,  # learning rate when a fit names none
    metrics: Callable | list | None = None,  # None: accuracy and bits per char
    prompts: str | list[str] = (),  # texts to continue after each epoch, see `PredictNextCallback`
    seed: int | None = None,  # fixes the initial weights and the order of training; None: by the global random state
    **kwargs,  # those of `PredictNextCallback`, such as `temperature`, and those of fastai's `Learner`
) -> CharLearner:
    """A `CharLearner` over `dls`. Raises `ArchError` for an unknown architecture or one made for another window,
    `UnknownCharError` for prompts outside the vocabulary."""
    record = get_arch(arch)
    only = getattr(record.cls, "fixed_seq_len", None)
    if only not in (None, dls.seq_len):
        raise ArchError(
            f"{record.name} reads windows of {only} characters and these dls have {dls.seq_len}; make them with CharDataLoaders.from_text(…, seq_len={only})"
        )
    config = dict(record.config) | dict(emb_sz=emb_sz, n_hid=n_hid) | (config or {})
    for k in ("emb_sz", "n_hid"):
        if not is_count(config[k]):
            raise ArchError(f"{k}={config[k]!r} is not a whole number from 1 up")
    shown = {k: kwargs.pop(k) for k in list(kwargs) if k in _sample_options}
    learn = CharLearner(
        dls,
        build_model(record.cls, len(dls.vocab), config, None if dls.stateful else dls.seq_len, seed, dls.target),
        loss_func or CharNLLLoss(),
        opt_func,
        lr=lr,
        metrics=[CharAccuracy(), BitsPerChar()] if metrics is None else metrics,
        **kwargs,
    )
    learn.arch = record
    learn.arch_config = config
    if hasattr(learn, "recorder"):
        learn.recorder.loss = CharLoss()
        learn.recorder.smooth_loss = SmoothLoss(learn.recorder.smooth_loss.beta)
    learn.add_cbs([StateResetter(), FiniteLoss(), TrainingLog(), PredictNextCallback(prompts, **shown)])
    learn.predict_next_cb.check()
    if seed is not None:
        dls.train.seed(seed)
    return learn
