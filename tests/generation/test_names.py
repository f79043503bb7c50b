"""`generate` and `GenerationConfig` accept Hugging Face's names of the options, and configs."""

import pickle
from dataclasses import replace

import pytest
from fastcore.foundation import L

from fastai_charrnn.all import CharStream, GenerationConfig, GenerationError, ScoredText
from fastai_charrnn.io.generator import CharGenerator

spellings = [
    (dict(max_new_tokens=30, seed=1), dict(n=30, seed=1)),
    (dict(max_new_tokens=9, num_return_sequences=3, seed=1), dict(n=9, num=3, seed=1)),
    (dict(max_new_tokens=9, num_beams=3), dict(n=9, beam=3)),
    (dict(max_new_tokens=9, num_beams=3, num_return_sequences=2), dict(n=9, beam=3, num=2)),
    (dict(max_new_tokens=9, num_beams=1, seed=1), dict(n=9, seed=1)),
    (dict(stop_strings=["e "], seed=1), dict(stop="e ", seed=1)),
    (dict(do_sample=False, max_new_tokens=9, top_p=0.5), dict(temperature=0, n=9, top_p=0.5)),
    (dict(do_sample=True, max_new_tokens=9, seed=1), dict(n=9, seed=1)),
    (dict(do_sample=True, temperature=0.5, max_new_tokens=9, seed=1), dict(temperature=0.5, n=9, seed=1)),
    (dict(do_sample=None, max_new_tokens=9, seed=1), dict(n=9, seed=1)),
    (dict(n=9, max_new_tokens=9, num=2, num_return_sequences=2, seed=1), dict(n=9, num=2, seed=1)),
]

# whether greedy text repeats itself depends on the text that a Python brings
pytestmark = pytest.mark.filterwarnings("ignore:the greedy text repeats")


def as_text(result):
    "What `generate` returned, as a str or a list of them."
    if isinstance(result, ScoredText):
        return result.text
    return "".join(result) if isinstance(result, CharStream) else [o.text for o in result]


@pytest.mark.parametrize("theirs,ours", spellings, ids=str)
def test_both_spellings_give_the_same_texts(trained, theirs, ours):
    expected = trained.generate("the ", **ours)
    for found in (trained.generate("the ", **theirs), trained.generate("the ", config=GenerationConfig(**theirs))):
        assert type(found) is type(expected)
        assert as_text(found) == as_text(expected)
    assert GenerationConfig(**theirs) == GenerationConfig(**ours)


def test_a_generator_of_a_model_file_and_a_stream_accept_them(trained):
    expected = trained.generate("the ", 20, seed=1, stop="e ").text
    options = dict(max_new_tokens=20, seed=1, stop_strings="e ")
    assert as_text(trained.generate("the ", stream=True, **options)) == expected
    generator = CharGenerator(trained.model, trained.dls.vocab, trained.dls.seq_len)
    assert generator.generate("the ", **options).text == expected
    assert generator.predict("the ", n=20, seed=1) == trained.predict("the ", n=20, seed=1)


@pytest.mark.parametrize(
    "kw,names",
    [
        (dict(n=5, max_new_tokens=6), ["n=5", "max_new_tokens=6"]),
        (dict(num=2, num_return_sequences=3), ["num=2", "num_return_sequences=3"]),
        (dict(beam=2, num_beams=3), ["beam=2", "num_beams=3"]),
        (dict(beam=2, num_beams=1), ["beam=2", "num_beams=1"]),
        (dict(stop="a", stop_strings="b"), ["stop='a'", "stop_strings='b'"]),
        (dict(temperature=0.5, do_sample=False), ["temperature=0.5", "do_sample=False"]),
        (dict(temperature=0, do_sample=True), ["temperature=0", "do_sample=True"]),
        (dict(num_beams=3, do_sample=True), ["beam=3", "do_sample=True"]),
        (dict(num_beams=3, num_return_sequences=4), ["num=4", "beam=3"]),
        (dict(do_sample="yes"), ["do_sample='yes'"]),
    ],
    ids=str,
)
def test_a_conflict_names_both_options(trained, kw, names):
    for call in (lambda: trained.generate("the ", **kw), lambda: GenerationConfig(**kw)):
        with pytest.raises(GenerationError) as e:
            call()
        assert [name for name in names if name not in str(e.value)] == []


def test_a_number_of_characters_by_position_conflicts_too(trained):
    with pytest.raises(GenerationError, match="n=5 and max_new_tokens=6"):
        trained.generate("the ", 5, max_new_tokens=6)


@pytest.mark.parametrize(
    "wrong,nearest", [("temprature", "temperature"), ("max_new_token", "max_new_tokens"), ("num_beam", "num_beams")]
)
def test_an_unknown_option_is_an_error_with_the_nearest_name(trained, wrong, nearest):
    with pytest.raises(TypeError, match=f"generate.. got an unexpected keyword argument '{wrong}'.*{nearest}"):
        trained.generate("the ", **{wrong: 1})
    with pytest.raises(TypeError, match=f"GenerationConfig.. got an unexpected .*{nearest}"):
        GenerationConfig(**{wrong: 1})
    with pytest.raises(TypeError, match="'zzz'$"):
        trained.generate("the ", zzz=1)


def test_pythons_errors_for_arguments_stay(trained):
    with pytest.raises(TypeError, match="multiple values for argument 'n'"):
        trained.generate("the ", 5, n=5)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'prompt'"):
        trained.generate()


# configs


def test_a_config_may_be_passed_by_position_or_by_name(trained):
    config = GenerationConfig(max_new_tokens=12, top_p=0.9, seed=1)
    expected = trained.generate("the ", 12, top_p=0.9, seed=1).text
    assert trained.generate("the ", config).text == expected
    assert trained.generate("the ", config=config).text == expected
    assert trained.generate("the ", generation_config=config).text == expected
    assert as_text(trained.generate("the ", config, stream=True)) == expected


def test_arguments_override_the_config_even_with_a_default_value(trained):
    config = GenerationConfig(temperature=0.2, n=12, seed=1)
    expected = trained.generate("the ", 30, temperature=0.8, seed=1).text
    assert trained.generate("the ", config, temperature=0.8, max_new_tokens=30).text == expected
    greedy = trained.generate("the ", 12, temperature=0).text
    assert trained.generate("the ", config, do_sample=False).text == greedy
    with pytest.raises(GenerationError, match="do_sample=True"):
        trained.generate("the ", replace(config, temperature=0), do_sample=True)


def test_two_configs_or_something_else_are_errors(trained):
    config = GenerationConfig(n=3)
    for kw in (dict(config=config, generation_config=config), dict(n=config, config=config)):
        with pytest.raises(GenerationError, match="two configs"):
            trained.generate("the ", **kw)
    with pytest.raises(GenerationError, match="got dict"):
        trained.generate("the ", config=dict(n=3))


def test_a_beam_returns_all_texts_or_the_first(trained):
    found = trained.generate("the ", 6, beam=4)
    assert isinstance(found, L)
    assert len(found) == 4
    for num in (1, 2):
        first = trained.generate("the ", 6, beam=4, num=num)
        assert isinstance(first, L)
        assert as_text(first) == as_text(found)[:num]


def test_a_config_can_be_pickled_and_replaced():
    config = GenerationConfig(max_new_tokens=12, num_return_sequences=2)
    assert pickle.loads(pickle.dumps(config)) == config
    assert replace(config, n=3) == GenerationConfig(n=3, num=2)
