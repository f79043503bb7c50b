"""Character-level recurrent networks for fastai. Start with `from fastai_charrnn.all import *`.

This module holds only the version: `data.corpus`, `data.vocab` and `charrnn --help` must not import torch.
"""

__version__ = "0.1.0"
