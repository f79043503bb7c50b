"""A user's script, which type checkers read and nothing runs: `test_types` checks it with mypy and basedpyright."""

# ruff: noqa: F403, F405 (names of the star import)

from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from torch import Tensor

from fastai_charrnn.all import *
from fastai_charrnn.io.generator import CharGenerator, load_generator

if TYPE_CHECKING:
    from fastai_charrnn.generation.scored_texts import ScoredTexts

dls = CharDataLoaders.from_text("some text", seq_len=8, bs=64)
assert_type(dls, CharDataLoaders)
assert_type(CharDataLoaders.from_file("my.txt", seq_len=8), CharDataLoaders)
assert_type(dls.vocab, CharVocab)
assert_type(dls.vocab[1], str)
assert_type(dls.vocab.decode([1, 2]), str)
assert_type(dls.one_batch(), tuple[Tensor, Tensor])
assert_type(dls.seq_len, int)

learn = char_learner(
    dls, "gru", n_hid=64, seed=1, prompts=["The "], cbs=[TrainingLog(), PredictNextCallback("The ", n=9)]
)
assert_type(learn, CharLearner)
assert_type(learn.dls, CharDataLoaders)
assert_type(learn.set_lrs(1e-3), CharLearner)
assert_type(learn.arch.name, str)
learn.fit(1, 1e-3)
learn.fit_one_cycle(1, 1e-3)

# one text, several, a stream
assert_type(learn.generate("The "), ScoredText)
assert_type(learn.generate("The ", 20, 0.5, top_p=0.9, stop=". ", seed=1), ScoredText)
assert_type(learn.generate("The ", num=1, max_new_tokens=20, do_sample=True, stop_strings=["."]), ScoredText)
assert_type(learn.generate(["The ", "A "]), ScoredTexts)
assert_type(learn.generate("The ", num=3), ScoredTexts)
assert_type(learn.generate("The ", beam=3), ScoredTexts)
assert_type(learn.generate("The ", num_beams=3, num_return_sequences=2), ScoredTexts)
assert_type(learn.generate("The ", num=3)[0], ScoredText)
for text in learn.generate(["The ", "A "], stop=lambda text: text.count(".") == 2):
    assert_type(text, ScoredText)
assert_type(learn.generate("The ", None, stream=True), CharStream)
for char in learn.generate("The ", 20, stream=True):
    assert_type(char, str)
config = GenerationConfig(max_new_tokens=20, num_return_sequences=2, top_k=5)
assert_type(learn.generate("The ", config), ScoredText | ScoredTexts)
assert_type(learn.generate("The ", config=GenerationConfig(0.5, n=9)), ScoredText | ScoredTexts)
assert_type(learn.generate("The ", GenerationConfig(n=9), stream=True), CharStream)

assert_type(learn.predict("The ", n_words=3, temperature=0.7), str)
assert_type(learn.predict("The ", n=3), str)
assert_type(learn.predict_next("The "), str)
assert_type(learn.predict_next(["The ", "A "], n=3), list[str])
assert_type(learn.next_probs("The ", top=3), dict[str, float])
assert_type(learn.score("The end.").bits_per_char, float)
assert_type(learn.evaluate("The end.", by="streams"), dict[str, float])
assert_type(learn.fit_minutes(1, lr_max=1e-3), dict[str, float])

assert_type(save_model(learn, "my"), Path)
assert_type(load_model("my"), CharLearner)
generator = load_generator("my")
assert_type(generator, CharGenerator)
assert_type(generator.generate("The "), ScoredText)
assert_type(generator.predict("The "), str)
assert_type(ngram_baseline(dls), NgramBaseline)
recipe = default_recipe(100_000)
assert_type(recipe.learner(recipe.dls("some text")), CharLearner)

# names of fastai
items = L(1, 2)
learner: Learner = learn

# shared
assert_type(model_card(learn, name="mine", license="mit"), str)
assert_type(load_from_hub("me/mine", revision="main", lr=1e-3), CharLearner)
assert_type(hub_file("me/mine", "README.md"), Path)
learn.push_to_hub("me/mine", private=True, license="mit")
learn.to_onnx("mine.onnx", step=True)
