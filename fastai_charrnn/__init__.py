"""Character-level recurrent networks for fastai. `from fastai_charrnn.all import *` is the way in.

Holds the version and nothing else, so that the light parts (`corpus`, `vocab`, `charrnn --help`) import without torch.
"""

__version__ = "0.1.0"
