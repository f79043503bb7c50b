"use strict";
// The page of a training: asks the server every second for what has changed, and shows it.

CharPage.EVERY = 1000; // milliseconds between two questions

// A time in words.
CharPage.duration = function (seconds) {
    if (seconds === null || seconds === undefined) return "–";
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
};

CharPage.nats = (value) => `${value.toFixed(3)} nats, ${CharPage.bits(value).toFixed(2)} bits`;
CharPage.epochText = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(2));

// Named figures: {node, set(name, text)}.
CharPage.figures = function (names, large = []) {
    const { el } = CharPage;
    const value = (name) => el("dd", { class: large.includes(name) ? "large" : "", textContent: "–" });
    const values = new Map(names.map((name) => [name, value(name)]));
    const figure = (name) => el("div", {}, el("dt", { textContent: name }), values.get(name));
    const node = el("dl", { class: "figures" }, ...names.map(figure));
    const set = (name, text) => {
        const value = values.get(name);
        value.textContent = text;
        value.parentNode.hidden = text === null;
    };
    return { node, set };
};

// State, progress and time.
CharPage.progressPanel = function () {
    const { el } = CharPage;
    const state = el("p", { class: "state", role: "status" });
    const note = el("p", { class: "message", hidden: true });
    const bar = el("progress", { max: 1, value: 0, "aria-label": "Progress of the training" });
    const names = ["Done", "Epochs", "Time so far", "Time left"];
    const figures = CharPage.figures(names, names);
    const node = el("section", { class: "panel", "aria-label": "Progress" }, state, note, bar, figures.node);
    const setStatus = ({ state: name, message }) => {
        if (state.textContent !== message) state.textContent = message;
        state.className = `state ${name}`;
        if (name !== "training") figures.set("Time left", null);
    };
    const setNote = (text) => {
        note.textContent = text || "";
        note.hidden = !text;
    };
    const setProgress = (progress) => {
        bar.value = progress.part;
        figures.set("Done", `${Math.floor(100 * progress.part)} %`);
        const total = progress.n_epochs ? ` of ${CharPage.epochText(progress.n_epochs)}` : "";
        figures.set("Epochs", `${progress.epochs.toFixed(1)}${total}`);
        figures.set("Time so far", CharPage.duration(progress.seconds));
        figures.set("Time left", CharPage.duration(progress.remaining));
    };
    return { node, setStatus, setNote, setProgress };
};

// The chart, its legend, and in words how the loss compares with n-grams.
CharPage.lossPanel = function () {
    const { el, svg } = CharPage;
    const verdict = el("p", { class: "note" });
    const readout = el("p", { class: "readout" });
    const chart = CharPage.lossChart((train, valid) => {
        const parts = [];
        if (train) parts.push(`epoch ${train[0].toFixed(2)}: training ${CharPage.nats(train[1])}`);
        if (valid) parts.push(`epoch ${CharPage.epochText(valid[0])}: validation ${CharPage.nats(valid[1])}`);
        readout.textContent = parts.join("; ");
    });
    const key = (name, text) => el("span", {}, svg("svg", { class: "chart-key", "aria-hidden": "true" },
        svg("line", { class: name, x1: 0, x2: 26, y1: 6, y2: 6 })), text);
    const keys = [key("train", "training"), key("valid", "validation"), key("ngrams", "n-grams")];
    const legend = el("p", { class: "legend chart-legend" }, ...keys);
    const node = el("section", { class: "panel", "aria-label": "Loss" },
        el("h2", { textContent: "Loss, nats per character" }), legend, chart.node, readout, verdict);

    const show = ({ curve = [], epochs = [], about = {}, progress }) => {
        const points = epochs.filter((row) => row.valid_loss !== undefined).map((row) => [row.epoch, row.valid_loss]);
        const ngrams = about.ngram_loss || null;
        legend.lastChild.hidden = !ngrams;
        if (!curve.length && !points.length) return;
        chart.show({ curve, epochs: points, ngrams, lastEpoch: progress && progress.n_epochs });
        const text = compare(points, curve, ngrams, about.ngram_context);
        verdict.textContent = text;
        chart.describe(`Losses over epochs. ${text}`);
    };

    const compare = (points, curve, ngrams, context) => {
        const kind = points.length ? "validation" : "training";
        const [, loss] = (points.length ? points : curve).at(-1);
        const now = `The last ${kind} loss is ${CharPage.nats(loss)}.`;
        if (!ngrams) return now;
        const difference = Math.abs(loss - ngrams).toFixed(3);
        const side = loss < ngrams ? "below" : "above";
        return `${now} That is ${difference} nats ${side} n-grams of up to ${context} characters ` +
            `(${CharPage.nats(ngrams)}).`;
    };
    return { node, show };
};

// The samples, the newest first.
CharPage.samplesPanel = function () {
    const { el } = CharPage;
    const list = el("ol", { class: "samples", reversed: true });
    const empty = el("p", { class: "note", textContent: "The first one comes after some seconds of training." });
    const title = el("h2", { textContent: "Samples" });
    const node = el("section", { class: "panel", "aria-label": "Samples" }, title, empty, list);
    const item = (sample) => el("li", {}, el("p", { textContent: `after ${sample.epoch.toFixed(2)} epochs` }),
        el("p", { class: "text" }, el("span", { class: "prompt", textContent: sample.prompt }), sample.new));
    const show = (samples) => {
        empty.hidden = samples.length > 0;
        list.replaceChildren(...samples.slice().reverse().map(item));
    };
    return { node, show };
};

// The numbers of each epoch.
CharPage.epochsPanel = function () {
    const { el } = CharPage;
    const table = el("table");
    const node = el("section", { class: "panel", "aria-label": "Epochs", hidden: true },
        el("h2", { textContent: "Epochs" }),
        el("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": "Table of epochs" }, table));
    const names = (rows) => [...new Set(rows.flatMap(Object.keys))].filter((name) => name !== "epoch");
    const shown = (value) => {
        if (value === undefined) return "–";
        return Math.abs(value) < 0.01 ? value.toExponential(1) : value.toFixed(4);
    };
    const cell = (value) => el("td", { textContent: shown(value) });
    const show = (rows) => {
        node.hidden = !rows.length;
        const columns = names(rows);
        const header = (name) => el("th", { scope: "col", textContent: name.replaceAll("_", " ") });
        const head = el("tr", {}, ...["epoch", ...columns].map(header));
        const body = rows.map((row) => el("tr", {}, el("td", { textContent: CharPage.epochText(row.epoch) }),
            ...columns.map((name) => cell(row[name]))));
        table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...body));
    };
    return { node, show };
};

// What is trained, and on what.
CharPage.aboutPanel = function () {
    const names = { arch: "Network", n_weights: "Weights", trained_on: "Text", split: "Validated on" };
    const figures = CharPage.figures(Object.values(names));
    const title = CharPage.el("h2", { textContent: "The model" });
    const node = CharPage.el("section", { class: "panel", "aria-label": "The model" }, title, figures.node);
    const show = (about) => {
        for (const [key, name] of Object.entries(names)) {
            const value = about[key];
            figures.set(name, value === null || value === undefined ? null : value.toLocaleString("en"));
        }
    };
    return { node, show };
};

// Ask for what has changed. Resolves to the sections, or null if the server does not answer.
CharPage.Training = class {
    constructor() {
        this.id = "";
        this.version = 0;
        this.sections = {};
    }

    async ask() {
        const answer = await fetch(`api/training?since=${this.version}&id=${this.id}`);
        const body = await answer.json();
        if (!answer.ok) throw new Error(body.error.message);
        // another training has this address now
        if (body.id !== this.id) this.sections = {};
        Object.assign(this, { id: body.id, version: body.version });
        Object.assign(this.sections, body.sections);
        return body.sections;
    }
};

{
    const { el } = CharPage;
    const title = el("h1", { textContent: "Training" });
    const progress = CharPage.progressPanel();
    const loss = CharPage.lossPanel();
    const samples = CharPage.samplesPanel();
    const epochs = CharPage.epochsPanel();
    const about = CharPage.aboutPanel();
    const training = new CharPage.Training();
    document.getElementById("charrnn").replaceChildren(el("header", {}, title),
        el("main", {}, progress.node, loss.node, samples.node, epochs.node, about.node));

    const show = (changed) => {
        const { sections } = training;
        if (changed.status) progress.setStatus(changed.status);
        if (changed.progress) progress.setProgress(changed.progress);
        if (changed.note) progress.setNote(changed.note);
        if (changed.curve || changed.epochs || changed.about) loss.show(sections);
        if (changed.samples) samples.show(changed.samples);
        if (changed.epochs) epochs.show(changed.epochs);
        if (changed.about) {
            about.show(changed.about);
            // the name alone: the arguments are in the list below
            title.textContent = `Training: ${changed.about.arch.split(" ")[0]}`;
        }
        const part = sections.progress ? `${Math.floor(100 * sections.progress.part)} % · ` : "";
        document.title = `${part}Training`;
    };

    // The process ends after its training, so a server that is lost then is no surprise.
    const lost = () => {
        const { state } = training.sections.status || {};
        if (state === "ended" || state === "stopped") {
            progress.setNote("Its process has ended too. The page keeps what it shows until you close or reload it.");
            return;
        }
        progress.setStatus({ state: "lost", message: "The training does not answer. Its process may have ended." });
    };

    let isLost = false;
    const ask = async () => {
        try {
            const changed = await training.ask();
            if (isLost) {
                progress.setNote("");
                show(training.sections);
            }
            isLost = false;
            show(changed);
        } catch (error) {
            if (!isLost) lost();
            isLost = true;
            if (!(error instanceof TypeError)) progress.setNote(error.message);
        }
        setTimeout(ask, CharPage.EVERY);
    };
    ask();
}
