"""What `charrnn train --minutes` shows while it trains: `ClockRows`, ten rows of numbers and a few samples.

A fit with a time limit may have a thousand epochs or not a whole one, so its rows are printed by the clock.
"""

from collections.abc import Callable

from fastai.basics import Callback, Recorder

__all__ = ["ClockRows"]

_n_rows = 10
# after which of the rows a sample is printed
_sampled = (2, 5, 8)
_sample_chars = 60
# of the training time: samples that take longer are left out
_max_sampling = 0.005


class ClockRows(Callback):
    """Print the time, the epochs and the training loss ten times in a fit by the clock, and a sample three times.

    Samples have random numbers of their own, so training is the same with and without them."""

    order = Recorder.order + 3
    run_valid = False

    def __init__(
        self,
        write: Callable[[str], None],  # prints a line
        prompt: str,  # of the samples
        temperature: float = 0.8,  # of the samples; 0 is greedy
        seed: int = 42,  # of the samples
    ):
        self.write = write
        self.prompt = prompt
        self.options = dict(temperature=temperature, seed=seed)
        self.n_shown = 0
        self.sampling_is_slow = False

    def before_fit(self):
        self.n_shown = 0
        budget = self.learn.time_budget
        if self.learn.resuming is None:
            self.write(f"trains for {budget.seconds:,.1f} s, and keeps {budget.validation_time:,.1f} s for validation")
        self.write(_row("time", "epochs", "train_loss"))

    def after_batch(self):
        n = int(self.learn.time_budget.elapsed_pct * _n_rows)
        if n <= self.n_shown or n >= _n_rows:
            return
        is_sampled = any(self.n_shown < k <= n for k in _sampled)
        self.n_shown = n
        self._show_numbers()
        if is_sampled and not self.sampling_is_slow:
            self._show_sample()

    def after_fit(self):
        self._show_numbers()

    def _show_numbers(self):
        budget = self.learn.time_budget
        seconds = round(budget.elapsed)
        loss = float(self.learn.smooth_loss)
        self.write(_row(f"{seconds // 60:02}:{seconds % 60:02}", f"{budget.epochs:.2f}", f"{loss:.4f}"))

    def _show_sample(self):
        budget = self.learn.time_budget
        start = budget.elapsed
        sample = self.learn.generate([self.prompt], _sample_chars, **self.options)[0]
        self.sampling_is_slow = budget.elapsed - start > _max_sampling * budget.seconds
        self.write(f"  {str(sample)!r}")


def _row(*cells):
    return "  ".join(f"{cell:>13}" for cell in cells)
