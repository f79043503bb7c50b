"""Which callbacks a `CharLearner` sends an event to (`may_handle`), and their names in the learner (`remove_cb`)."""

from fastai.basics import Callback, Learner

__all__ = ["may_handle", "remove_cb"]


def may_handle(
    cb: Callback,  # a callback of a learner
    event_name: str,  # such as "after_batch"
) -> bool:
    "Whether `cb` defines a handler, or overrides how fastai finds one. `after_fit` also resets `cb.run`."
    cls = type(cb)
    if event_name == "after_fit" or hasattr(cls, event_name) or event_name in cb.__dict__:
        return True
    return any(getattr(cls, name) is not getattr(Callback, name) for name in ("__call__", "__getattr__"))


def remove_cb(
    self,
    cb: Callback | type[Callback],  # a callback, or the class of those to remove
) -> Learner:  # itself
    """Remove a callback, as fastai does. A remaining callback of the same name is found under that name again.

    After `learn.fit(1, cbs=PredictNextCallback("The "))`, `learn.predict_next_cb` is the learner's own."""
    Learner.remove_cb(self, cb)
    for other in self.cbs:
        vars(self).setdefault(other.name, other)
    return self
