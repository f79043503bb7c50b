"""Show batches, results and top losses of text as a table: `dls.show_batch()`, `learn.show_results()` and others.

Strings are printed as Python spells them, so spaces and line ends are visible. Long ones are wrapped.
fastai's `TensorBoardCallback` and `WandbCallback` log such tables too, with their default arguments.
"""

from collections.abc import Iterable, Sequence

import pandas as pd
from fastai.basics import TensorBase, dispatch, show_batch, show_results
from fastai.interpret import plot_top_losses
from fastcore.imports import IN_NOTEBOOK

from .._html import as_table, as_text, escaped

__all__ = ["TensorChars"]

TEXT_COLUMNS = ["text", "next", "predicted"]
_max_width = 80  # characters of a text in a table for a terminal


class TensorChars(TensorBase):
    "Indices of characters about to be shown. Batches are plain tensors; fastai dispatches on this type to show them."


def _spelled(rows):
    return [[repr(s) for s in row] for row in rows]


def show_table(
    rows: Iterable[Sequence[str]],  # the texts of each row
    columns: Sequence[str],  # their names
    **more_columns: Sequence[str],  # further columns, such as losses
):
    "Show a table: in a notebook as HTML, else as text. Long texts are wrapped."
    rows = _spelled(rows)
    if IN_NOTEBOOK:
        from IPython.display import HTML, display

        display(HTML(_as_html(rows, columns, more_columns)))
    elif any(len(cell) > _max_width for row in rows for cell in row):
        print(_as_blocks(rows, columns, more_columns))
    else:
        print(pd.DataFrame(rows, columns=columns).assign(**more_columns).to_string(index=False))


def _as_html(rows, columns, more_columns):
    cells = [[as_text(escaped(cell)) for cell in row] for row in rows]
    more = [[escaped(value) for value in values] for values in zip(*more_columns.values())] or [[]] * len(rows)
    names = [*columns, *more_columns]
    return as_table(names, [row + other for row, other in zip(cells, more)], left=range(len(columns)))


def _as_blocks(rows, columns, more_columns):
    "A block of lines for each row, with a blank line between them."
    names = [*columns, *more_columns]
    indent = max(map(len, names)) + 2
    blocks = []
    for k, row in enumerate(rows):
        cells = [*row, *(str(values[k]) for values in more_columns.values())]
        # cells have no line breaks, and their spaces are kept
        lines = ["\n".join(_pieces(cell)).replace("\n", "\n" + " " * indent) for cell in cells]
        blocks.append("\n".join(f"{name:<{indent}}{line}" for name, line in zip(names, lines)))
    return "\n\n".join(blocks)


def _pieces(cell):
    return [cell[i : i + _max_width] for i in range(0, len(cell), _max_width)] or [""]


@dispatch
def show_batch(x: TensorChars, y, samples, ctxs=None, max_n=9, **kwargs):  # noqa: F811 (extends fastai's)
    show_table(samples[:max_n], TEXT_COLUMNS[: len(samples[0])])


@dispatch
def show_results(x: TensorChars, y, samples, outs, ctxs=None, max_n=9, **kwargs):  # noqa: F811 (extends fastai's)
    show_table([(*sample, *out) for sample, out in zip(samples[:max_n], outs)], TEXT_COLUMNS)


@dispatch
def plot_top_losses(x: TensorChars, y, samples, outs, raws, losses, **kwargs):  # noqa: F811 (extends fastai's)
    rows = [(*sample, *out) for sample, out in zip(samples, outs)]
    # of several characters, their geometric mean
    log_probs = raws.gather(-1, y[..., None].long()).double().log().reshape(len(y), -1).mean(1)
    probabilities = [f"{p:.4f}" for p in log_probs.exp().tolist()]
    show_table(rows, TEXT_COLUMNS, probability=probabilities, loss=[f"{float(loss):.2f}" for loss in losses])


# fastai's loggers call these for the type of the inputs. Extended by name, so that neither library is imported here.


@dispatch
def tensorboard_log(x: TensorChars, y, samples, outs, writer, step):
    "Write samples as a table in Markdown, which TensorBoard shows under Text."
    rows = _spelled((*sample, *out) for sample, out in zip(samples, outs))
    cells = [TEXT_COLUMNS, ["---"] * len(TEXT_COLUMNS), *([_as_code(cell) for cell in row] for row in rows)]
    writer.add_text("Sample results", "\n".join(f"| {' | '.join(row)} |" for row in cells), step)


def _as_code(cell):
    "A cell of a Markdown table."
    escaped = cell.replace("|", "\\|")
    fence = "``" if "`" in escaped else "`"
    return f"{fence}{escaped}{fence}"


@dispatch
def wandb_process(x: TensorChars, y, samples, outs, preds):
    "Return samples as a table of Weights & Biases."
    import wandb

    rows = _spelled((*sample, *out) for sample, out in zip(samples, outs))
    return {"Prediction_Samples": wandb.Table(data=rows, columns=TEXT_COLUMNS)}
