"""One text as a stream of characters: `CharStream`, the result of `generate(…, stream=True)`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._utils import unwrap_model
from ..errors import GenerationError
from .char_view import char_view
from .checks import checked_options
from .decoders import is_stateful
from .loops import LoopDetector, loop_context, warn_about_loop
from .options import GenerationConfig, StopMatcher
from .prompts import encode_prompts, prompt_rows, seen_chars
from .sampling import stream_ids

if TYPE_CHECKING:
    from .prompts import TextModel

__all__ = ["CharStream"]


class CharStream:
    """An iterator over the prompt and then the characters of one text, as they are generated.

    You can use the model between two characters. Training it does not change the rest of the text if the model has the
    step protocol, since the stream steps a copy that is made at the start."""

    def __init__(
        self,
        learn: "TextModel",  # a learner whose `dls` has a character vocabulary
        prompt: str,  # one text to continue
        options: GenerationConfig,  # how many characters, and how to choose them
        return_prompt: bool = True,  # whether to yield the prompt's characters first
        unk: str = "error",  # unknown characters, as in `generate`
    ):
        if not isinstance(prompt, str):
            raise GenerationError("stream=True yields the characters of one text; pass one prompt as a str")
        if options.num != 1 or options.beam is not None:
            raise GenerationError("stream=True yields the characters of one text; leave out num and beam")
        learn = char_view(learn)
        encoded = encode_prompts(learn, prompt, unk)
        self.options = options = checked_options(options, learn.dls.vocab, 1, stream=True)
        self.vocab = learn.dls.vocab
        self.prompt = self.vocab.decode(encoded[0]) if return_prompt else ""
        self.n = options.n
        model = unwrap_model(learn.model)
        rows = prompt_rows(learn, encoded)
        seen = None if options.repetition_penalty is None else seen_chars(learn, encoded)
        self.ids = stream_ids(model, rows, options, seen)
        self.loop_detector = self._make_loop_detector(model, rows)
        self.chars = self._chars()

    @property
    def seed(self) -> int | None:
        "The seed of the random numbers, or None for greedy text."
        return None if self.options.greedy else self.options.seed

    def _make_loop_detector(self, model, rows):
        "None for sampled text, which may repeat itself by chance."
        if not self.options.greedy:
            return None
        recent = [] if is_stateful(model) else rows[0].tolist()
        return LoopDetector(loop_context(model, rows, self.options), recent)

    def _chars(self):
        yield from self.prompt
        if self.n == 0:
            return
        matcher = None if self.options.stop is None else StopMatcher(self.options, self.vocab.decode)
        for count, index in enumerate(self.ids, 1):
            yield self.vocab[index]
            if count == self.n or (matcher is not None and matcher([index]) is not None):
                return
            if self.loop_detector is not None and self.loop_detector.update(index):
                self.loop_detector = None
                # to the caller of `next`: past this generator and `__next__`
                warn_about_loop(None, stacklevel=3)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self.chars)
