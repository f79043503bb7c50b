"""Claim: `CharVocab` encodes and decodes at 50 MB/s or more, and at 20 times a Python loop or more."""
from statistics import median
from timeit import repeat

from fastai_charrnn.all import CharVocab,nietzsche,read_text


def measure() -> list[tuple[str,str,str]]: # what, figure, claim
    "Megabytes a second of the corpus four times over, and the ratio to a loop over a dict and a list."
    text = read_text(nietzsche())*4
    vocab = CharVocab.from_text(text)
    ids,mb = vocab.encode(text),len(text.encode())/1e6
    o2i,itos,listed = vocab.o2i,vocab.itos,ids.tolist()
    pairs = {"encode": (lambda: vocab.encode(text), lambda: [o2i[c] for c in text]), "decode": (lambda: vocab.decode(ids), lambda: "".join([itos[i] for i in listed]))}
    rows = []
    for name,(ours,loop) in pairs.items():
        assert list(ours()) == list(loop())
        fast,slow = [],[]
        for _ in range(7): # in turn, so that a busy moment meets both
            fast += repeat(ours, number=1, repeat=3)
            slow += repeat(loop, number=1, repeat=1)
        rows += [(f"`CharVocab.{name}`", f"{mb/median(fast):.0f} MB/s", "≥ 50 MB/s"), (f"`CharVocab.{name}` against a Python loop", f"{median(slow)/median(fast):.1f}x", "≥ 20x")]
    return rows
