"""Claim: `CharVocab` encodes and decodes many times faster than a loop over a dict and a list."""

from figures import Row, in_turn, ratios

from fastai_charrnn.all import CharVocab, nietzsche, read_text


def measure(short: bool = False) -> list[Row]:
    "Encode and decode four copies of the corpus."
    text = read_text(nietzsche())[: 20_000 if short else None] * 4
    vocab = CharVocab.from_text(text)
    ids = vocab.encode(text)
    mb = len(text.encode()) / 1e6
    o2i = vocab.o2i
    itos = vocab.itos
    id_list = ids.tolist()
    pairs = {
        "encode": (lambda: vocab.encode(text), lambda: [o2i[c] for c in text]),
        "decode": (lambda: vocab.decode(ids), lambda: "".join([itos[i] for i in id_list])),
    }
    rows = []
    for name, (ours, loop) in pairs.items():
        assert list(ours()) == list(loop())
        times = in_turn(dict(ours=ours, loop=loop), 2 if short else 9)
        rates = [mb / s for s in times["ours"]]
        against = ratios(times["loop"], times["ours"])
        rows += [
            Row(f"`CharVocab.{name}`", rates, "{:,.0f}", " MB/s", must=50),
            Row(f"`CharVocab.{name}` against a Python loop", against, "{:.1f}", "x", must=20, aim=100),
        ]
    return rows
