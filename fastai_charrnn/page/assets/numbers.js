// Numbers of the engine: float16 weights, products of matrices and vectors, activations.
//
// A matrix of shape (rows, cols) is a Float32Array, row after row, as in PyTorch.
"use strict";

globalThis.CharRNN = globalThis.CharRNN || {};

CharRNN.numbers = (function () {
    // The number that 16 bits stand for (IEEE 754 binary16).
    function halfToNumber(bits) {
        const sign = bits & 0x8000 ? -1 : 1;
        const exponent = (bits >> 10) & 31;
        const fraction = bits & 1023;
        if (exponent === 0) return sign * fraction * 2 ** -24;
        if (exponent === 31) return fraction ? NaN : sign * Infinity;
        return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
    }

    let halves = null;

    // The numbers of all 65,536 half-precision patterns.
    function halfTable() {
        if (!halves) halves = Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
        return halves;
    }

    // The numbers of a base64 text of little-endian float16, as a Float32Array.
    function decodeHalves(base64) {
        const table = halfTable();
        const bytes = atob(base64);
        const numbers = new Float32Array(bytes.length >> 1);
        for (let i = 0; i < numbers.length; i++) {
            numbers[i] = table[bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8)];
        }
        return numbers;
    }

    // out += W x, for W (rows, cols). Four rows at a time share the reads of x.
    function addProduct(out, w, x) {
        const rows = out.length;
        const cols = x.length;
        let i = 0;
        for (; i + 4 <= rows; i += 4) {
            let a = i * cols;
            let b = a + cols;
            let c = b + cols;
            let d = c + cols;
            let p = 0;
            let q = 0;
            let r = 0;
            let s = 0;
            for (let j = 0; j < cols; j++) {
                const v = x[j];
                p += w[a++] * v;
                q += w[b++] * v;
                r += w[c++] * v;
                s += w[d++] * v;
            }
            out[i] += p;
            out[i + 1] += q;
            out[i + 2] += r;
            out[i + 3] += s;
        }
        for (; i < rows; i++) {
            let sum = 0;
            for (let j = 0, a = i * cols; j < cols; j++) sum += w[a + j] * x[j];
            out[i] += sum;
        }
        return out;
    }

    // out += Wᵀ y, for W (rows, cols) and y (rows).
    function addTransposed(out, w, y) {
        const cols = out.length;
        for (let i = 0; i < y.length; i++) {
            const v = y[i];
            if (v === 0) continue;
            for (let j = 0, a = i * cols; j < cols; j++) out[j] += w[a + j] * v;
        }
        return out;
    }

    function sigmoid(x) {
        return 1 / (1 + Math.exp(-x));
    }

    // The logarithms of the softmax of `logits`, as a new array.
    function logSoftmax(logits) {
        let max = -Infinity;
        for (const v of logits) max = Math.max(max, v);
        let sum = 0;
        for (const v of logits) sum += Math.exp(v - max);
        const shift = max + Math.log(sum);
        return Float32Array.from(logits, (v) => v - shift);
    }

    return { halfToNumber, decodeHalves, addProduct, addTransposed, sigmoid, logSoftmax };
})();
