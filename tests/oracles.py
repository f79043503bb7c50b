"""The architectures as lesson 6 writes them: layer by layer, step by step.

Each takes a model of this package and computes with its parameters, so values and gradients can be compared.
"""

import torch
from torch.nn.functional import log_softmax, relu


def loop(m, x):
    h = torch.zeros(len(x), m.n_hid, dtype=m.out.weight.dtype)
    for c in x.t():
        h = torch.tanh(m.hid(h + relu(m.inp(m.emb(c)))))
    return log_softmax(m.out(h), dim=-1)


def char3(m, x):
    c1, c2, c3 = x.t()
    in1, in2, in3 = (relu(m.inp(m.emb(c))) for c in (c1, c2, c3))
    h = torch.zeros_like(in1)
    h = torch.tanh(m.hid(h + in1))
    h = torch.tanh(m.hid(h + in2))
    h = torch.tanh(m.hid(h + in3))
    return log_softmax(m.out(h), dim=-1)


def concat(m, x):
    h = torch.zeros(len(x), m.n_hid, dtype=m.out.weight.dtype)
    for c in x.t():
        h = torch.tanh(m.hid(relu(m.inp(torch.cat([h, m.emb(c)], 1)))))
    return log_softmax(m.out(h), dim=-1)


def library(m, x):
    "PyTorch's recurrent layer over the whole sequence, and the output layer on its last output."
    outp, _ = m.rnn(m.emb(x.t()))
    return log_softmax(m.out(outp[-1]), dim=-1)


ORACLES = dict(char3=char3, loop=loop, concat=concat, rnn=library, gru=library, lstm=library)


def get_next(m, vocab, prompt, n=8):
    "Lesson 6's `get_next`: the most likely next character."
    idxs = torch.tensor([vocab.index(c) for c in prompt])[None]
    return vocab[int(m(idxs).argmax())]


def get_next_n(m, vocab, prompt, n):
    "Lesson 6's `get_next_n`: the window moves by one for each character."
    res = prompt
    for _ in range(n):
        c = get_next(m, vocab, prompt)
        res += c
        prompt = prompt[1:] + c
    return res


def step_by_step(m, x):
    "The log-probabilities after every character, computed by `step`: (bs, n, V)."
    state = m.init_hidden(len(x))
    table = m.table()
    outs = []
    for c in x.t():
        state = m.step(table[c], state)
        outs.append(m.log_probs(state))
    return torch.stack(outs, 1)
