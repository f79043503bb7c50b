"use strict";
// The page: one text, and for each model its bars, continuation, surprise and hidden units.

CharPage.MAX_READ = 3000; // characters at the end of a text that are read and shaded
CharPage.MAX_ADDED = 5000; // characters that may be typed before the beginning of what is read moves
CharPage.BLOCK = 1000; // what is read begins at a multiple of this
CharPage.MAX_WORK = 2e9; // products of weights, for a text that was pasted
CharPage.SCORE_DELAY = 150; // milliseconds without typing before a text is shaded

// How many characters are read: fewer for a model of many weights, which needs more time for each.
CharPage.readLimit = function (abouts) {
    const most = Math.max(...abouts.map((about) => about.facts.n_weights || 0));
    const blocks = Math.round(CharPage.MAX_WORK / (most * CharPage.BLOCK));
    return Math.max(Math.min(blocks * CharPage.BLOCK, CharPage.MAX_READ), CharPage.BLOCK);
};

// The end of a text that the page reads: {chars, start, total}. `last` is where it began before: while a reader types,
// it does not move, so that only what is new is read.
CharPage.readPart = function (text, limit, last) {
    const chars = Array.from(text);
    const over = chars.length - limit;
    const isNear = over > last - CharPage.BLOCK && over <= last + CharPage.MAX_ADDED;
    const start = isNear ? last : Math.max(Math.ceil(over / CharPage.BLOCK) * CharPage.BLOCK, 0);
    return { chars: chars.slice(start), start, total: chars.length };
};

// The part as one model sees it: `kept` are the positions of the characters that it knows.
CharPage.viewFor = function (part, vocab) {
    const isKnown = (char) => vocab.has(char);
    const kept = [];
    part.chars.forEach((char, i) => {
        if (isKnown(char)) kept.push(i);
    });
    return { chars: part.chars, start: part.start, kept, isKnown, known: () => kept.map((i) => part.chars[i]) };
};

// One model of the page.
CharPage.modelView = function (backend, about, several, page) {
    const { el } = CharPage;
    const suffix = several ? `, ${about.name}` : "";
    const vocab = new Set(about.vocab.slice(1));
    const next = CharPage.nextPanel(`Next characters${suffix}`, (char) => page.add(char));
    const continuation = CharPage.continuationPanel(`Continuation${suffix}`, (text) => page.add(text), page.tell);
    const surprise = CharPage.surprisePanel(backend, about, suffix);
    const units = CharPage.unitsPanel(about, suffix, () => score());
    const facts = CharPage.factsPanel(about, suffix);
    const panels = [next, continuation, surprise, units, facts].map((panel) => panel.node);
    const node = el("article", { class: "model", "aria-label": about.name || "Model" },
        ...(several ? [el("h2", { class: "name", textContent: about.name })] : []), ...panels);
    let view = null;
    let last = null;
    let scoring = null;
    let predicting = null;
    let text = "";

    const drawBars = () => {
        if (last) next.show(last.logProbs, about.vocab, page.temperature(), page.topP());
    };

    const predict = async () => {
        if (predicting) predicting.abort();
        predicting = new AbortController();
        const { signal } = predicting;
        next.setBusy(true);
        try {
            const result = await backend.next(text, { signal });
            if (signal.aborted) return;
            last = result;
            drawBars();
            units.showStrip(last.units);
        } finally {
            if (!signal.aborted) next.setBusy(false);
        }
    };

    const score = async () => {
        if (scoring) scoring.abort();
        if (!view) return;
        scoring = new AbortController();
        const { signal } = scoring;
        const onPart = (start, nats, values) => {
            if (signal.aborted) return;
            surprise.addPart(start, nats);
            units.addPart(start, values);
        };
        await page.guard(backend.score(text, { onPart, signal, units: [units.unit()] }).then(() => {
            if (!signal.aborted) surprise.finish();
        }));
    };

    // A new text: its bars at once; its shades after a pause.
    const setText = (part) => {
        if (scoring) scoring.abort();
        view = CharPage.viewFor(part, vocab);
        text = part.chars.join("");
        return page.guard(predict());
    };
    const shade = (whole) => {
        surprise.setView(view, whole);
        units.setView(view);
        return score();
    };

    const generate = async (options, signal) => {
        continuation.begin(text);
        const begin = performance.now();
        try {
            await backend.generate(text, { ...options, onChar: continuation.addChar, signal });
        } finally {
            const seconds = ((performance.now() - begin) / 1000).toFixed(1);
            const n = Array.from(continuation.text()).length;
            continuation.end(`${CharPage.count(n, "character")}, seed ${options.seed}, ${seconds} s`);
        }
    };

    // Characters of a text that the model does not know, with how often they occur.
    const unknown = (chars) => {
        const counts = new Map();
        for (const char of chars) if (!vocab.has(char)) counts.set(char, (counts.get(char) || 0) + 1);
        return counts;
    };
    return { node, setText, shade, drawBars, generate, unknown, about };
};

// Tell kindly what a model does not know.
CharPage.unknownMessage = function (counts, name) {
    if (!counts.size) return "";
    const shown = Array.from(counts).slice(0, 8)
        .map(([char, n]) => `${CharPage.quoted(char)}${n > 1 ? ` (${n.toLocaleString("en")} times)` : ""}`);
    const more = counts.size > shown.length ? ` and ${CharPage.count(counts.size - shown.length, "other")}` : "";
    const isOne = counts.size === 1;
    const what = isOne ? "This character is" : "These characters are";
    const who = name || "the model";
    return `${what} not in the vocabulary, so ${who} leaves ${isOne ? "it" : "them"} out: ${shown.join(", ")}${more}.`;
};

// Draw the page in `root`. Several backends are several models side by side on one text.
CharPage.start = async function (root, backends) {
    const { el } = CharPage;
    const loading = el("p", { class: "message", role: "status", textContent: "Loading the model…" });
    root.replaceChildren(loading);
    let abouts;
    try {
        abouts = await Promise.all(backends.map((backend) => backend.info()));
    } catch (error) {
        loading.textContent = `The model cannot be loaded: ${error.message}`;
        loading.setAttribute("role", "alert");
        return;
    }
    CharPage.drawPage(root, backends, abouts);
};

CharPage.drawPage = function (root, backends, abouts) {
    const { el } = CharPage;
    const several = backends.length > 1;
    const prompts = [...new Set(abouts.flatMap((about) => about.prompts))].slice(0, 4);
    const text = CharPage.textPanel(prompts, () => changed());
    const controls = CharPage.controlsPanel({
        changed: () => models.forEach((model) => model.drawBars()),
        start: () => generate(),
        stop: () => generating && generating.abort(),
    });
    const limit = CharPage.readLimit(abouts);
    let start = 0;
    let generating = null;
    let timer = null;

    const guard = (promise) => promise.catch((error) => {
        if (!CharPage.isAbort(error)) text.tell(`Something went wrong: ${error.message}`);
    });
    const page = {
        add: (more) => text.set(text.value() + more),
        tell: text.tell,
        temperature: controls.temperature,
        topP: controls.topP,
        guard,
    };
    const models = backends.map((backend, i) => CharPage.modelView(backend, abouts[i], several, page));

    const warn = (part, all) => {
        const messages = models.map((model) =>
            CharPage.unknownMessage(model.unknown(all), several ? model.about.name : ""));
        if (part.start) {
            messages.unshift(`The text has ${CharPage.count(part.total, "character")}. ` +
                `The page reads and shades the last ${part.chars.length.toLocaleString("en")}.`);
        }
        text.warn(messages.filter(Boolean).join(" "));
    };

    const changed = () => {
        text.tell("");
        const part = CharPage.readPart(text.value(), limit, start);
        start = part.start;
        models.forEach((model) => model.setText(part));
        clearTimeout(timer);
        timer = setTimeout(() => {
            warn(part, Array.from(text.value()));
            models.forEach((model) => model.shade(text.value()));
        }, CharPage.SCORE_DELAY);
    };

    const generate = async () => {
        generating = new AbortController();
        const { signal } = generating;
        const options = controls.options();
        controls.setRunning(true);
        text.tell("Generating…");
        await Promise.all(models.map((model) => guard(model.generate(options, signal))));
        controls.setRunning(false);
        text.tell(signal.aborted ? "Stopped." : "The continuation is complete.");
    };

    root.replaceChildren(CharPage.header(abouts),
        el("main", { class: several ? "several" : "one" }, text.node, controls.node,
            el("div", { class: "models" }, ...models.map((model) => model.node))),
        CharPage.footer(backends));
    if (prompts.length) text.show(prompts[0]);
    changed();
};

CharPage.header = function (abouts) {
    const { el } = CharPage;
    const names = abouts.map((about) => about.name || "A character model");
    const lead = abouts.length > 1
        ? "Character models, side by side on one text. They read it one character at a time and predict the next one."
        : "A character model. It reads a text one character at a time and predicts the next one.";
    return el("header", {}, el("h1", { textContent: names.join(", ") }), el("p", { class: "lead", textContent: lead }));
};

// Backends that do not say where their model runs are on the server that the page came from.
CharPage.footer = function (backends) {
    const places = backends.map((backend) => backend.place || "The model runs on the server of this page.");
    const text = ["Made with fastai_charrnn.", ...new Set(places)].join(" ");
    return CharPage.el("footer", {}, CharPage.el("p", { textContent: text }));
};
