"""Mix the networks of a recipe with counts of the text: `MemberCounts`.

The gate of the mixture is fitted on the slice that is held back, when neither the first network nor the counts have
seen it. After the fit all of the training part is counted, and the learner's model becomes a `CharMixture`.
"""

from fastai.basics import Callback

from .._utils import unwrap_model
from ..callback.checkpoint import CheckpointCallback
from ..callback.finite import divergence
from ..learner import CharLearner
from ..models.base import CharModel
from ..models.count_tables import last_part
from ..models.mixture import CharMixture
from ..models.registry import get_arch
from .held_back import HeldBack
from .mix_counts import fit_gate_on, stretch

__all__ = ["MemberCounts"]

_counted_per_second = 30_000  # characters that are counted for each second of the fit
_count_seconds = 1.5e-6  # to count a character
# to mix the probabilities of a character, besides the network: in any case, and for each character of the vocabulary
_mix_seconds = 6e-5, 1.5e-8
_max_reserved = 0.1  # of the time of training


class MemberCounts(Callback):
    "Counts and a gate. `MemberTraining` calls `fit_gate`; at the end of the fit the learner gets the mixture."

    # a checkpoint of the finished fit has the networks alone
    order = CheckpointCallback.order + 1
    mixture: CharMixture | None = None
    n_max = 0  # characters that are counted at most

    def __init__(
        self,
        one_network: bool = False,  # whether the last network alone is the result, which has learnt from the others
    ):
        self.one_network = one_network

    def before_fit(self):
        self.mixture = None

    def reserve_time(self):
        "Keep time of training for the counts and for the validation of the mixture."
        budget = self.learn.time_budget
        self.n_max = int(_counted_per_second * budget.seconds)
        dls = self.learn.dls
        n_counted = min(dls.train_ds.n_targets, self.n_max)
        mixing = _mix_seconds[0] + _mix_seconds[1] * len(dls.vocab)
        wanted = _count_seconds * n_counted + mixing * dls.valid_ds.n_targets
        budget.seconds -= min(wanted, _max_reserved * budget.seconds)

    def fit_gate(
        self,
        network: CharModel,  # the first network
        held: HeldBack,  # the slice, which it was not trained on
    ):
        "Count what the network was trained on, and fit the gate on the slice."
        mixture = CharMixture.around(network, self.learn.dls.vocab)
        self._count(mixture, held.dls, held.spans)
        fit_gate_on(mixture, held.dls, *held.span)
        if mixture.gate_result["kept"]:
            self.mixture = mixture

    def state_dict(self) -> dict:
        "Return the gate, for checkpoints. The text is counted again."
        return dict(gate=None if self.mixture is None else self.mixture.gate.state_dict(), n_max=self.n_max)

    def load_state_dict(self, state: dict):
        "Continue with the gate that was fitted."
        self.n_max = state["n_max"]
        if state["gate"] is not None:
            self.mixture = CharMixture.around(unwrap_model(self.learn.model), self.learn.dls.vocab)
            self.mixture.gate.load_state_dict(state["gate"])

    def _count(self, mixture, dls, spans):
        parts = last_part(list(spans), self.n_max)
        first = parts[0][0]
        ids = stretch(dls, first, parts[-1][1])
        mixture.count(ids, [(begin - first, end - first) for begin, end in parts])

    def after_fit(self):
        "Count all of the training part, and give the learner the mixture."
        learn = self.learn
        if divergence(learn) is not None:
            # the fit raises it
            return
        if self.one_network:
            use_last_member(learn)
        if self.mixture is None:
            return
        network, config = unwrap_model(learn.model).saved_as(learn.arch_config)
        mixture = self.mixture.with_network(network, learn.arch.name, config)
        self._count(mixture, learn.dls, learn.dls.train_ds.spans)
        use_model(learn, mixture, "mixture", mixture.config)

    def after_skipped_fit(self):
        "The checkpoint of a fit that was over has the networks alone."
        self.after_fit()


def use_last_member(
    learn: CharLearner,  # its model is an ensemble
):
    "Make the last network of an ensemble that is trained the model of a learner."
    ensemble = unwrap_model(learn.model)
    network = ensemble.members[: ensemble.n_ready][-1]
    network.target = ensemble.target
    network.seq_len = ensemble.seq_len
    config = {k: v for k, v in learn.arch_config.items() if k not in ("arch", "n_models")}
    use_model(learn, network, ensemble.arch, config)


def use_model(
    learn: CharLearner,  # its model is replaced
    model: CharModel,
    arch: str,  # its architecture
    config: dict,  # the arguments of the architecture
):
    "Give a learner another model. A later fit begins with a new optimizer."
    learn.model = model
    learn.arch = get_arch(arch)
    learn.arch_config = config
    learn.opt = None
