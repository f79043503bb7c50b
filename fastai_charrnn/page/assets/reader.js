// Read a text that is being edited. States along the text are kept, so that only what changed is read again.
//
//     const reader = new CharRNN.Reader(model);
//     const state = reader.read(model.encode(text).ids);       // after each edit
//     for (const part of reader.score({ from: 0 })) …          // surprise of each character, part by part
//     reader.connectivity(at);
"use strict";

(function () {
    // States are kept after every 128 characters, and after each of the last 64 that were read.
    const STRIDE = 128;
    const RECENT = 64;

    function commonLength(a, b) {
        const n = Math.min(a.length, b.length);
        let k = 0;
        while (k < n && a[k] === b[k]) k++;
        return k;
    }

    class Reader {
        constructor(model) {
            this.model = model;
            this.ids = new Int32Array(0);
            this.kept = new Map();
        }

        // A reader of a text that was read: `stateAfter(n)` is the state after the first n characters.
        static of(model, ids, stateAfter) {
            const reader = new Reader(model);
            reader.ids = ids.slice();
            for (let n = STRIDE; n <= ids.length; n += STRIDE) reader.keep(n, stateAfter(n));
            if (ids.length) reader.keep(ids.length, stateAfter(ids.length));
            return reader;
        }

        // Set the text and return the state after it. If that takes more than `maxSteps` characters, it returns null
        // after them. Then call it again with the same text.
        read(ids, maxSteps = Infinity) {
            const common = commonLength(ids, this.ids);
            for (const n of this.kept.keys()) if (n > common) this.kept.delete(n);
            this.ids = ids.slice();
            if (this.model.seqLen) return this.state(ids.length);
            let n = this.nearest(common);
            let state = this.keptState(n);
            const end = Math.min(ids.length, n + maxSteps);
            while (n < end) {
                state = this.model.feed(state, ids[n++]);
                this.keep(n, state);
            }
            return n === ids.length ? state : null;
        }

        // The state after the first n characters.
        state(n) {
            if (this.model.seqLen) return this.windowState(n);
            const from = this.nearest(n);
            return this.ids.subarray(from, n).reduce((state, id) => this.model.feed(state, id), this.keptState(from));
        }

        windowState(n) {
            const state = this.model.start();
            const window = this.ids.subarray(Math.max(0, n - this.model.seqLen), n);
            state.window.set(window, this.model.seqLen - window.length);
            return state;
        }

        // The largest number of characters up to n after which a state is kept.
        nearest(n) {
            let best = 0;
            for (const k of this.kept.keys()) if (k <= n && k > best) best = k;
            return best;
        }

        keptState(n) {
            return n ? this.kept.get(n) : this.model.start();
        }

        keep(n, state) {
            if (this.model.seqLen) return;
            this.kept.set(n, state);
            const old = n - RECENT;
            if (old % STRIDE) this.kept.delete(old);
        }

        // The surprise of each character from `from` on, in nats, and the hidden units with the numbers `units` after
        // it: one part of `length` characters after another. `units` of a part has a row for each number.
        *score({ from = 0, units = [], length = 256 } = {}) {
            let state = this.state(from);
            for (let start = from; start < this.ids.length; start += length) {
                const ids = this.ids.subarray(start, start + length);
                const nats = new Float32Array(ids.length);
                const part = { start, nats, units: new Float32Array(units.length * ids.length) };
                for (let i = 0; i < ids.length; i++) {
                    nats[i] = -this.model.logProbs(state)[ids[i]];
                    state = this.model.feed(state, ids[i]);
                    this.keep(start + i + 1, state);
                    if (units.length) this.copyUnits(state, units, part.units, i, ids.length);
                }
                yield part;
            }
        }

        copyUnits(state, numbers, out, i, n) {
            const values = this.model.units(state);
            numbers.forEach((number, row) => {
                out[row * n + i] = values[number];
            });
        }

        // For each character up to `at` the norm of the gradient of the likeliest next character after it.
        connectivity(at) {
            const squares = new Float64Array(at + 1);
            const state = this.state(at + 1);
            const dStates = CharRNN.gradient.outputGradients(this.model, this.model.hidden(state));
            if (this.model.seqLen) {
                this.backThroughWindow(state.window, dStates, squares);
            } else {
                this.backThroughText(at + 1, dStates, squares);
            }
            return Float32Array.from(squares, Math.sqrt);
        }

        // The gradients of a window. Those of padding are left out.
        backThroughWindow(window, dStates, squares) {
            const all = new Float64Array(window.length);
            const before = this.model.zeros();
            this.model.members.forEach((member, m) => {
                CharRNN.gradient.goBack(member, before[m], window, dStates[m], all, 0);
            });
            const n = Math.min(window.length, squares.length);
            squares.set(all.subarray(window.length - n), squares.length - n);
        }

        // The gradients of a text of `end` characters, in parts between kept states, until they are negligible.
        backThroughText(end, dStates, squares) {
            while (end > 0 && dStates.some((dState) => dState)) {
                const start = Math.floor((end - 1) / STRIDE) * STRIDE;
                const ids = this.ids.subarray(start, end);
                const before = this.state(start).hidden;
                dStates = this.model.members.map((member, m) =>
                    dStates[m] && CharRNN.gradient.goBack(member, before[m], ids, dStates[m], squares, start),
                );
                end = start;
            }
        }
    }

    CharRNN.Reader = Reader;
})();
