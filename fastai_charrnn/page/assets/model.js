// A packed model, loaded: what `fastai_charrnn.page.pack` wrote.
//
//     const model = CharRNN.load(packed);
//     let state = model.start();
//     for (const id of model.encode("The ").ids) state = model.feed(state, id);
//     model.logProbs(state);              // Float32Array with a number for each character of model.vocab
//
// States are never changed: `feed` returns a new one. A model with a window predicts from the last `seqLen` characters,
// and a shorter text is padded on the left with index 0. A model in streams mode carries its state from the first one.
"use strict";

(function () {
    const { decodeNumbers, addProduct, logSoftmax } = CharRNN.numbers;

    // Beginnings of windows are kept up to this length, as long as their states have fewer numbers than this (16 MB).
    const MAX_BEGINNING = 4;
    const MAX_KEPT_NUMBERS = 2 ** 22;
    // The bias of padding that is never predicted.
    const NEVER = -1e4;

    // The tensors of a member, by name.
    function readTensors(member) {
        const numbers = decodeNumbers(member.weights, member.corrections);
        const tensors = {};
        for (const [name, { shape, at }] of Object.entries(member.tensors)) {
            const size = shape.reduce((product, n) => product * n, 1);
            if (at + size > numbers.length) throw new Error(`${name} is cut short`);
            tensors[name] = numbers.subarray(at, at + size);
        }
        return tensors;
    }

    // y = (x - mean) / sqrt(variance + 1e-5) * weight + bias (Ba, Kiros & Hinton 2016)
    class LayerNorm {
        constructor(weight, bias) {
            this.weight = weight;
            this.bias = bias;
        }

        // (x - mean) / sqrt(variance + 1e-5), and the divisor
        standard(x) {
            let mean = 0;
            for (const v of x) mean += v / x.length;
            let variance = 0;
            for (const v of x) variance += (v - mean) ** 2 / x.length;
            const deviation = Math.sqrt(variance + 1e-5);
            return [x.map((v) => (v - mean) / deviation), deviation];
        }

        apply(x) {
            const [standard] = this.standard(x);
            return standard.map((v, i) => v * this.weight[i] + this.bias[i]);
        }

        // dx = (d - mean(d) - s mean(d ⊙ s)) / deviation, with d = dy ⊙ weight and the standardised s
        gradient(x, dy) {
            const [standard, deviation] = this.standard(x);
            const d = dy.map((v, i) => v * this.weight[i]);
            let mean = 0;
            let slope = 0;
            d.forEach((v, i) => {
                mean += v / d.length;
                slope += (v * standard[i]) / d.length;
            });
            return d.map((v, i) => (v - mean - standard[i] * slope) / deviation);
        }
    }

    // One network. An ensemble has several. Its state is an array of the states of its layers.
    class Member {
        constructor(packed) {
            const { arch, config } = packed;
            if (!Object.hasOwn(CharRNN.cells.layers, arch)) throw new Error(`the engine does not know ${arch}`);
            const { Layer, nState } = CharRNN.cells.layers[arch];
            const tensors = readTensors(packed);
            const numbers = [...Array(config.n_layers).keys()];
            this.nHid = config.n_hid;
            this.embSz = config.emb_sz;
            this.nState = nState;
            this.emb = tensors["emb.weight"];
            // with tied weights there is no other matrix
            this.outWeight = tensors["out.weight"] || this.emb;
            this.outBias = tensors["out.bias"];
            if (!config.has_padding) this.outBias[0] = NEVER;
            this.layers = numbers.map((k) => new Layer(tensors, k));
            this.norms = numbers.map((k) => {
                const weight = tensors[`norms.${k}.weight`];
                return weight ? new LayerNorm(weight, tensors[`norms.${k}.bias`]) : null;
            });
            this.table = [];
        }

        embedding(id) {
            return this.emb.subarray(id * this.embSz, (id + 1) * this.embSz);
        }

        // The pre-activations of a character in the first layer, computed once.
        inputs(id) {
            if (!this.table[id]) this.table[id] = this.layers[0].project(this.embedding(id));
            return this.table[id];
        }

        // The state before the first character: zeros.
        start() {
            return this.layers.map(() => Array.from({ length: this.nState }, () => new Float32Array(this.nHid)));
        }

        // The output of layer k, normalised if the model does so.
        output(state, k) {
            const [h] = state[k];
            return this.norms[k] ? this.norms[k].apply(h) : h;
        }

        lastOutput(state) {
            return this.output(state, this.layers.length - 1);
        }

        step(state, id) {
            const next = [];
            this.layers.forEach((layer, k) => {
                const inp = k ? layer.project(this.output(next, k - 1)) : this.inputs(id);
                next.push(layer.cell(inp, state[k]));
            });
            return next;
        }

        logProbs(state) {
            return logSoftmax(addProduct(this.outBias.slice(), this.outWeight, this.lastOutput(state)));
        }
    }

    // log of the mean probability
    function meanLogProbs(all) {
        if (all.length === 1) return all[0];
        return all[0].map((_, i) => {
            const max = Math.max(...all.map((one) => one[i]));
            const sum = all.reduce((total, one) => total + Math.exp(one[i] - max), 0);
            return max + Math.log(sum / all.length);
        });
    }

    // Reads windows. Many windows begin with the same characters, so the states after short beginnings are kept.
    class WindowReader {
        constructor(model) {
            this.model = model;
            this.root = { hidden: model.zeros(), next: new Map() };
            this.room = Math.floor(MAX_KEPT_NUMBERS / model.stateSize);
        }

        // The hidden states after a window.
        read(window) {
            let beginning = this.root;
            let n = 0;
            while (n < window.length && beginning.next.has(window[n])) beginning = beginning.next.get(window[n++]);
            let hidden = beginning.hidden;
            for (; n < window.length; n++) {
                hidden = this.model.step(hidden, window[n]);
                if (n >= MAX_BEGINNING || this.room <= 0) continue;
                this.room--;
                const longer = { hidden, next: new Map() };
                beginning.next.set(window[n], longer);
                beginning = longer;
            }
            return hidden;
        }
    }

    class Model {
        constructor(packed) {
            if (packed.format !== 1) throw new Error(`a packed model has format 1, got ${packed.format}`);
            this.name = packed.name;
            this.vocab = packed.vocab;
            this.mode = packed.mode;
            this.seqLen = packed.seq_len;
            this.members = packed.members.map((member) => new Member(member));
            this.nHid = this.members[0].nHid;
            // numbers in the hidden states of all members
            this.stateSize = this.members.reduce((sum, m) => sum + m.layers.length * m.nState * m.nHid, 0);
            this.index = new Map(packed.vocab.map((char, i) => [char, i]).slice(1));
            this.windows = new WindowReader(this);
        }

        // Indices of a text, by code points. Unknown characters are left out: `kept` are the positions of the others.
        encode(text) {
            const ids = [];
            const kept = [];
            const unknown = [];
            let at = 0;
            for (const char of text) {
                const id = this.index.get(char);
                if (id === undefined) {
                    unknown.push({ char, at });
                } else {
                    ids.push(id);
                    kept.push(at);
                }
                at++;
            }
            return { ids: Int32Array.from(ids), kept, unknown };
        }

        // The hidden states of all members before the first character.
        zeros() {
            return this.members.map((member) => member.start());
        }

        // The hidden states of all members after one more character.
        step(hidden, id) {
            return this.members.map((member, k) => member.step(hidden[k], id));
        }

        // The state before the first character. A window is full of padding.
        start() {
            if (this.seqLen) return { window: new Int32Array(this.seqLen), hidden: null };
            return { window: null, hidden: this.zeros() };
        }

        // The state after one more character. A window is not read before its hidden states are needed.
        feed(state, id) {
            if (!this.seqLen) return { window: null, hidden: this.step(state.hidden, id) };
            const window = new Int32Array(this.seqLen);
            window.set(state.window.subarray(1));
            window[this.seqLen - 1] = id;
            return { window, hidden: null };
        }

        // The hidden states of all members.
        hidden(state) {
            if (!state.hidden) state.hidden = this.windows.read(state.window);
            return state.hidden;
        }

        // Log-probabilities of the next character. Index 0, padding, is included as in PyTorch.
        logProbs(state) {
            const hidden = this.hidden(state);
            return meanLogProbs(this.members.map((member, k) => member.logProbs(hidden[k])));
        }

        // The hidden state of the last layer of the first member, before layer normalisation.
        units(state) {
            const [layers] = this.hidden(state);
            return layers[layers.length - 1][0].slice();
        }

        // How much the likeliest next character after ids[0] … ids[at] depends on each of these, see `gradient.js`.
        connectivity(ids, at) {
            const reader = new CharRNN.Reader(this);
            reader.read(ids.subarray(0, at + 1));
            return reader.connectivity(at);
        }
    }

    CharRNN.load = (packed) => new Model(packed);
})();
