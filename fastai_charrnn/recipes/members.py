"""Train the networks of an ensemble one after the other, by the clock: `MemberTraining`.

    recipe = BestRecipe(minutes=15, n_hid=64, n_models=3)
    learn = recipe.learner(recipe.dls(text))
    training = MemberTraining(n_members=3)
    learn.fit_minutes(15, 7e-3, schedule=training.rate, cbs=training)

Each network has a learning-rate cycle of its own. The first one begins without a slice of the training part
(`held_back`), so that its loss on unseen text is known:

- if that loss rises, the network has begun to memorise the text. It gets back its best weights. Each of the others
  trains only as long as it took to reach them, with more dropout.
- otherwise its cycle ends at 85% of its time. In the other 15% it trains on the slice and on all of the text, with low
  rates.

The other networks train on all of the text from the start. Each network reads the slice more often than the rest at
the end of its time: it is next to what follows the training part, and often resembles it most. A text that is read
once or twice is not watched, and the slice not read more often: it would take most of the last part of the time.
"""

from dataclasses import dataclass

import torch
from fastai.basics import Callback, CancelFitException, CancelTrainException, CancelValidException

from .._utils import unwrap_model
from ..callback.time_budget import TimeBudget, rise_and_fall
from ..models.ensemble import CharEnsemble
from .distill import Distillation
from .held_back import hold_back
from .member_counts import MemberCounts

__all__ = ["MemberTraining"]

# of the time of a network: then the slice is no longer held back, and read more often than the rest
_last_part = 0.85
_tolerance = 0.01  # nats by which the loss on the slice may rise
_more_dropout = dict(output_p=0.15, hidden_p=0.05)  # what is added when a network has memorised the text
_max_dropout = 0.5
_last_pass = 0.2  # of the time that the best weights took: how long the network then trains on all of the text
_last_share = 1.5  # of the time: what a network that learns from others gets, if each of these gets 1


@dataclass
class _Best:
    "The lowest loss on the slice, and the weights that had it."

    loss: float = float("inf")
    when: float = 0.0  # the part of the whole time that had passed
    weights: dict | None = None


class MemberTraining(Callback):
    "Train one network of an ensemble after the other. A single network is trained in the same way."

    # the time of the validation is measured before, with all networks; autocast begins after
    order = TimeBudget.order + 1
    run_valid = False

    def __init__(
        self,
        n_members: int = 1,  # networks of the ensemble
        is_often_read: bool = True,  # whether to compare the loss on the slice after every epoch, and to read it again
        counts: MemberCounts | None = None,  # to fit on the slice, when the first network has been trained without it
        distillation: Distillation | None = None,  # with it, the last network learns from the others too
    ):
        self.n_members = n_members
        self.distillation = distillation
        self.is_often_read = is_often_read
        self.counts = counts
        self.all_dls = None
        self.held = None
        self.is_holding = False
        self.slice_loss: float | None = None

    def before_fit(self):
        self.all_dls = self.learn.dls
        if self.counts is not None:
            self.counts.reserve_time()
        self.held = hold_back(self.all_dls)
        self.is_holding = self.held is not None
        self.member = 0
        self.begin, self.length = 0.0, self._share(1.0)
        self.best = _Best()
        self.is_memorised = False
        self._activate()

    def _share(self, left):
        "How much of the time that is left the current network gets. One that learns from the others gets more."
        n_equal = self.n_members - self.member
        if self.distillation is None:
            return left / n_equal
        share = _last_share if n_equal == 1 else 1
        return left * share / (n_equal - 1 + _last_share)

    def _activate(self):
        "Let the current member train. Those before it are ready, and teach the last one if it is to learn from them."
        model = unwrap_model(self.learn.model)
        model.reset()
        if isinstance(model, CharEnsemble):
            model.active = self.member
            model.n_ready = max(self.member, 1)
        if self.distillation is not None and self.member == self.n_members - 1:
            self.distillation.teach(model, self.all_dls.train_ds)

    @property
    def t(self) -> float:
        "The part of the whole time that has passed."
        return self.learn.time_budget.elapsed_pct

    def state_dict(self) -> dict:
        "Return which network trains, when it began, and the best weights of the first one, for checkpoints."
        names = ("member", "begin", "length", "is_holding", "is_memorised", "slice_loss")
        return {name: getattr(self, name) for name in names} | dict(best=dict(vars(self.best)))

    def load_state_dict(self, state: dict):
        "Continue with the network that was training."
        if not self.learn.training_now:
            # the fit was over and is skipped
            return
        vars(self).update(state, best=_Best(**state["best"]))
        self._choose_data()
        self._activate()

    def rate(
        self,
        t: float,  # the part of the time that has passed
    ) -> float:  # the learning rate as a part of the highest
        """A cycle for each network: the rate rises for a twentieth of its time, and falls to 0.

        While the slice is held back, the cycle is shorter: the gate is fitted at its end, when the network is ready.
        Afterwards the rate is that of a cycle of full length."""
        done = self._done(t)
        return rise_and_fall(done / _last_part if self.is_holding else done)

    def _done(self, t):
        "The part of the current network's time that has passed."
        return (t - self.begin) / self.length

    def before_epoch(self):
        self._choose_data()

    def _choose_data(self):
        self.learn.dls = self._data()

    def _data(self):
        "The loaders that the current network trains on now."
        if self.held is None:
            return self.all_dls
        if self.is_holding:
            return self.held.dls
        is_last_part = self.member == 0 or self._done(self.t) >= _last_part
        return self.held.last_dls if self.is_often_read and is_last_part else self.all_dls

    def before_batch(self):
        if not self.training:
            return
        done = self._done(self.t)
        if self.is_holding and done >= _last_part:
            self._end_holding()
        elif done >= 1:
            self._next()
        if self.learn.dl is not self._data().train:
            # the next pass is over other data
            raise CancelTrainException

    def _end_holding(self):
        if self.is_often_read and self._compare():
            self._stop_early()
        else:
            self._release()

    def after_train(self):
        "After each epoch, see whether the network memorises the text."
        if self.is_holding and self.is_often_read and self._compare():
            self._stop_early()

    def before_validate(self):
        if self.is_holding:
            raise CancelValidException

    def _compare(self):
        "Validate on the slice. Returns whether the loss has risen since its lowest value."
        self.slice_loss = float(self.learn.validate(dl=self.held.dls.valid)[0])
        if self.slice_loss < self.best.loss:
            weights = {name: w.detach().clone() for name, w in self._network().state_dict().items()}
            self.best = _Best(self.slice_loss, self.t, weights)
        return self.slice_loss > self.best.loss + _tolerance

    def _network(self):
        model = unwrap_model(self.learn.model)
        return model.members[self.member] if isinstance(model, CharEnsemble) else model

    def _stop_early(self):
        "Go back to the best weights, and plan the time that is left."
        with torch.no_grad():
            self._network().load_state_dict(self.best.weights)
        self.slice_loss = self.best.loss
        self.is_memorised = True
        length = self.best.when - self.begin
        self._release()
        # a short pass over all of the text, with a low rate
        self.begin, self.length = self.t - (1 - _last_pass) * length, length

    def _release(self):
        "Train on the slice from now on, and on all of the text."
        if self.counts is not None:
            self.counts.fit_gate(self._network(), self.held)
        self.is_holding = False
        self.best.weights = None

    def _next(self):
        "Begin with the next network, or end the fit."
        if self.member == self.n_members - 1:
            raise CancelFitException
        self.member += 1
        self._activate()
        if self.is_memorised:
            _add_dropout(self._network())
        longest = self.length if self.is_memorised else 1.0
        self.begin = self.t
        self.length = min(self._share(1 - self.t), longest)

    def after_fit(self):
        "The networks whose time is over are ready, and the first one in any case. Others may end the fit before."
        self._restore()
        model = unwrap_model(self.learn.model)
        if isinstance(model, CharEnsemble) and self._done(self.t) >= 1:
            is_whole = self.member == self.n_members - 1
            model.n_ready = None if is_whole else self.member + 1

    def after_error(self):
        "An interrupted fit leaves the networks that are trained, and the first one in any case."
        if self.all_dls is not None:
            self._restore()

    def _restore(self):
        "Give the learner all of its data, and let all networks train in a later fit."
        self.learn.dls = self.all_dls
        model = unwrap_model(self.learn.model)
        if isinstance(model, CharEnsemble):
            model.active = None


def _add_dropout(network):
    for name, more in _more_dropout.items():
        if hasattr(network, name):
            setattr(network, name, min(getattr(network, name) + more, _max_dropout))
