// The recurrent layers, with the formulas of `fastai_charrnn.models.layers` and `.mullstm`.
//
// e is a layer's input for a character, `inp` the pre-activations: what depends only on e. A state is an array of
// Float32Arrays, of which the first is the layer's output. No method changes its arguments.
//
//     project(e) -> inp
//     cell(inp, state) -> the next state
//     projectGradient(e, dInp) -> gradient of e
//     cellGradient(inp, state, next, dNext) -> [gradient of inp, gradient of the state]
//
// In the formulas σ is the sigmoid, ⊙ the product of numbers at the same place, and d… the gradient of …
"use strict";

CharRNN.cells = (function () {
    const { addProduct, addTransposed, sigmoid } = CharRNN.numbers;

    // W x + b
    function linear(weight, bias, x) {
        return addProduct(bias.slice(), weight, x);
    }

    // Wᵀ y
    function transposed(weight, y) {
        return addTransposed(new Float32Array(weight.length / y.length), weight, y);
    }

    function sum(a, b) {
        return a.map((v, i) => v + b[i]);
    }

    function relu(x) {
        return x.map((v) => Math.max(v, 0));
    }

    // The gradient of x, from that of tanh(x) = y.
    function tanhGradient(y, dy) {
        return y.map((v, i) => dy[i] * (1 - v * v));
    }

    // The gradient of x, from that of relu(x) = y.
    function reluGradient(y, dy) {
        return y.map((v, i) => (v > 0 ? dy[i] : 0));
    }

    // Replace numbers by their tanh.
    function applyTanh(x) {
        for (let i = 0; i < x.length; i++) x[i] = Math.tanh(x[i]);
        return x;
    }

    // Columns `from` to `to` of W (rows, cols), as a matrix.
    function columns(weight, cols, from, to) {
        const rows = weight.length / cols;
        const part = new Float32Array(rows * (to - from));
        for (let i = 0; i < rows; i++) part.set(weight.subarray(i * cols + from, i * cols + to), i * (to - from));
        return part;
    }

    // The names of layer k begin so. The model is its own first layer.
    function prefix(k) {
        return k ? `upper.${k - 1}.` : "";
    }

    // The base class: inp = W_i e + b_i
    class Layer {
        project(e) {
            return linear(this.weightIn, this.biasIn, e);
        }

        projectGradient(e, dInp) {
            return transposed(this.weightIn, dInp);
        }
    }

    // h = tanh(inp + W h). Subclasses define `project` and the matrix W, `weight`.
    class TanhLayer extends Layer {
        cell(inp, [h]) {
            return [applyTanh(addProduct(inp.slice(), this.weight, h))];
        }

        cellGradient(inp, state, [next], [dNext]) {
            const dInp = tanhGradient(next, dNext);
            return [dInp, [transposed(this.weight, dInp)]];
        }
    }

    // h = tanh(W_i e + b_i + W h + b)
    class RnnLayer extends TanhLayer {
        constructor(tensors, k) {
            super();
            const name = prefix(k) + "rnn.";
            this.weightIn = tensors[name + "weight_ih_l0"];
            this.biasIn = sum(tensors[name + "bias_ih_l0"], tensors[name + "bias_hh_l0"]);
            this.weight = tensors[name + "weight_hh_l0"];
        }
    }

    // h = tanh(H (h + relu(I e))), where H and I add a bias. The part H relu(I e) does not depend on h.
    class LoopLayer extends TanhLayer {
        constructor(tensors, k) {
            super();
            this.weightIn = tensors[prefix(k) + "inp.weight"];
            this.biasIn = tensors[prefix(k) + "inp.bias"];
            this.weight = tensors[prefix(k) + "hid.weight"];
            this.bias = tensors[prefix(k) + "hid.bias"];
        }

        inner(e) {
            return relu(linear(this.weightIn, this.biasIn, e));
        }

        project(e) {
            return linear(this.weight, this.bias, this.inner(e));
        }

        projectGradient(e, dInp) {
            return transposed(this.weightIn, reluGradient(this.inner(e), transposed(this.weight, dInp)));
        }
    }

    // h = tanh(H relu(I [h ; e])), where H and I add a bias
    class ConcatLayer extends Layer {
        constructor(tensors, k) {
            super();
            const both = tensors[prefix(k) + "inp.weight"];
            this.biasIn = tensors[prefix(k) + "inp.bias"];
            this.bias = tensors[prefix(k) + "hid.bias"];
            this.weight = tensors[prefix(k) + "hid.weight"];
            const nHid = this.bias.length;
            const nBoth = both.length / nHid;
            this.fromState = columns(both, nBoth, 0, nHid);
            this.weightIn = columns(both, nBoth, nHid, nBoth);
        }

        inner(inp, h) {
            return relu(addProduct(inp.slice(), this.fromState, h));
        }

        cell(inp, [h]) {
            return [applyTanh(linear(this.weight, this.bias, this.inner(inp, h)))];
        }

        cellGradient(inp, [h], [next], [dNext]) {
            const dInner = transposed(this.weight, tanhGradient(next, dNext));
            const dInp = reluGradient(this.inner(inp, h), dInner);
            return [dInp, [transposed(this.fromState, dInp)]];
        }
    }

    // h = (1 - z) n + z h, with r = σ(inp_r + W_r h), z = σ(inp_z + W_z h) and n = tanh(inp_n + r (W_n h + b_n))
    class GruLayer extends Layer {
        constructor(tensors, k) {
            super();
            const name = prefix(k) + "rnn.";
            this.weightIn = tensors[name + "weight_ih_l0"];
            this.weight = tensors[name + "weight_hh_l0"];
            const hidden = tensors[name + "bias_hh_l0"];
            const nHid = hidden.length / 3;
            // the hidden bias of the candidate n is inside the reset gate r
            this.biasIn = tensors[name + "bias_ih_l0"].map((v, i) => (i < 2 * nHid ? v + hidden[i] : v));
            this.hiddenBias = hidden.map((v, i) => (i < 2 * nHid ? 0 : v));
        }

        cell(inp, [h]) {
            const n = h.length;
            const next = new Float32Array(n);
            const hidden = linear(this.weight, this.hiddenBias, h);
            for (let i = 0; i < n; i++) {
                const reset = sigmoid(inp[i] + hidden[i]);
                const update = sigmoid(inp[n + i] + hidden[n + i]);
                const candidate = Math.tanh(inp[2 * n + i] + reset * hidden[2 * n + i]);
                next[i] = candidate + update * (h[i] - candidate);
            }
            return [next];
        }

        cellGradient(inp, [h], _, [dNext]) {
            const n = h.length;
            const hidden = linear(this.weight, this.hiddenBias, h);
            const dInp = new Float32Array(3 * n);
            const dHidden = new Float32Array(3 * n);
            const dH = new Float32Array(n);
            for (let i = 0; i < n; i++) {
                const reset = sigmoid(inp[i] + hidden[i]);
                const update = sigmoid(inp[n + i] + hidden[n + i]);
                const candidate = Math.tanh(inp[2 * n + i] + reset * hidden[2 * n + i]);
                const dCandidate = dNext[i] * (1 - update) * (1 - candidate * candidate);
                dInp[i] = dHidden[i] = dCandidate * hidden[2 * n + i] * reset * (1 - reset);
                dInp[n + i] = dHidden[n + i] = dNext[i] * (h[i] - candidate) * update * (1 - update);
                dInp[2 * n + i] = dCandidate;
                dHidden[2 * n + i] = dCandidate * reset;
                dH[i] = dNext[i] * update;
            }
            return [dInp, [addTransposed(dH, this.weight, dHidden)]];
        }
    }

    // c = σ(f) c + σ(i) tanh(g); h = σ(o) tanh(c). `gates` are i, f, g, o.
    function lstmCell(gates, c) {
        const n = c.length;
        const nextH = new Float32Array(n);
        const nextC = new Float32Array(n);
        for (let i = 0; i < n; i++) {
            nextC[i] = sigmoid(gates[n + i]) * c[i] + sigmoid(gates[i]) * Math.tanh(gates[2 * n + i]);
            nextH[i] = sigmoid(gates[3 * n + i]) * Math.tanh(nextC[i]);
        }
        return [nextH, nextC];
    }

    // The gradients of the gates and of c, from those of the next h and c.
    function lstmCellGradient(gates, c, nextC, dNextH, dNextC) {
        const n = c.length;
        const dGates = new Float32Array(4 * n);
        const dC = new Float32Array(n);
        for (let i = 0; i < n; i++) {
            const input = sigmoid(gates[i]);
            const forget = sigmoid(gates[n + i]);
            const content = Math.tanh(gates[2 * n + i]);
            const output = sigmoid(gates[3 * n + i]);
            const tanhC = Math.tanh(nextC[i]);
            const dCell = dNextC[i] + dNextH[i] * output * (1 - tanhC * tanhC);
            dGates[i] = dCell * content * input * (1 - input);
            dGates[n + i] = dCell * c[i] * forget * (1 - forget);
            dGates[2 * n + i] = dCell * input * (1 - content * content);
            dGates[3 * n + i] = dNextH[i] * tanhC * output * (1 - output);
            dC[i] = dCell * forget;
        }
        return [dGates, dC];
    }

    // The gates are W_i e + W h + b.
    class LstmLayer extends Layer {
        constructor(tensors, k) {
            super();
            const name = prefix(k) + "rnn.";
            this.weightIn = tensors[name + "weight_ih_l0"];
            this.biasIn = sum(tensors[name + "bias_ih_l0"], tensors[name + "bias_hh_l0"]);
            this.weight = tensors[name + "weight_hh_l0"];
        }

        gates(inp, h) {
            return addProduct(inp.slice(), this.weight, h);
        }

        cell(inp, [h, c]) {
            return lstmCell(this.gates(inp, h), c);
        }

        cellGradient(inp, [h, c], [, nextC], [dNextH, dNextC]) {
            const [dGates, dC] = lstmCellGradient(this.gates(inp, h), c, nextC, dNextH, dNextC);
            return [dGates, [transposed(this.weight, dGates), dC]];
        }
    }

    // The gates are W e + b + U (m ⊙ h), with a factor m = 2σ(R e + r) for each number of the hidden state.
    // `inp` is W e + b, then R e + r.
    class MulLstmLayer extends Layer {
        constructor(tensors, k) {
            super();
            this.weightIn = tensors[`inp.${k}.weight`];
            this.biasIn = tensors[`inp.${k}.bias`];
            this.weight = tensors[`hid.${k}.weight`];
        }

        gates(inp, h) {
            const n = h.length;
            const scaled = new Float32Array(n);
            for (let i = 0; i < n; i++) scaled[i] = 2 * sigmoid(inp[4 * n + i]) * h[i];
            return addProduct(inp.slice(0, 4 * n), this.weight, scaled);
        }

        cell(inp, [h, c]) {
            return lstmCell(this.gates(inp, h), c);
        }

        cellGradient(inp, [h, c], [, nextC], [dNextH, dNextC]) {
            const n = h.length;
            const [dGates, dC] = lstmCellGradient(this.gates(inp, h), c, nextC, dNextH, dNextC);
            const dScaled = transposed(this.weight, dGates);
            const dInp = new Float32Array(5 * n);
            const dH = new Float32Array(n);
            dInp.set(dGates);
            for (let i = 0; i < n; i++) {
                const half = sigmoid(inp[4 * n + i]);
                dInp[4 * n + i] = dScaled[i] * h[i] * 2 * half * (1 - half);
                dH[i] = dScaled[i] * 2 * half;
            }
            return [dInp, [dH, dC]];
        }
    }

    // The class of an architecture's layers, and the number of arrays in a layer's state.
    const layers = {
        char3: { Layer: LoopLayer, nState: 1 },
        loop: { Layer: LoopLayer, nState: 1 },
        concat: { Layer: ConcatLayer, nState: 1 },
        rnn: { Layer: RnnLayer, nState: 1 },
        gru: { Layer: GruLayer, nState: 1 },
        lstm: { Layer: LstmLayer, nState: 2 },
        mullstm: { Layer: MulLstmLayer, nState: 2 },
    };

    return { layers };
})();
