"""Text in, text out: what follows a prompt, by a learner with a vocabulary.

    learn.predict_next("for thos")          # 'e'
    learn.predict_next("for thos", n=40)    # the prompt and 40 characters more
    learn.next_probs("for thos")            # {'e': 0.98, …}

Prompts longer than the model's window use their tail; shorter ones are padded on the left with index 0. The model's
mode and every random state stay as they were.
"""
from typing import NamedTuple

from fastai.basics import L,Learner,noop
from fastai.callback.progress import ProgressCallback

from .callbacks import EachTrainedEpoch
from .errors import DataError
from .sampling import greedy_ids,next_log_probs
from .splits import is_count
from .windows import CharPrompts

__all__ = ["predict_next", "next_probs", "get_next", "get_next_n", "PredictNextCallback", "Sample"]


def predict_next(
    self:Learner, # a learner whose `dls` has a character vocabulary
    prompt:str|list[str], # what to continue, or several texts, continued as one batch; may be empty
    n:int|None=None, # None: the next character alone; else the prompt and n characters
    unk:str="error" # characters outside the vocabulary: "error", "skip", or a known character to put in their place
) -> str|list[str]: # for each prompt one character, or the prompt (as the model read it) and n more
    """The likeliest continuation of `prompt`, one character at a time, each from the last `window` characters.

    Raises `UnknownCharError` for characters outside the vocabulary, `DataError` for a negative n."""
    if n is not None and (int(n) != n or n < 0): raise DataError(f"n={n} is not a number of characters; pass a whole number from 0 up, or None for the next character alone")
    prompts,decode = [prompt] if isinstance(prompt, str) else list(prompt),self.dls.vocab.decode
    ids = _read(self, prompts, unk)
    new = greedy_ids(self.model, ids, 1 if n is None else int(n)).cpu()
    texts = [decode(o) if n is None else decode(self.dls.vocab.encode(p, unk=unk)) + decode(o) for p,o in zip(prompts, new)]
    return texts[0] if isinstance(prompt, str) else texts


def next_probs(
    self:Learner, # a learner whose `dls` has a character vocabulary
    prompt:str, # what comes before
    top:int|None=None, # how many characters to name; None: all
    unk:str="error" # characters outside the vocabulary: "error", "skip", or a known character to put in their place
) -> dict[str,float]: # character to probability, likeliest first; index 0, the padding, is '\0'
    "How likely each character is to follow `prompt`. Raises `UnknownCharError`."
    probs,order = next_log_probs(self.model, _read(self, [prompt], unk))[0].exp().sort(descending=True, stable=True)
    return {self.dls.vocab[i]:p for i,p in zip(order[:top].tolist(), probs[:top].tolist())}


def _read(learn, prompts, unk):
    "The windows that the prompts end with, (n_prompts, window) indices on the model's device."
    window = getattr(learn.model, "window", None) or learn.dls.window
    return CharPrompts.from_texts(prompts, learn.dls.vocab, window, unk).rows.to(next(learn.model.parameters()).device)


def get_next(
    learn:Learner, # a learner whose `dls` has a character vocabulary
    inp:str # what comes before
) -> str: # one character
    "The likeliest next character, by the reference's own name."
    return predict_next(learn, inp)


def get_next_n(
    learn:Learner, # a learner whose `dls` has a character vocabulary
    inp:str, # what to continue
    n:int # how many characters
) -> str: # `inp` and n characters
    "The likeliest continuation, by the reference's own name."
    return predict_next(learn, inp, n=n)


class Sample(NamedTuple):
    "What a model wrote after an epoch."
    epoch:int # counted from 0 in each fit, as fastai does
    prompt:str
    text:str # prompt and continuation


class PredictNextCallback(EachTrainedEpoch):
    """Show how the model continues `prompts` after each training epoch, and keep it in `samples`.

    Reachable as `learn.predict_next_cb`, for its default name would hide the method `learn.predict_next`. Quiet under
    `lr_find`, `validate` and `get_preds`; the numbers of training are the same with and without it."""
    order,run_valid,name = ProgressCallback.order+2,False,"predict_next_cb"

    def __init__(self,
        prompts:str|list[str]=(), # texts to continue; none: stay quiet
        n:int=40, # characters to write for each
        every:int=1 # epochs between two showings
    ):
        if not is_count(every): raise DataError(f"every={every!r} is not a whole number of epochs from 1 up")
        self.prompts,self.n,self.every,self.samples = L(prompts),n,every,[]

    def before_fit(self):
        if not hasattr(self.learn, "lr_finder") and not hasattr(self, "gather_preds"): self.check()

    def check(self):
        "Raise `UnknownCharError` now rather than after an epoch."
        for p in self.prompts: self.learn.dls.vocab.encode(p)

    def trained_epoch(self):
        "Continue every prompt."
        if (self.epoch+1) % self.every: return
        new = [Sample(self.epoch, *o) for o in zip(self.prompts, predict_next(self.learn, self.prompts, n=self.n))]
        self.samples += new
        if self.learn.logger is not noop:
            for s in new: print(f"  {s.text!r}")
