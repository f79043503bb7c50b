"""Find the callbacks that handle an event: `may_handle`, for `CharLearner`, which sends events to no others."""

from fastai.basics import Callback

__all__ = ["may_handle"]


def may_handle(
    cb: Callback,  # a callback of a learner
    event_name: str,  # such as "after_batch"
) -> bool:
    "Whether `cb` defines a handler, or overrides how fastai finds one. `after_fit` also resets `cb.run`."
    cls = type(cb)
    if event_name == "after_fit" or hasattr(cls, event_name) or event_name in cb.__dict__:
        return True
    return any(getattr(cls, name) is not getattr(Callback, name) for name in ("__call__", "__getattr__"))
