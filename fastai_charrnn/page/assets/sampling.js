// Draw the next character: temperature and top-p as in `fastai_charrnn.generation.filters`, with a seeded generator.
//
// The bars of a page show these probabilities too, also where a server runs the model: this file needs no other one.
"use strict";

globalThis.CharRNN = globalThis.CharRNN || {};

(function () {
    // 32 bits mixed from 32 bits (the finaliser of MurmurHash3), to spread seeds that are close.
    function mix(x) {
        x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
        x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
        return (x ^ (x >>> 16)) | 0;
    }

    // A function that returns numbers in [0, 1) with 53 random bits: the generator sfc32 (Doty-Humphrey, PractRand).
    // `seed` is a whole number up to 2**53. Equal seeds give equal numbers in every browser.
    CharRNN.random = function (seed) {
        let a = mix(seed % 2 ** 32 | 0);
        let b = mix(Math.floor(seed / 2 ** 32) ^ 0x9e3779b9);
        let c = mix(a ^ b);
        let counter = 1;
        function next() {
            const out = (((a + b) | 0) + counter) | 0;
            counter = (counter + 1) | 0;
            a = b ^ (b >>> 9);
            b = (c + (c << 3)) | 0;
            c = (((c << 21) | (c >>> 11)) + out) | 0;
            return out >>> 0;
        }
        for (let i = 0; i < 12; i++) next();
        return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) * 2 ** -53;
    };

    // The likeliest index. Index 0, padding, is no character.
    CharRNN.likeliest = function (logProbs) {
        let best = 1;
        for (let i = 2; i < logProbs.length; i++) if (logProbs[i] > logProbs[best]) best = i;
        return best;
    };

    // Probabilities at a temperature. Padding gets 0. At temperature 0 the likeliest index has all.
    CharRNN.probabilities = function (logProbs, temperature) {
        const probs = new Float64Array(logProbs.length);
        const best = CharRNN.likeliest(logProbs);
        if (temperature <= 0) {
            probs[best] = 1;
            return probs;
        }
        let total = 0;
        for (let i = 1; i < probs.length; i++) {
            probs[i] = Math.exp((logProbs[i] - logProbs[best]) / temperature);
            total += probs[i];
        }
        for (let i = 1; i < probs.length; i++) probs[i] /= total;
        return probs;
    };

    // The indices from the likeliest on, without padding.
    CharRNN.ranked = function (probs) {
        const ids = [];
        for (let id = 1; id < probs.length; id++) ids.push(id);
        return ids.sort((a, b) => probs[b] - probs[a] || a - b);
    };

    // How many of the ranked indices top-p keeps: the fewest that together have this probability (Holtzman et al.
    // 2020).
    CharRNN.nucleus = function (probs, ranked, topP) {
        let total = 0;
        for (let n = 0; n < ranked.length; n++) {
            total += probs[ranked[n]];
            if (total >= topP) return n + 1;
        }
        return ranked.length;
    };

    // Probabilities after temperature and top-p. Padding gets 0.
    CharRNN.filteredProbs = function (logProbs, { temperature = 1, topP = 1 } = {}) {
        const probs = CharRNN.probabilities(logProbs, temperature);
        if (topP >= 1) return probs;
        const ranked = CharRNN.ranked(probs);
        const kept = new Float64Array(probs.length);
        let total = 0;
        for (const i of ranked.slice(0, CharRNN.nucleus(probs, ranked, topP))) {
            kept[i] = probs[i];
            total += probs[i];
        }
        return kept.map((v) => v / total);
    };

    // Draw an index by inverting the cumulative distribution. `random` returns numbers in [0, 1).
    CharRNN.sample = function (logProbs, options, random) {
        const probs = CharRNN.filteredProbs(logProbs, options);
        let left = random();
        let last = 0;
        for (let i = 1; i < probs.length; i++) {
            if (probs[i] === 0) continue;
            last = i;
            left -= probs[i];
            if (left < 0) return i;
        }
        return last;
    };
})();
