"""Train in one process, in several, or on several hosts.

    python examples/train.py
    torchrun --nproc-per-node 2 examples/train.py
    accelerate launch --multi_gpu --num_processes 2 examples/train.py      # on CPUs too

`bs` is the batch size of each process: two processes with 256 train like one with 512. README.md in this folder has the
command for several hosts.
"""

import argparse

from fastai_charrnn.all import CharDataLoaders, char_learner, python_reference, rank_distrib, read_text, save_model

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("file", nargs="?", help="a text file (the Python language reference)")
p.add_argument("--epochs", type=int, default=1)
p.add_argument("--bs", type=int, default=256, help="windows in a batch of each process")
p.add_argument("--chars", type=int, help="characters of the text to use (all)")
p.add_argument("--out", default="model.safetensors")
args = p.parse_args()

text = read_text(args.file) if args.file else python_reference()
dls = CharDataLoaders.from_text(text[: args.chars], bs=args.bs, valid="tail", valid_pct=0.1)
learn = char_learner(dls, "rnn", seed=42)
with learn.no_bar(), learn.distrib_ctx():
    learn.fit_one_cycle(args.epochs, 5e-3)
# only the first process writes
save_model(learn, args.out)
if not rank_distrib():
    print(learn.generate(dls.vocab.decode(dls.valid_ds[0][0]), 100, seed=1))
