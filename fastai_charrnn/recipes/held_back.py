"""Hold back a slice at the end of the training part: `hold_back`.

    dls = BestRecipe(minutes=5, n_hid=64).dls(text)
    held = hold_back(dls)
    held.dls            # they train on the rest and validate on the slice
    held.span           # (begin, end) of the slice
    held.last_dls       # at the end they train on the slice twice, then on all of the training part

The slice tells how well a network predicts text that it was not trained on, without the validation part, which is only
for the final numbers. Afterwards it is trained on too, before the rest: it is the part of the text that is nearest to
what follows.
"""

from typing import NamedTuple

from ..data.loaders import CharDataLoaders
from ..data.streams import CharStreams

__all__ = ["HeldBack", "hold_back"]

_part = 0.06  # of the training part
_max_size = 200_000  # characters of a slice
_n_readings = 2  # of the slice, at the beginning of each of the last passes
_usual_size = 2_000  # characters of the slice of a short text, at most a tenth of it
_min_size = 1_000  # characters; with fewer, chance decides
# Rows in which the slice is validated, and characters of a row before there are more. Many short rows are read faster.
_min_rows, _max_rows = 32, 128
_row_len = 250


class HeldBack(NamedTuple):
    "A slice of the training part, loaders that leave it out, and loaders that begin with it."

    dls: CharDataLoaders  # without the slice, which they validate on
    last_dls: CharDataLoaders  # the slice twice, then all of the training part
    span: tuple[int, int]  # positions in the text: the slice
    spans: tuple[tuple[int, int], ...]  # positions of the rest of the training part


def hold_back(
    dls: CharDataLoaders,  # of streams
) -> HeldBack | None:  # None for a short text
    """Hold back the last 6% of the training part, at most 200,000 characters.

    Of a short training part it is 2,000 characters, but at most a tenth. Below 10,000 characters there is no slice."""
    streams = dls.train_ds
    n = streams.n_targets
    size = min(max(int(n * _part), min(_usual_size, n // 10)), _max_size)
    begin, end = streams.spans[-1]
    size = min(size, (end - begin) // 2)
    if size < _min_size:
        return None
    span = (end - size, end)
    spans = (*streams.spans[:-1], (begin, end - size))
    rows = min(max(_min_rows, size // _row_len), _max_rows)
    held = _streams_like(streams, [span], rows)
    rest = _streams_like(streams, spans, streams.bs, shift=streams.shift)
    last = _streams_like(streams, [*[span] * _n_readings, *streams.spans], streams.bs, shift=streams.shift)
    rest_dls = _loaders_like(dls, rest, held, rows)
    last_dls = _loaders_like(dls, last, dls.valid_ds, dls.valid.bs)
    return HeldBack(rest_dls, last_dls, span, spans)


def _streams_like(streams, spans, bs, **kwargs):
    "Streams of other stretches of the same text."
    text = streams.ids, streams.vocab
    return CharStreams(*text, spans, bs, streams.seq_len, streams.stateful, False, streams.info, **kwargs)


def _loaders_like(dls, train_ds, valid_ds, val_bs):
    "Loaders of other streams."
    sizes = dict(bs=dls.train.bs, val_bs=val_bs)
    return CharDataLoaders.from_datasets(train_ds, valid_ds, **sizes, device=dls.device, path=dls.path)
