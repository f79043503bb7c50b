"use strict";
// Backends that ask the server of `charrnn serve`: the same methods as in local.js, over fetch.
//
// If the server does not answer, a call waits until it does; `server.onLost`, `onFound` and `onRefused` tell the page.
// Arrays come as float32 in base64, long answers as one JSON object a line.

CharPage.RETRY = 1000; // milliseconds between two questions to a server that does not answer

// The numbers of a text in base64.
CharPage.floats = function (text) {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
};

// An error that the server has told.
CharPage.serverError = function ({ kind, message }) {
    return Object.assign(new Error(message), { name: kind });
};

// The answer of a server, or its error.
CharPage.checkedAnswer = async function (answer) {
    if (answer.ok) return answer;
    const body = await answer.json().catch(() => ({}));
    throw CharPage.serverError(body.error || { kind: "server", message: `the server answered ${answer.status}` });
};

// One JSON object after another from an answer that is still arriving.
CharPage.lines = async function* (answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        const parts = (rest + value).split("\n");
        rest = parts.pop();
        for (const line of parts) yield JSON.parse(line);
    }
};

// The server that this page came from.
CharPage.RemoteServer = class {
    constructor() {
        this.onLost = () => {};
        this.onFound = () => {};
        this.onRefused = () => {};
        this.finding = null;
        this.models = null;
    }

    // Ask, and ask again once the server is back. A cancelled call is an AbortError.
    async ask(path, body, signal) {
        const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
        for (;;) {
            try {
                return await CharPage.checkedAnswer(await fetch(path, { ...(body ? post : {}), signal }));
            } catch (error) {
                // fetch knows one error only for a server that it cannot reach
                if (!(error instanceof TypeError)) throw error;
            }
            await this.found();
            if (signal && signal.aborted) throw new DOMException("replaced by a newer request", "AbortError");
        }
    }

    // Resolves when the server answers again. All calls wait for the same answer.
    found() {
        this.finding = this.finding || this.find().finally(() => (this.finding = null));
        return this.finding;
    }

    async find() {
        this.onLost();
        for (;;) {
            await new Promise((resolve) => setTimeout(resolve, CharPage.RETRY));
            try {
                const answer = await CharPage.checkedAnswer(await fetch("api/models"));
                this.onFound(this.isSame((await answer.json()).models));
                return;
            } catch (error) {
                // it answers, and wants the token of another start
                if (error instanceof TypeError) continue;
                this.onRefused(error);
                throw error;
            }
        }
    }

    // Whether these are the models that the page shows.
    isSame(models) {
        return this.models === null || JSON.stringify(models) === JSON.stringify(this.models);
    }

    // A backend for each model.
    async backends() {
        const answer = await (await this.ask("api/models")).json();
        this.models = answer.models;
        return answer.models.map((about, k) => CharPage.remoteBackend(this, about, k));
    }

    // The lines of a stream. Its last one says that it is whole.
    async *stream(path, body, signal) {
        const answer = await this.ask(path, body, signal);
        for await (const line of CharPage.lines(answer)) {
            if (line.error) throw CharPage.serverError(line.error);
            if (line.end) return;
            yield line;
        }
        throw CharPage.serverError({ kind: "lost", message: "the server ended before its answer was complete" });
    }
};

// One model of the server.
CharPage.remoteBackend = function (server, about, number) {
    const path = (method) => `api/${number}/${method}`;
    const post = async (method, body, signal) => (await server.ask(path(method), body, signal)).json();

    return {
        place: "The server at this address computes. What you type is sent to it only.",

        info: async () => about,

        async next(text, { signal } = {}) {
            const { logProbs, units, unknown } = await post("next", { text }, signal);
            return { logProbs: CharPage.floats(logProbs), units: CharPage.floats(units), unknown };
        },

        async score(text, { onPart, signal, units = [] }) {
            const chosen = units.filter((unit) => unit < about.nUnits);
            let total = 0;
            for await (const part of server.stream(path("score"), { text, units: chosen }, signal)) {
                const nats = CharPage.floats(part.nats);
                onPart(part.start, nats, CharPage.floats(part.units));
                total += nats.length;
            }
            return total;
        },

        async connectivity(text, at, { signal } = {}) {
            return CharPage.floats((await post("connectivity", { text, at }, signal)).norms);
        },

        async generate(text, { n, temperature, topP, seed, onChar, signal }) {
            const options = { text, n, temperature, topP, seed };
            for await (const { chars } of server.stream(path("generate"), options, signal)) chars.forEach(onChar);
            return n;
        },
    };
};
