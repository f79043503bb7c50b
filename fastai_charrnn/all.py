"""Everything a notebook needs, fastai's own surface included: `from fastai_charrnn.all import *`."""

from fastai.basics import *
from fastai.callback.all import *
from fastai.interpret import *

from .adapt import *
from .analysis.ngrams import *
from .analysis.plots import *
from .analysis.report import *
from .callback.lr_find import *
from .callback.samples import *
from .callback.training_log import *
from .data.corpus import *
from .data.encoded import *
from .data.loaders import *
from .data.splits import *
from .data.streams import *
from .data.vocab import *
from .data.windows import *
from .errors import *
from .generation.char_stream import *
from .generation.options import *
from .generation.scored import *
from .generation.text import *
from .io.model_file import *
from .learner import *
from .metrics import *
from .models.base import *
from .models.ensemble import *
from .models.hawk import *
from .models.mullstm import *
from .models.registry import *
from .models.rnn import *
from .recipes.best import *
from .recipes.lesson6 import *
