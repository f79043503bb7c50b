"use strict";
// A backend that runs the model in this page: in a Worker made from a Blob, or on this thread where that is forbidden.
//
// A backend has the methods info, next, score, connectivity and generate, which return promises. `next` may add
// `units`, the hidden state after the text. Positions count the characters that the model knows. Errors are rejected
// promises; of a call whose signal was aborted, one with the name "AbortError". `place` says where the model runs.

CharPage.localBackend = function (source, packed) {
    const waiting = new Map();
    let count = 0;

    const port = CharPage.startWorker(source);
    port.onmessage = ({ data }) => {
        const call = waiting.get(data.id);
        if (!call) return;
        if (data.part !== undefined) {
            call.onPart(data.part);
            return;
        }
        waiting.delete(data.id);
        if (data.error) call.reject(Object.assign(new Error(data.error.message), { name: data.error.name }));
        else call.resolve(data.result);
    };
    port.postMessage({ load: packed });

    const call = (method, args, signal, onPart) => new Promise((resolve, reject) => {
        const id = ++count;
        const abort = () => {
            port.postMessage({ cancel: id });
            waiting.delete(id);
            reject(new DOMException("replaced by a newer request", "AbortError"));
        };
        if (signal && signal.aborted) {
            abort();
            return;
        }
        if (signal) signal.addEventListener("abort", abort, { once: true });
        waiting.set(id, { resolve, reject, onPart });
        port.postMessage({ id, method, args });
    });

    return {
        place: "The model runs in this page. Nothing that you type leaves it.",
        info: () => call("info", []),
        next: (text, { signal } = {}) => call("next", [text], signal),
        score: (text, { onPart, signal, units = [] }) =>
            call("score", [text, { units }], signal, (part) => onPart(part.start, part.nats, part.units)),
        connectivity: (text, at, { signal } = {}) => call("connectivity", [text, at], signal),
        generate: (text, { n, temperature, topP, seed, onChar, signal }) =>
            call("generate", [text, { n, temperature, topP, seed }], signal, (chars) => chars.forEach(onChar)),
    };
};

// A Worker, or a port to the same code on this thread where a Worker cannot start.
CharPage.startWorker = function (source) {
    const port = { sent: [], postMessage: (message) => port.sent.push(message), onmessage: null };
    const connect = (target) => {
        target.onmessage = (event) => {
            port.sent = [];
            port.postMessage = (message) => target.postMessage(message);
            port.onmessage(event);
        };
        port.sent.forEach((message) => target.postMessage(message));
        port.postMessage = (message) => {
            port.sent.push(message);
            target.postMessage(message);
        };
    };
    const connectHere = () => {
        const channel = new MessageChannel();
        CharWorker.listen(channel.port2);
        connect(channel.port1);
    };
    try {
        const url = URL.createObjectURL(new Blob([source, "\nCharWorker.listen(self);"], { type: "text/javascript" }));
        const worker = new Worker(url);
        worker.onerror = () => port.sent.length && connectHere();
        connect(worker);
    } catch {
        connectHere();
    }
    return port;
};
