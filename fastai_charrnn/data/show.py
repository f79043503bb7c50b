"""Show batches, results and top losses of text as a table: `dls.show_batch()`, `learn.show_results()` and others.

Strings are printed as Python spells them, so spaces and line ends are visible. fastai's `TensorBoardCallback` and
`WandbCallback` log such tables too, with their default arguments.
"""

import pandas as pd
from fastai.basics import TensorBase, dispatch, show_batch, show_results
from fastai.interpret import plot_top_losses
from fastcore.imports import IN_NOTEBOOK

__all__ = ["TensorChars"]

TEXT_COLUMNS = ["text", "next", "predicted"]
_cell = '<td style="white-space:pre; font-family:monospace; text-align:left">'


class TensorChars(TensorBase):
    "Indices of characters about to be shown. Batches are plain tensors; fastai dispatches on this type to show them."


def _spelled(rows):
    return [[repr(s) for s in row] for row in rows]


def show_table(rows, columns, **more_columns):
    rows = _spelled(rows)
    df = pd.DataFrame(rows, columns=columns).assign(**more_columns)
    if IN_NOTEBOOK:
        from IPython.display import HTML, display

        display(HTML(df.to_html(index=False).replace("<td>", _cell)))
    else:
        print(df.to_string(index=False))


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
