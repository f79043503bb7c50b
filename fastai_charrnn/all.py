"""Everything a notebook needs, fastai's own surface included: `from fastai_charrnn.all import *`."""
from fastai.basics import *
from fastai.callback.all import *
from fastai.interpret import *

from .archs import *
from .baseline import *
from .bundle import *
from .corpus import *
from .data import *
from .encoded import *
from .errors import *
from .generate import *
from .hawk import *
from .learner import *
from .metrics import *
from .models import *
from .mullstm import *
from .options import *
from .plots import *
from .report import *
from .samples import *
from .scored import *
from .splits import *
from .streams import *
from .vocab import *
from .windows import *
