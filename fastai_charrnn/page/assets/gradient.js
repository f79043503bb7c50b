// Gradients of the likeliest next character, with the formulas of `fastai_charrnn.analysis.connectivity`.
//
// The measure of Madsen, "Visualizing memorization in RNNs" (Distill 2019): the norm of the gradient of a prediction
// with respect to the embedding of each character. The prediction is the log-probability of the likeliest character.
"use strict";

CharRNN.gradient = (function () {
    const { addTransposed } = CharRNN.numbers;

    // A gradient this much smaller than the largest norm so far is not followed further: no picture shows it.
    const NEGLIGIBLE = 1e-6;

    // The gradients of each member's state, of zeros except for the output of the last layer.
    //
    // log P = log mean of p_m. The gradient of log p_m by the logits is onehot - p_m, its weight is p_m / sum of all p.
    function outputGradients(model, hidden) {
        const all = model.members.map((member, m) => member.logProbs(hidden[m]));
        const logProbs = model.logProbs({ hidden });
        const target = CharRNN.likeliest(logProbs);
        return model.members.map((member, m) => {
            const weight = Math.exp(all[m][target] - logProbs[target]) / all.length;
            const dLogits = all[m].map((v, i) => weight * ((i === target ? 1 : 0) - Math.exp(v)));
            const dOut = addTransposed(new Float32Array(member.nHid), member.outWeight, dLogits);
            const dState = member.start();
            const last = member.layers.length - 1;
            addOutputGradient(member, hidden[m], last, dOut, dState);
            return dState;
        });
    }

    // Add to the gradient of layer k's state that of its output.
    function addOutputGradient(member, state, k, dOut, dState) {
        const norm = member.norms[k];
        const dH = norm ? norm.gradient(state[k][0], dOut) : dOut;
        dState[k][0] = dState[k][0].map((v, i) => v + dH[i]);
    }

    // The gradients of the state before a character and of its embedding, from that of the state after it.
    function stepGradient(member, step, dNext) {
        const { before, after, id } = step;
        const dState = dNext.map((parts) => [...parts]);
        let dInput = null;
        for (let k = member.layers.length - 1; k >= 0; k--) {
            const layer = member.layers[k];
            const input = k ? member.output(after, k - 1) : member.embedding(id);
            const inp = k ? layer.project(input) : member.inputs(id);
            const [dInp, dBefore] = layer.cellGradient(inp, before[k], after[k], dState[k]);
            dState[k] = dBefore;
            dInput = layer.projectGradient(input, dInp);
            if (k) addOutputGradient(member, after, k - 1, dInput, dState);
        }
        return { dState, dEmbedding: dInput };
    }

    // The steps of a member through some characters, with the states before and after each.
    function recordSteps(member, state, ids) {
        const steps = [];
        for (const id of ids) {
            const after = member.step(state, id);
            steps.push({ id, before: state, after });
            state = after;
        }
        return steps;
    }

    // The largest number of the gradients of a state.
    function largest(dState) {
        let max = 0;
        for (const array of dState.flat()) for (const v of array) max = Math.max(max, Math.abs(v));
        return max;
    }

    // Go back through the characters `ids` of a text, which begin at position `start`. Adds the squared norms of the
    // gradients of their embeddings to `squares`, which has a number for each character of the text. Returns the
    // gradient of the state before the characters, or null once it is negligible.
    function goBack(member, state, ids, dState, squares, start) {
        const steps = recordSteps(member, state, ids);
        let most = squares.reduce((max, v) => Math.max(max, v), 0);
        for (let t = steps.length - 1; t >= 0; t--) {
            const back = stepGradient(member, steps[t], dState);
            dState = back.dState;
            for (const v of back.dEmbedding) squares[start + t] += v * v;
            most = Math.max(most, squares[start + t]);
            if (largest(dState) < NEGLIGIBLE * Math.sqrt(most)) return null;
        }
        return dState;
    }

    return { outputGradients, goBack };
})();
