"use strict";
// Answers the calls of local.js with the engine. Long work is done in slices, so a newer call never waits long.

const CharWorker = (() => {
    const SLICE = 8; // milliseconds of work between two looks at new messages
    const MAX_NUMBERS = 2 ** 24; // numbers in the states that are kept of a text: 64 MB
    const STEPS = 8; // characters that are read between two looks at the time

    // Let messages in.
    const pause = () => new Promise((resolve) => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => {
            channel.port1.close();
            resolve();
        };
        channel.port2.postMessage(0);
    });

    // Keeps the state after every character of a text, so that the next key press costs one step.
    class Reader {
        constructor(model) {
            this.model = model;
            this.ids = [];
            this.states = [model.start()];
            this.nats = [];
        }

        // Keep what this text has in common with the last one. Returns how many of its characters are read.
        match(ids) {
            let n = 0;
            while (n < ids.length && n < this.ids.length && ids[n] === this.ids[n]) n++;
            if (n < ids.length) {
                this.ids.length = n;
                this.states.length = n + 1;
                this.nats.length = Math.min(this.nats.length, n);
            }
            return n;
        }

        step(id) {
            this.states.push(this.model.feed(this.states[this.ids.length], id));
            this.ids.push(id);
        }

        // The state after the first `n` characters.
        async stateAt(ids, n, job) {
            const part = ids.subarray(0, n);
            for (let done = this.match(part); done < n; done = this.match(part)) {
                while (done < n && !job.isLate()) {
                    this.step(part[done]);
                    done++;
                }
                if (done < n) await job.rest();
            }
            return this.states[n];
        }

        // The surprise of character `i`, read already, in nats.
        natsAt(i) {
            if (this.nats[i] === undefined) this.nats[i] = -this.model.logProbs(this.states[i])[this.ids[i]];
            return this.nats[i];
        }
    }

    // One call under way.
    class Job {
        constructor(send) {
            this.send = send;
            this.isCancelled = false;
            this.begin = performance.now();
        }

        isLate() {
            return performance.now() - this.begin > SLICE;
        }

        async rest() {
            await pause();
            if (this.isCancelled) throw new DOMException("replaced by a newer request", "AbortError");
            this.begin = performance.now();
        }
    }

    const info = (packed, model) => ({
        name: packed.name, vocab: packed.vocab, mode: packed.mode, seqLen: packed.seq_len,
        nUnits: model.units(model.start()).length, members: packed.members.length,
        archs: packed.members.map((member) => member.arch), facts: packed.facts || {}, units: packed.units || [],
        prompts: packed.prompts || [],
    });

    // Values of chosen units after each character: for each unit a row of as many numbers as there are characters.
    const unitRows = (model, states, units) => {
        const rows = new Float32Array(units.length * states.length);
        if (!units.length) return rows;
        states.forEach((state, i) => {
            const values = model.units(state);
            units.forEach((unit, k) => (rows[k * states.length + i] = values[unit]));
        });
        return rows;
    };

    class Methods {
        constructor(packed) {
            this.model = CharRNN.load(packed);
            this.reader = new Reader(this.model);
            this.longReader = new CharRNN.Reader(this.model);
            this.maxCached = Math.floor(MAX_NUMBERS / this.model.stateSize);
            this.about = info(packed, this.model);
        }

        // The state after a text. Of a long one only some states are kept; after a change it is read from there.
        async read(job, ids) {
            if (ids.length <= this.maxCached) return this.reader.stateAt(ids, ids.length, job);
            let state = this.longReader.read(ids, STEPS);
            while (!state) {
                if (job.isLate()) await job.rest();
                state = this.longReader.read(ids, STEPS);
            }
            return state;
        }

        async info() {
            return this.about;
        }

        async next(job, text) {
            const { ids, unknown } = this.model.encode(text);
            const state = await this.read(job, ids);
            return { logProbs: this.model.logProbs(state), units: this.model.units(state), unknown };
        }

        async score(job, text, { units = [] }) {
            const { ids } = this.model.encode(text);
            const reader = ids.length > this.maxCached ? new Reader(this.model) : this.reader;
            for (let start = 0; start < ids.length;) {
                const part = await this.part(job, reader, ids, start, units);
                job.send({ part });
                start += part.nats.length;
                if (reader !== this.reader) this.forget(reader, part.nats.length);
                await job.rest();
            }
            return ids.length;
        }

        // As many characters as a slice has time for, at least one.
        async part(job, reader, ids, start, units) {
            const offset = reader.offset || 0;
            const rest = offset ? ids.subarray(offset) : ids;
            const nats = [];
            const states = [];
            let i = start - offset;
            do {
                const state = await reader.stateAt(rest, i + 1, job);
                nats.push(reader.natsAt(i));
                states.push(state);
                i++;
            } while (i < rest.length && !job.isLate());
            return { start, nats: Float32Array.from(nats), units: unitRows(this.model, states, units) };
        }

        // Of a long text only the last state is kept.
        forget(reader, n) {
            reader.offset = (reader.offset || 0) + n;
            reader.states = [reader.states[n]];
            reader.ids = [];
            reader.nats = [];
        }

        async connectivity(job, text, at) {
            const { ids } = this.model.encode(text);
            if (ids.length > this.maxCached) {
                await this.read(job, ids);
                return this.longReader.connectivity(at);
            }
            await this.reader.stateAt(ids, at + 1, job);
            const stateAfter = (n) => this.reader.states[n];
            return CharRNN.Reader.of(this.model, ids.subarray(0, at + 1), stateAfter).connectivity(at);
        }

        async generate(job, text, { n, temperature, topP, seed }) {
            const { ids } = this.model.encode(text);
            const random = CharRNN.random(seed);
            let state = await this.read(job, ids);
            let chars = [];
            for (let i = 0; i < n; i++) {
                const id = CharRNN.sample(this.model.logProbs(state), { temperature, topP }, random);
                chars.push(this.model.vocab[id]);
                state = this.model.feed(state, id);
                if (job.isLate()) {
                    job.send({ part: chars });
                    chars = [];
                    await job.rest();
                }
            }
            job.send({ part: chars });
            return n;
        }
    }

    // Answer the messages of a Worker or of a port: the first loads the model, the others call a method.
    const listen = (scope) => {
        const jobs = new Map();
        let methods = null;
        let failure = null;

        const load = (text) => {
            try {
                methods = new Methods(JSON.parse(text));
            } catch (error) {
                failure = error;
            }
        };

        const call = async ({ id, method, args }) => {
            const job = new Job((message) => scope.postMessage({ id, ...message }));
            jobs.set(id, job);
            try {
                if (failure) throw failure;
                const result = method === "info" ? await methods.info() : await methods[method](job, ...args);
                scope.postMessage({ id, result });
            } catch (error) {
                scope.postMessage({ id, error: { name: error.name, message: error.message } });
            } finally {
                jobs.delete(id);
            }
        };

        scope.onmessage = ({ data }) => {
            if (data.load !== undefined) load(data.load);
            else if (data.cancel === undefined) call(data);
            else if (jobs.has(data.cancel)) jobs.get(data.cancel).isCancelled = true;
        };
    };

    return { listen };
})();
