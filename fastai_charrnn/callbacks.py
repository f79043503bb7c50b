"""What the package's callbacks share, `EachTrainedEpoch`, and `CarryState`, which says when a model that carries its state forgets it.

fastai calls `after_epoch` under `validate`, `get_preds` and `lr_find` too."""
from fastai.basics import Callback

__all__ = ["EachTrainedEpoch", "CarryState"]


class EachTrainedEpoch(Callback):
    "Calls `trained_epoch` after every epoch of a fit, and after no other."
    trained = False

    def before_epoch(self): self.trained = False
    def after_train(self): self.trained = not hasattr(self.learn, "lr_finder")
    def after_epoch(self):
        if self.trained: self.trained_epoch()

    def trained_epoch(self):
        "What to do; for subclasses."
        raise NotImplementedError(f"{type(self).__name__} needs a method trained_epoch()")


class CarryState(Callback):
    """A model's state is forgotten where an epoch, a validation or a prediction begins, and is training's own again after a validation.

    What fastai's `ModelResetter` does for its own models, and the last part, which it does not. Calls `model.reset()`, if there is one."""
    order = -8 # before whatever looks at the model

    def _model(self): return getattr(self.model, "module", self.model) # inside DistributedDataParallel
    def _reset(self):
        if hasattr(self._model(), "reset"): self._model().reset()

    def before_train(self): self._reset()
    def before_validate(self):
        self.kept = getattr(self._model(), "state", None)
        self._reset()
    def after_validate(self):
        self._reset()
        if self.kept is not None: self._model().state,self.kept = self.kept,None
    def after_fit(self): self._reset()
