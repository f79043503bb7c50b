"""`char_learner`: data and the name of an architecture in, a fastai `Learner` with the verbs of text out.

    learn = char_learner(dls, arch="rnn")
    learn.fit(4, 1e-3); learn.set_lrs(1e-4); learn.fit(2)     # the reference's schedule
    learn.predict_next("for thos", n=40)
"""
from collections.abc import Callable
from operator import attrgetter

import fastai.callback.all # noqa: F401 (puts fit_one_cycle, lr_find, no_bar and the like on Learner)
from fastai.basics import Adam,Callback,Learner,PrettyString,Recorder,accuracy,delegates,event,torch

from .archs import get_arch
from .callbacks import EachTrainedEpoch
from .data import CharDataLoaders
from .distrib import detach_distributed,distrib_ctx,to_distributed
from .errors import ArchError,DataError
from .generate import generate,next_probs,predict_next,score
from .metrics import BitsPerChar,CharNLLLoss,SmoothLoss
from .modelfile import build_model
from .precision import to_bf16,to_fp16
from .samples import PredictNextCallback
from .splits import is_count
from .windows import CharIds,CharWindows

__all__ = ["CharLearner", "char_learner", "TrainingLog"]


class TrainingLog(EachTrainedEpoch):
    "Keep what every epoch of every fit printed, so that a model file can say how its model was trained; fetch the epoch's smoothed losses from the device."
    order = Recorder.order+1

    def __init__(self): self.rows = []

    def before_train(self):
        if not len(self.dls.train): raise DataError("these dls hold no text to train on; set learn.dls, or pass load_model(path, dls=…), made with vocab=learn.dls.vocab")

    def trained_epoch(self):
        "Keep the numbers by name, and the learning rate they were reached with."
        named = zip(self.learn.recorder.metric_names[1:], self.learn.final_record)
        self.rows.append({k:float(v) for k,v in named if isinstance(v, (int, float))} | {"lr":float(self.opt.hypers[-1]["lr"])})
        self._fetch_losses()

    def after_fit(self): self._fetch_losses() # of an epoch that did not end

    def _fetch_losses(self):
        "Whoever plots the losses finds them on the CPU, as fastai's would be."
        losses = getattr(getattr(self.learn, "recorder", None), "losses", [])
        here = sum(o.device.type == "cpu" for o in losses)
        if here < len(losses): losses[here:] = torch.stack(losses[here:]).cpu().unbind()


class CharLearner(Learner):
    "A fastai `Learner` that continues text. Made by `char_learner`."
    arch,arch_config = None,{} # the architecture's record and every argument it was built with: set by `char_learner`
    predict_next,next_probs,generate,score = predict_next,next_probs,generate,score
    distrib_ctx,to_distributed,detach_distributed,to_bf16,to_fp16 = distrib_ctx,to_distributed,detach_distributed,to_bf16,to_fp16

    def _call_one(self, event_name):
        """Send an event to the callbacks that handle it, in their order.

        As fastai's, which sends it to all: each then looks for a handler on itself, the learner and the model, in vain, at
        nine events a batch, which takes half of the time that fastai adds to a training step."""
        if not hasattr(event, event_name): raise Exception(f"missing {event_name}") # fastai's own type and words
        for cb in sorted(self.cbs, key=attrgetter("order")):
            if _may_handle(cb, event_name): cb(event_name)

    def set_lrs(self,
        lr:float|slice # the learning rate; a slice spreads it over parameter groups, as in `fit`
    ) -> "CharLearner": # itself
        "Set the learning rate the next fit starts from; the optimizer's moments are kept."
        self.lr = lr
        if self.opt is not None: self.opt.set_hypers(lr=lr)
        return self

    def evaluate(self,
        text:str, # a text of at least one window and a character more
        bs:int=4096, # windows in a batch
        unk:str="error" # characters outside the vocabulary: "error", "skip", or a known character to put in their place
    ) -> dict[str,float]: # loss in nats, then the metrics, by name
        "The loss and metrics on every window of `text`. Raises `UnknownCharError`, and `DataError` for a text too short."
        ids = CharIds.from_array(self.dls.vocab.encode(text, unk=unk))
        starts = torch.arange(max(0, len(ids)-self.dls.window))
        if not len(starts): raise DataError(f"the text has {len(ids)} characters; one window of {self.dls.window} and its target need {self.dls.window+1}")
        dl = self.dls.valid.new(CharWindows(ids, self.dls.vocab, starts, self.dls.window), bs=bs)
        with self.no_bar(), self.no_logging(): values = self.validate(dl=dl)
        return dict(zip(["loss", *self.metrics.attrgot("name")], values))

    def summary(self) -> PrettyString:
        """The layers of the model with the shapes of their weights, optimizer, loss and callbacks.

        By weights, not by calls as fastai's own: the table folds layers together, so that they are not called one by one."""
        rows,line = [],"="*76
        for name,layer in self.model.named_children():
            ps = list(layer.parameters())
            shapes = ", ".join(" x ".join(map(str, p.shape)) for p in ps if p.dim() > 1)
            rows.append(f"{f'{name} ({type(layer).__name__})':<22} {shapes:<30} {sum(p.numel() for p in ps):<12,} {any(p.requires_grad for p in ps)}")
        total,train = (sum(p.numel() for p in self.model.parameters() if p.requires_grad or not only) for only in (False, True))
        return PrettyString("\n".join([
            f"{type(self.model).__name__} (Input shape: {self.dls.train.bs} x {self.dls.window})", line,
            f"{'Layer (type)':<22} {'Weights':<30} {'Param #':<12} Trainable", line, *rows, "_"*76, "",
            f"Total params: {total:,}", f"Total trainable params: {train:,}", f"Total non-trainable params: {total-train:,}", "",
            f"Optimizer used: {self.opt_func}", f"Loss function: {self.loss_func}", "", "Callbacks:", *(f"  - {cb}" for cb in self.cbs.sorted("order"))]))


def _may_handle(cb, event_name):
    "Whether `cb` has a handler; where its class looks for one in a way of its own, it is asked. `after_fit` resets every callback."
    cls = type(cb)
    return event_name == "after_fit" or hasattr(cls, event_name) or event_name in cb.__dict__ or any(getattr(cls, o) is not getattr(Callback, o) for o in ("__call__", "__getattr__"))


@delegates(Learner.__init__)
def char_learner(
    dls:CharDataLoaders, # windows of text
    arch:str|Callable="rnn", # a name from `list_archs()`, or a class or function of your own: arch(vocab_sz, emb_sz=…, n_hid=…, **config)
    n_hid:int=256, # hidden units
    emb_sz:int=42, # numbers that embed a character
    config:dict|None=None, # further arguments of the architecture
    loss_func:Callable|None=None, # None: `CharNLLLoss`, negative log-likelihood in nats
    opt_func:Callable=Adam, # optimizer
    lr:float|slice=1e-3, # learning rate when a fit names none
    metrics:Callable|list|None=None, # None: accuracy and bits per char
    prompts:str|list[str]=(), # texts to continue after each epoch, see `PredictNextCallback`
    seed:int|None=None, # fixes the initial weights and the order of training; None: by the global random state
    **kwargs # as fastai's `Learner`
) -> CharLearner:
    """A `CharLearner` over `dls`. Raises `ArchError` for an unknown architecture or one made for another window,
    `UnknownCharError` for prompts outside the vocabulary."""
    record = get_arch(arch)
    only = getattr(record.cls, "only_window", None)
    if only not in (None, dls.window):
        raise ArchError(f"{record.name} reads windows of {only} characters and these dls have {dls.window}; make them with CharDataLoaders.from_text(…, n={only})")
    config = dict(record.config) | dict(emb_sz=emb_sz, n_hid=n_hid) | (config or {})
    for k in ("emb_sz", "n_hid"):
        if not is_count(config[k]): raise ArchError(f"{k}={config[k]!r} is not a whole number from 1 up")
    learn = CharLearner(dls, build_model(record.cls, len(dls.vocab), config, dls.window, seed), loss_func or CharNLLLoss(), opt_func, lr=lr,
                        metrics=[accuracy, BitsPerChar()] if metrics is None else metrics, **kwargs)
    learn.arch,learn.arch_config = record,config
    if hasattr(learn, "recorder"): learn.recorder.smooth_loss = SmoothLoss(learn.recorder.smooth_loss.beta)
    learn.add_cbs([TrainingLog(), PredictNextCallback(prompts)])
    learn.predict_next_cb.check()
    if seed is not None: dls.train.seed(seed)
    return learn
