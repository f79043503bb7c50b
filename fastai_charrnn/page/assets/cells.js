// The recurrent layers, with the formulas of `fastai_charrnn.models.layers` and `.mullstm`.
//
// `project(e)` is what depends only on the input: the pre-activations. `cell(inp, state)` reads one character and
// returns the next state: an array of Float32Arrays, of which the first is the layer's output. It changes no argument.
"use strict";

CharRNN.cells = (function () {
    const { addProduct } = CharRNN.numbers;

    // W x + b
    function linear(weight, bias, x) {
        return addProduct(bias.slice(), weight, x);
    }

    function sum(a, b) {
        return a.map((v, i) => v + b[i]);
    }

    // h = tanh(W_i e + b_i + W_h h + b_h)
    class RnnLayer {
        constructor(tensors, prefix) {
            this.weightIn = tensors[prefix + "rnn.weight_ih_l0"];
            this.bias = sum(tensors[prefix + "rnn.bias_ih_l0"], tensors[prefix + "rnn.bias_hh_l0"]);
            this.weight = tensors[prefix + "rnn.weight_hh_l0"];
        }

        project(e) {
            return linear(this.weightIn, this.bias, e);
        }

        cell(inp, [h]) {
            const next = addProduct(inp.slice(), this.weight, h);
            for (let i = 0; i < next.length; i++) next[i] = Math.tanh(next[i]);
            return [next];
        }
    }

    // The class of an architecture's layers, and the number of arrays in a layer's state.
    const layers = { rnn: { Layer: RnnLayer, nState: 1 } };

    return { layers };
})();
