"""`char_learner` makes a fastai `Learner` from data and the name of an architecture.

The learner trains as every fastai learner does, and continues, scores and evaluates text:

    learn = char_learner(dls, arch="rnn")
    learn.fit(4, 1e-3)
    learn.set_lrs(1e-4)
    learn.fit(2)
    learn.predict_next("for thos", n=40)
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import fastai.callback.all  # noqa: F401 (adds fit_one_cycle, no_bar and others to Learner)
from fastai.basics import Callback, CrossEntropyLossFlat, DataLoaders, Learner, PrettyString, TrainEvalCallback, noop

from ._utils import typed_delegates, unwrap_model
from .assign import learner_dls
from .callback.arguments import check_what_to_predict, checked_fit_args, checked_learner_args, checked_rates
from .callback.core import FirstOutput, StateResetter
from .callback.dispatch import remove_cb, send, send_one
from .callback.distributed import detach_distributed, distrib_ctx, to_distributed
from .callback.finite import FiniteLoss, divergence
from .callback.fit_context import cleaned_up, drop_batch, fitting
from .callback.fit_loop import ResumableFit
from .callback.fp16 import autocast_restored, to_bf16, to_fp16
from .callback.lr_find import lr_find
from .callback.mid_fit import record_kept, validating_in_fit
from .callback.one_cycle import fit_one_cycle
from .callback.resume import recorded_fit, resume
from .callback.rnn_outputs import add_cb
from .callback.samples import PredictNextCallback
from .callback.timed_fit import fit_minutes
from .callback.training_log import TrainingLog
from .callback.wandb_config import gather_args
from .callback.weight_files import export, load, save
from .data.loaders import CharDataLoaders
from .data.protocol import as_char_dls, batch_size, seed_order
from .encoder import load_encoder, save_encoder
from .evaluation import evaluate
from .generation.methods import TextMethods
from .metrics import BitsPerChar, CharAccuracy, CharLoss, CharNLLLoss, SmoothLoss, flat_loss
from .models.base import CharModel
from .models.build import make_model
from .models.groups import char_splitter
from .models.registry import Arch
from .models.summary import frozen_lines, weight_table
from .optimizer import FusedAdam
from .predictions import get_preds, show_results

__all__ = ["CharLearner", "char_learner"]


class CharLearner(TextMethods, ResumableFit, Learner):
    "A fastai `Learner` that continues text. Made by `char_learner`."

    training_now = False  # whether a fit is under way
    training_thread: int | None = None  # the thread that it is under way in
    seed: int | None = None  # what `char_learner` was given
    n_fits = 0  # fits begun
    if TYPE_CHECKING:
        dls: CharDataLoaders
    else:
        dls = learner_dls
    arch: Arch = None  # type: ignore[assignment]  # the architecture's record, set by `char_learner`
    arch_config: dict = {}  # every argument the model was built with
    evaluate = evaluate
    gather_args = gather_args
    get_preds = get_preds
    show_results = show_results
    fit_minutes = fit_minutes
    fit_one_cycle = fit_one_cycle
    lr_find = lr_find
    resume = resume
    distrib_ctx = distrib_ctx
    to_distributed = to_distributed
    detach_distributed = detach_distributed
    save = save
    add_cb = add_cb
    load = load
    save_encoder = save_encoder
    load_encoder = load_encoder
    export = export
    remove_cb = remove_cb
    __call__ = send
    _call_one = send_one
    to_bf16 = to_bf16
    to_fp16 = to_fp16

    @property
    def loss_func(self) -> Callable:
        "The loss. PyTorch's, such as `F.cross_entropy`, become a `FlatLoss`, which takes predictions of any shape."
        return self._loss_func

    @loss_func.setter
    def loss_func(self, loss_func: Callable | None):
        self._loss_func = flat_loss(loss_func)

    def _with_events(self, f, event_type, ex, final=noop):
        "As fastai does. After an error in a fit the learner is cleaned up, and keeps its usable state."
        with cleaned_up(self) if event_type == "fit" else nullcontext():
            super()._with_events(f, event_type, ex, final)

    def fit(
        self,
        n_epoch: int,  # times through the training part
        lr: float | slice | None = None,  # learning rate; None: the learner's
        wd: float | None = None,  # weight decay; None: the learner's
        cbs: Callback | list | None = None,  # callbacks for this fit only
        reset_opt: bool = False,  # whether to begin with a new optimizer
        start_epoch: int = 0,  # the epoch to begin with; those before are skipped
    ):
        """Train, as fastai does. After an error or Ctrl-C the learner is usable, with the weights that it has then.

        Raises `TrainingError` at the first loss that is NaN or infinite, before that step, for weights and validation
        losses that are (`FiniteLoss`), and if another thread trains; `DataError` for arguments that cannot be used."""
        n_epoch, lr, wd = checked_fit_args(self, n_epoch, lr, wd, cbs, start_epoch)
        with recorded_fit(self, n_epoch, lr, wd, cbs) as is_skipped:
            if is_skipped:
                return
            with fitting(self, cbs) as cbs:
                super().fit(n_epoch, lr, wd, cbs, reset_opt, start_epoch)
        error = divergence(self)
        if error is not None:
            drop_batch(self)
            raise error

    def set_lrs(
        self,
        lr: float | slice,  # the learning rate; a slice spreads it over parameter groups, as in `fit`
    ) -> "CharLearner":  # itself
        "Set the learning rate the next fit starts from. The optimizer's moments are kept."
        self.lr = checked_rates(self, "lr", lr)
        if self.opt is not None:
            self.opt.set_hypers(lr=self.lr)
        return self

    def validate(
        self,
        ds_idx: int = 1,  # which of `dls`, if `dl` is None
        dl=None,  # what to validate on
        cbs=None,  # callbacks for this validation only
    ) -> list[float]:  # loss in nats, then the metrics
        """Validate, as fastai does. A callback may validate after any batch of a fit without changing its numbers.

        fastai's own resets counters, records and the model's mode; in a fit they are restored. The record of the last
        fit is kept: `learn.recorder.plot_loss()` draws it after a validation too."""
        check_what_to_predict(self, ds_idx, dl, cbs)
        with validating_in_fit(self) if self.training_now else record_kept(self), autocast_restored():
            return super().validate(ds_idx, dl, cbs)

    def summary(self) -> PrettyString:
        """Describe the layers with the shapes of their weights, the optimizer, the loss and the callbacks.

        fastai's own lists the modules that a forward pass calls, which misses most of ours: a table of the embedding
        replaces calls, and kernels read weights directly."""
        model = unwrap_model(self.model)
        lines = [
            f"{type(model).__name__} (Input shape: {batch_size(self.dls.train)} x {self.dls.seq_len})",
            weight_table(model),
            "",
            f"Optimizer used: {self.opt_func}",
            f"Loss function: {self.loss_func}",
            "",
            *frozen_lines(self.opt),
            "Callbacks:",
            *(f"  - {cb}" for cb in self.cbs.sorted("order")),
        ]
        return PrettyString("\n".join(lines))


_sample_options = set(inspect.signature(PredictNextCallback).parameters) - {"prompts", "seed"}


@typed_delegates(PredictNextCallback.__init__, but=["prompts", "seed"])
@typed_delegates(Learner.__init__)
def char_learner(
    dls: DataLoaders,  # of characters: `CharDataLoaders`, or any that follow `data.protocol`
    arch: str | Callable = "rnn",  # a name from `list_archs()`, your own class or function, or a model
    n_hid: int = 256,  # hidden units
    emb_sz: int = 42,  # numbers that embed a character
    config: dict | None = None,  # further arguments of the architecture
    loss_func: Callable | None = None,  # None: `CharNLLLoss`, or for models of other classes cross-entropy, in nats
    opt_func: Callable = FusedAdam,  # optimizer
    splitter: Callable = char_splitter,  # model to parameter groups; fastai's `trainable_params` makes one group
    lr: float | slice = 1e-3,  # learning rate of fits that name none
    metrics: Callable | list | None = None,  # None: accuracy and bits per char
    prompts: str | Sequence[str] = (),  # texts to continue after each epoch, see `PredictNextCallback`
    seed: int | None = None,  # for initial weights, order of training and dropout; None: the global random state
    **kwargs,  # those of `PredictNextCallback`, such as `temperature`, and those of fastai's `Learner`
) -> CharLearner:
    """Make a `CharLearner` over `dls`. Your own `arch` is called as arch(vocab_sz, emb_sz=…, n_hid=…, **config).

    Raises `ArchError` for an unknown architecture or one made for another `seq_len`, `UnknownCharError` for prompts
    with characters outside the vocabulary, `DataError` and `VocabError` for `dls` that are not of characters."""
    dls = as_char_dls(dls)
    lr, seed = checked_learner_args(lr, seed, metrics, loss_func, opt_func, splitter, kwargs)
    sample_options = {name: kwargs.pop(name) for name in _sample_options & kwargs.keys()}
    record, config, model = make_model(arch, dls, dict(emb_sz=emb_sz, n_hid=n_hid), config, seed)
    metrics = [CharAccuracy(), BitsPerChar()] if metrics is None else metrics
    learn = CharLearner(
        dls, model, loss_func or _default_loss(model), opt_func, lr, splitter, metrics=metrics, **kwargs
    )
    learn.arch, learn.arch_config = record, config
    learn.seed = seed
    _use_char_losses(learn)
    learn.add_cbs([] if isinstance(model, CharModel) else [FirstOutput()])
    # with `default_cbs=False`; without it, a fit of fastai makes no step
    learn.add_cbs([] if learn._grab_cbs(TrainEvalCallback) else [TrainEvalCallback()])
    learn.add_cbs([StateResetter(), FiniteLoss(), TrainingLog(), PredictNextCallback(prompts, **sample_options)])
    learn.predict_next_cb.check()
    if seed is not None:
        seed_order(dls.train, seed)
    return learn


def _default_loss(model):
    "`CharNLLLoss`; for models of other classes cross-entropy, which accepts log-probabilities and logits."
    return CharNLLLoss() if isinstance(model, CharModel) else CrossEntropyLossFlat()


def _use_char_losses(learn):
    "Replace the recorder's losses: fastai's weight batches by rows and wait for the GPU at every batch."
    if hasattr(learn, "recorder"):
        learn.recorder.loss = CharLoss()
        learn.recorder.smooth_loss = SmoothLoss(learn.recorder.smooth_loss.beta)
