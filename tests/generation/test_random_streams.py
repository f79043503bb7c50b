"""Random numbers of a row depend on the seed, its prompt and its number, and on nothing else."""

import numpy as np
import plain_sampling as plain
import torch

from fastai_charrnn.generation.random_streams import Uniforms, stream_keys

cpu = torch.device("cpu")


def take(keys, *block_sizes):
    "(rows, n) numbers, taken in blocks."
    uniforms = Uniforms(7, np.array(keys), cpu)
    return torch.cat([torch.cat(uniforms.take(k), 1) for k in block_sizes], 1)


def test_numbers_do_not_depend_on_block_sizes_or_other_rows():
    numbers = take([0, 1, 5], 20)
    assert torch.equal(numbers, take([0, 1, 5], 1, 4, 15))
    assert torch.equal(numbers[1:2], take([1], 20))
    assert torch.equal(take([3, 3], 5)[0], take([3], 5)[0])
    assert 0 <= numbers.min()
    assert numbers.max() < 1


def test_numbers_agree_with_the_plain_definition():
    keys = stream_keys(torch.tensor([[0, 3, 5]]), [2])
    numbers = torch.cat(Uniforms(7, keys, cpu).take(20), 1)[0].tolist()
    expected = plain.uniforms(7, [3, 5], 2)
    assert numbers == [next(expected) for _ in range(20)]


def test_other_prompts_and_other_numbers_have_other_keys():
    prompts = torch.tensor([[0, 3, 5], [0, 3, 5], [0, 3, 2], [0, 0, 3]])
    assert len(set(stream_keys(prompts, [2, 1, 5, 5]))) == 4
