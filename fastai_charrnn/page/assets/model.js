// A packed model, loaded: what `fastai_charrnn.page.pack` wrote.
//
//     const model = CharRNN.load(packed);
//     let state = model.start();
//     for (const id of model.encode("The ").ids) state = model.feed(state, id);
//     model.logProbs(state);              // Float32Array of one number for each character of model.vocab
//
// States are never changed: `feed` returns a new one. A model with a window predicts from the last `seqLen` characters,
// and a shorter text is padded on the left with index 0. A model in streams mode carries its state from the first one.
"use strict";

(function () {
    const { decodeHalves, addProduct, logSoftmax } = CharRNN.numbers;

    // The tensors of a member, by name.
    function readTensors(member) {
        const numbers = decodeHalves(member.weights);
        const tensors = {};
        for (const [name, { shape, at }] of Object.entries(member.tensors)) {
            const size = shape.reduce((product, n) => product * n, 1);
            tensors[name] = numbers.subarray(at, at + size);
        }
        return tensors;
    }

    // (x - mean) / sqrt(variance + 1e-5) * weight + bias (Ba, Kiros & Hinton 2016)
    function layerNorm(norm, x) {
        let mean = 0;
        for (const v of x) mean += v / x.length;
        let variance = 0;
        for (const v of x) variance += (v - mean) ** 2 / x.length;
        const scale = 1 / Math.sqrt(variance + 1e-5);
        return x.map((v, i) => (v - mean) * scale * norm.weight[i] + norm.bias[i]);
    }

    // One network. An ensemble has several.
    class Member {
        constructor(packed) {
            const { arch, config } = packed;
            if (!(arch in CharRNN.cells.layers)) throw new Error(`the page cannot run the architecture ${arch}`);
            const kind = CharRNN.cells.layers[arch];
            const tensors = readTensors(packed);
            this.nHid = config.n_hid;
            this.embSz = config.emb_sz;
            this.nState = kind.nState;
            this.emb = tensors["emb.weight"];
            this.outWeight = tensors["out.weight"] || this.emb;
            this.outBias = tensors["out.bias"];
            this.layers = [];
            this.norms = [];
            for (let k = 0; k < (config.n_layers || 1); k++) {
                this.layers.push(new kind.Layer(tensors, k ? `upper.${k - 1}.` : "", this.nHid, k));
                const weight = tensors[`norms.${k}.weight`];
                if (weight) this.norms.push({ weight, bias: tensors[`norms.${k}.bias`] });
            }
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

        // The state before the first character: zeros. One array of parts for each layer.
        start() {
            return this.layers.map(() => Array.from({ length: this.nState }, () => new Float32Array(this.nHid)));
        }

        // The output of layer k, normalised if the model does so.
        output(state, k) {
            return this.norms.length ? layerNorm(this.norms[k], state[k][0]) : state[k][0];
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

    class Model {
        constructor(packed) {
            if (packed.format !== 1) throw new Error(`a packed model has format 1, got ${packed.format}`);
            this.name = packed.name;
            this.vocab = packed.vocab;
            this.mode = packed.mode;
            this.seqLen = packed.seq_len;
            this.members = packed.members.map((member) => new Member(member));
            this.nHid = this.members[0].nHid;
            this.index = new Map(packed.vocab.map((char, i) => [char, i]).slice(1));
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

        // The state before the first character. A window is full of padding.
        start() {
            if (this.seqLen) return { window: new Int32Array(this.seqLen), hidden: null };
            return { window: null, hidden: this.members.map((member) => member.start()) };
        }

        feed(state, id) {
            if (!this.seqLen) return { window: null, hidden: this.step(state.hidden, id) };
            const window = new Int32Array(this.seqLen);
            window.set(state.window.subarray(1));
            window[this.seqLen - 1] = id;
            return { window, hidden: null };
        }

        step(hidden, id) {
            return this.members.map((member, k) => member.step(hidden[k], id));
        }

        // The hidden states of the members. A window is read when they are first needed.
        hidden(state) {
            if (!state.hidden) {
                let hidden = this.members.map((member) => member.start());
                for (const id of state.window) hidden = this.step(hidden, id);
                state.hidden = hidden;
            }
            return state.hidden;
        }

        // Log-probabilities of the next character. Index 0, padding, is included as in PyTorch.
        logProbs(state) {
            const hidden = this.hidden(state);
            return meanLogProbs(this.members.map((member, k) => member.logProbs(hidden[k])));
        }

        // The hidden state of the last layer of the first member.
        units(state) {
            return this.members[0].lastOutput(this.hidden(state)[0]).slice();
        }
    }

    CharRNN.load = (packed) => new Model(packed);
})();
