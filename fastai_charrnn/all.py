"""All public names of this package and of fastai, for notebooks: `from fastai_charrnn.all import *`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # fastai has functions of these names. At run time the last import counts; for mypy, the first
    from .io.model_file import load_model as load_model
    from .io.model_file import save_model as save_model

from fastai.basics import *
from fastai.callback.all import *
from fastai.interpret import *

from .adapt import *
from .analysis.arch_plots import *
from .analysis.compare import *
from .analysis.confusion import *
from .analysis.connectivity import *
from .analysis.connectivity_plots import *
from .analysis.gate_plots import *
from .analysis.gates import *
from .analysis.ngrams import *
from .analysis.plots import *
from .analysis.report import *
from .analysis.surprise import *
from .analysis.text_picture import *
from .analysis.tracking import *
from .analysis.unit_plots import *
from .analysis.units import *
from .callback.checkpoint import *
from .callback.cuda_graph import *
from .callback.lr_find import *
from .callback.samples import *
from .callback.training_log import *
from .data.block import *
from .data.chunks import *
from .data.corpus import *
from .data.encoded import *
from .data.ids import *
from .data.loaders import *
from .data.protocol import *
from .data.show import *
from .data.splits import *
from .data.streams import *
from .data.text_file import *
from .data.token_vocab import *
from .data.vocab import *
from .data.window_dl import *
from .data.windows import *
from .errors import *
from .generation.char_stream import *
from .generation.generate import *
from .generation.options import *
from .generation.scored import *
from .generation.text import *
from .io.model_file import *
from .learner import *
from .metrics import *
from .mixing.reading import *
from .models.base import *
from .models.counts import *
from .models.ensemble import *
from .models.groups import *
from .models.mixture import *
from .models.mullstm import *
from .models.registry import *
from .models.rnn import *
from .models.step import *
from .optimizer import *
from .page.to_page import *
from .recipes.best import *
from .recipes.default import *
from .recipes.lesson6 import *
from .recipes.mix_counts import *
from .recipes.optimizer import *
from .serve.serve import *
from .serve.watch import *
from .share.card import *
from .share.hub import *
from .share.onnx import *
from .share.pretrained import *
