// Numbers of the engine: decoded weights, products of matrices and vectors, activations.
//
// A matrix of shape (rows, cols) is a Float32Array, row after row, as in PyTorch. Sums are in float64.
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

    // The numbers of all 65,536 half-precision patterns, made once.
    function halfTable() {
        if (!halves) halves = Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
        return halves;
    }

    // The bytes of a base64 text.
    function decodeBytes(base64) {
        const chars = atob(base64);
        const bytes = new Uint8Array(chars.length);
        for (let i = 0; i < bytes.length; i++) bytes[i] = chars.charCodeAt(i);
        return bytes;
    }

    // The numbers of little-endian float16, and corrections in 256ths of the distance between two of them.
    function decodeNumbers(weights, corrections) {
        const table = halfTable();
        const bytes = decodeBytes(weights);
        const numbers = new Float32Array(bytes.length >> 1);
        const lost = new Int8Array(decodeBytes(corrections).buffer);
        const distances = Float32Array.from({ length: 32 }, (_, exponent) => 2 ** (Math.max(exponent, 1) - 33));
        for (let i = 0; i < numbers.length; i++) {
            const bits = bytes[2 * i] | (bytes[2 * i + 1] << 8);
            numbers[i] = lost.length ? table[bits] + lost[i] * distances[(bits >> 10) & 31] : table[bits];
        }
        return numbers;
    }

    // out[i] += W[i] · x, for the rows i from `first` on.
    function addRows(out, w, x, first) {
        const cols = x.length;
        for (let i = first; i < out.length; i++) {
            let sum = 0;
            for (let j = 0, a = i * cols; j < cols; j++) sum += w[a + j] * x[j];
            out[i] += sum;
        }
        return out;
    }

    // out += W x, for W (rows, cols). Eight rows at a time share the reads of x, and their sums do not wait for
    // each other: several times as fast as row after row.
    function addProduct(out, w, x) {
        const cols = x.length;
        const whole = out.length & ~7;
        for (let i = 0; i < whole; i += 8) {
            const a = i * cols;
            const b = a + cols;
            const c = b + cols;
            const d = c + cols;
            const e = d + cols;
            const f = e + cols;
            const g = f + cols;
            const h = g + cols;
            let p = 0;
            let q = 0;
            let r = 0;
            let s = 0;
            let t = 0;
            let u = 0;
            let y = 0;
            let z = 0;
            for (let j = 0; j < cols; j++) {
                const v = x[j];
                p += w[a + j] * v;
                q += w[b + j] * v;
                r += w[c + j] * v;
                s += w[d + j] * v;
                t += w[e + j] * v;
                u += w[f + j] * v;
                y += w[g + j] * v;
                z += w[h + j] * v;
            }
            out[i] += p;
            out[i + 1] += q;
            out[i + 2] += r;
            out[i + 3] += s;
            out[i + 4] += t;
            out[i + 5] += u;
            out[i + 6] += y;
            out[i + 7] += z;
        }
        return addRows(out, w, x, whole);
    }

    // out += Wᵀ y, for W (rows, cols). Four rows at a time share the reads of out.
    function addTransposed(out, w, y) {
        const cols = out.length;
        const whole = y.length & ~3;
        for (let i = 0; i < whole; i += 4) {
            const a = i * cols;
            const b = a + cols;
            const c = b + cols;
            const d = c + cols;
            const p = y[i];
            const q = y[i + 1];
            const r = y[i + 2];
            const s = y[i + 3];
            for (let j = 0; j < cols; j++) out[j] += w[a + j] * p + w[b + j] * q + w[c + j] * r + w[d + j] * s;
        }
        for (let i = whole; i < y.length; i++) {
            const v = y[i];
            for (let j = 0, a = i * cols; j < cols; j++) out[j] += w[a + j] * v;
        }
        return out;
    }

    // 1 / (1 + exp(-x))
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
        return logits.map((v) => v - shift);
    }

    return { halfToNumber, decodeNumbers, addProduct, addTransposed, sigmoid, logSoftmax };
})();
