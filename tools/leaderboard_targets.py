"""The targets of the leaderboard, and why a target is missed where it is: `targets_table`."""

from dataclasses import dataclass

from leaderboard_rows import Entry
from leaderboard_runs import SAME_WORK
from report_tables import table


@dataclass(frozen=True)
class Target:
    "A loss to reach."

    what: str
    entry: str  # the name of the row, without its seed
    must: float  # reached by a loss that is not above it
    aim: float
    before: float | None = None  # the loss before these targets were set
    field: str = "nats"  # of the row
    strict: bool = False  # whether the loss must be below `must`
    max_weights: int | None = None  # how many weights the model may have
    cause: str = ""  # why it is missed, apart from the speed of the machine

    def is_met(self, loss: float, weights: int) -> bool:
        "Whether a loss, by a model with so many weights, is low enough."
        small = self.max_weights is None or weights <= self.max_weights
        return small and (loss < self.must if self.strict else loss <= self.must)


TARGETS = (
    Target("1 minute", "best, 1 min", 1.30, 1.27, 1.3367),
    Target("5 minutes", "best, 5 min", 1.195, 1.18, 1.2140),
    Target("15 minutes", "best, 15 min", 1.18, 1.16, 1.2028),
    Target(
        "one network of at most 6 million weights, 15 minutes",
        "best as one network, 15 min",
        1.20,
        1.185,
        max_weights=6_000_000,
    ),
    Target(
        "learning while reading, 15 minutes (paq8px: 1.1404)",
        "best, 15 min",
        1.1404,
        1.10,
        1.1633,
        "mixed",
        strict=True,
    ),
    Target("lesson 6's terms, 15 minutes", "lesson's terms: best, 15 min", 1.19, 1.175, 1.2116),
)


def targets_table(
    found: dict[str, Entry],  # as `leaderboard_rows.entries`
    targets: tuple[Target, ...] = TARGETS,
) -> str:  # Markdown
    "Each target with the loss in the time and with the work of the reference machine."
    columns = ["target", "before", "must", "aim", "in the time", "with the same work", "cause of a miss"]
    return table(columns, [_cells(target, found) for target in targets])


def _cells(target, found):
    before = "–" if target.before is None else f"{target.before:.4f}"
    sign = "<" if target.strict else "≤"
    cells = [target.what, before, f"{sign} {_shown(target.must)}", f"≤ {_shown(target.aim)}"]
    entries = [found.get(beginning + target.entry) for beginning in ("", SAME_WORK)]
    losses = [_measured(target, entry) for entry in entries]
    return [*cells, *losses, _cause(target, entries[0], losses)]


def _cause(target, entry, losses):
    "Why a target is missed: what is known of it, and that the machine is slow."
    causes = [target.cause] if target.cause and "missed" in "".join(losses) else []
    if "missed" in losses[0] and (speed := entry.mean("speed")) < 0.8:
        causes.append(f"in the time, this machine does {speed:.0%} of the reference machine's work")
    return "; ".join(causes)


def _measured(target, entry):
    "The loss, the speed of the machine and the verdict."
    if entry is None or target.field not in entry.first:
        return ""
    # some losses are measured with the first seed only
    loss = entry.nats if target.field == "nats" else entry.first[target.field]
    return f"{loss:.4f}, speed {entry.mean('speed'):.2g}: {_verdict(target, loss, entry.first['weights'])}"


def _shown(loss):
    "With two decimals or as many as it has."
    return f"{loss:.2f}" if round(loss, 2) == loss else f"{loss:g}"


def _verdict(target, loss, weights):
    if not target.is_met(loss, weights):
        too_large = target.max_weights is not None and weights > target.max_weights
        return f"**missed** ({weights:,} weights)" if too_large else "**missed**"
    return "met, and the aim" if loss <= target.aim else "met"
