"""What the package's callbacks share: `EachTrainedEpoch`. fastai calls `after_epoch` under `validate`, `get_preds` and `lr_find` too."""
from fastai.basics import Callback

__all__ = ["EachTrainedEpoch"]


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
