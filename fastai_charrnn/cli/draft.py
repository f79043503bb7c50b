"""A text that is written with a model: `Draft` keeps its states for undo, and finds continuations to choose from."""

from ..errors import GenerationError
from ..generation.continuations import Continuation, TextState
from ..io.generator import CharGenerator

__all__ = ["Draft"]


class Draft:
    "A text, what was undone, and the continuations to choose from."

    def __init__(
        self,
        generator: CharGenerator,  # the model
        prompt: str = "",  # how the text begins
        num: int = 5,  # continuations to choose from
        temperature: float = 0.0,  # 0: the likeliest; above 0: drawn at random
        seed: int = 0,  # of the draws
        unk: str = "error",  # unknown characters, as in `generate`
    ):
        self.states = [TextState.start(generator, prompt, unk)]
        self.undone = []
        self.num = num
        self.temperature = temperature
        self.seed = seed
        self.words = 1
        self.page = 0
        self.was_drawn = False

    @property
    def text(self) -> str:
        "The text so far."
        return self.states[-1].text

    def options(self) -> list[Continuation]:  # the likeliest first
        "The continuations to choose from."
        if self.temperature:
            self.was_drawn = True
            # another page is another seed
            seed = (self.seed + self.page) % 2**64
            return self.states[-1].drawn(self.num, self.words, self.temperature, seed)
        end = self.num * (self.page + 1)
        return self.states[-1].likeliest(end, self.words)[end - self.num :]

    def add(
        self,
        text: str,  # what follows
    ):
        "Append to the text. Raises `UnknownCharError`, which leaves it as it was."
        self.states.append(self.states[-1].extended(text))
        self.undone = []
        self.page = 0

    def undo(self):
        "Take the last addition back. Raises `GenerationError` if there is none."
        if len(self.states) == 1:
            raise GenerationError("there is nothing to undo")
        self.undone.append(self.states.pop())
        self.page = 0

    def redo(self):
        "Put back what was undone last. Raises `GenerationError` if there is nothing."
        if not self.undone:
            raise GenerationError("there is nothing to redo")
        self.states.append(self.undone.pop())
        self.page = 0
