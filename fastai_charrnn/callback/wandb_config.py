"""Log a learner's configuration to Weights & Biases: `gather_args`, which fastai's `WandbCallback` calls.

fastai 2.8.12 passes each value on to fastcore's `init_args`, which since 2.2.39 fails for numbers and texts. So the
configuration is logged here, and fastai is given none.
"""

from fastai.basics import Learner

from .._utils import arch_name, count_weights
from ..data.protocol import batch_size

__all__ = ["gather_args"]


def gather_args(
    self: Learner,  # a `CharLearner`
) -> dict:  # nothing that fastai would have to log
    "Log architecture, sizes, data and optimizer as the configuration of the current run of `wandb`."
    import wandb

    opt_func = getattr(self.opt_func, "func", self.opt_func)
    config = dict(
        arch=arch_name(self),
        **self.arch_config,
        n_parameters=count_weights(self.model),
        vocab_sz=len(self.dls.vocab),
        seq_len=self.dls.seq_len,
        mode=self.dls.mode,
        bs=batch_size(self.dls.train),
        n_batches=len(self.dls.train),
        opt_func=getattr(opt_func, "__name__", str(opt_func)),
        loss_func=str(self.loss_func),
        device=str(self.dls.device),
        callbacks=[str(cb) for cb in self.cbs],
    )
    wandb.config.update(config, allow_val_change=True)
    return {}
