"use strict";
// The text shaded by surprise, with bits per character beside the model's held-out loss and that of n-grams.

CharPage.MAX_BITS = 8; // the strongest shade

CharPage.surprisePanel = function (backend, about, suffix) {
    const { el } = CharPage;
    const figures = el("dl", { class: "figures" });
    const detail = el("p", { class: "detail", "aria-live": "polite" });
    const links = el("input", { type: "checkbox", id: CharPage.newId() });
    const shaded = CharPage.shadedText(`Text shaded by surprise${suffix}`, (i) => look(i));
    const legend = el("p", { class: "legend" }, el("span", { textContent: "expected" }),
        el("span", { class: "scale surprise", "aria-hidden": "true" }),
        el("span", { textContent: `surprising (${CharPage.MAX_BITS} bits or more)` }));
    const hint = "Point at a character, or move with the arrow keys, to see its probability.";
    const whole = CharPage.wholeText(backend, (loss, note) => showFigures(loss, note));
    const node = el("section", { class: "panel surprise", "aria-label": `Surprise${suffix}` },
        el("h2", { textContent: "Surprise" }), figures, whole.node,
        el("div", { class: "row" }, legend,
            el("label", { class: "check" }, links, "Show what a prediction depends on")),
        shaded.node, detail);
    detail.textContent = hint;
    let view = null; // the text shown: its characters and which of them are known
    let nats = [];
    let looking = null;

    const figure = (name, nats, note) => el("div", { class: "figure" },
        el("dt", { textContent: name }),
        el("dd", {},
            el("strong", { textContent: nats === null ? "–" : CharPage.bits(nats).toFixed(2) }),
            nats === null ? "" : " bits per character",
            el("span", { class: "note", textContent: note })));

    // `loss` is the mean over the text in nats, null while it is unknown.
    const showFigures = (loss, note) => {
        const { valid_loss: valid, ngram_loss: ngrams, ngram_context: context } = about.facts;
        const isHeldOut = about.facts.is_held_out !== false;
        const where = isHeldOut ? "held-out text" : "validation text";
        const parts = [figure("This text", loss, note)];
        if (Number.isFinite(valid)) parts.push(figure(`Model, ${where}`, valid, isHeldOut ? "text it was not trained on"
            : "shares characters with the training text"));
        if (Number.isFinite(ngrams)) {
            const contexts = context ? `contexts of up to ${CharPage.count(context, "character")}` : "";
            parts.push(figure(`n-grams, ${where}`, ngrams, contexts));
        }
        figures.replaceChildren(...parts);
    };

    const mean = (numbers) => numbers.reduce((total, number) => total + number, 0) / numbers.length;

    const setView = (newView, text) => {
        view = newView;
        nats = [];
        whole.setText(newView.start ? text : "");
        shaded.underline(null);
        shaded.setText(view.chars, view.isKnown);
        showFigures(null, "");
    };

    // A part of the scores has come. `start` counts known characters.
    const addPart = (start, part) => {
        part.forEach((value, k) => {
            nats[start + k] = value;
            shaded.paint(view.kept[start + k], "surprise", Math.min(CharPage.bits(value) / CharPage.MAX_BITS, 1));
        });
    };

    const finish = () => {
        if (nats.length) showFigures(mean(nats), `mean of ${CharPage.count(nats.length, "character")}`);
    };

    const look = async (i) => {
        if (looking) looking.abort();
        looking = new AbortController();
        shaded.underline(null);
        if (i < 0 || !view) {
            detail.textContent = hint;
            return;
        }
        const char = view.chars[i];
        const at = view.kept.indexOf(i);
        if (at < 0) {
            detail.textContent = `The model does not know ${CharPage.quoted(char)}, and leaves it out.`;
            return;
        }
        try {
            await describe(char, at, looking.signal);
        } catch (error) {
            if (!CharPage.isAbort(error)) throw error;
        }
    };

    const describe = async (char, at, signal) => {
        const known = view.known();
        const before = known.slice(0, at).join("");
        const { logProbs } = await backend.next(before, { signal });
        if (signal.aborted) return;
        const probs = CharRNN.probabilities(logProbs, 1);
        const ranked = CharRNN.ranked(probs);
        const id = about.vocab.indexOf(char, 1);
        const rank = ranked.indexOf(id) + 1;
        const others = ranked.filter((other) => other !== id).slice(0, 3)
            .map((other) => `${CharPage.quoted(about.vocab[other])} ${CharPage.percent(probs[other])}`);
        const p = probs[id];
        detail.textContent = `${CharPage.quoted(char)}: probability ${CharPage.percent(p)}, rank ${rank} of ` +
            `${ranked.length}, ${CharPage.bits(-logProbs[id]).toFixed(1)} bits. Others: ` +
            `${others.join(", ")}.`;
        if (links.checked && at > 0) await showLinks(known, at, signal);
    };

    // Underline the earlier characters on which the prediction of character `at` depends.
    const showLinks = async (known, at, signal) => {
        const norms = await backend.connectivity(known.slice(0, at).join(""), at - 1, { signal });
        if (signal.aborted) return;
        const most = norms.reduce((max, norm) => Math.max(max, norm), 0) || 1;
        const strengths = [];
        norms.forEach((norm, k) => (strengths[view.kept[k]] = norm / most));
        shaded.underline(strengths);
    };

    return { node, shaded, setView, addPart, finish };
};

// A button that measures the whole of a text whose end is shaded, and one that cancels. `show(loss, note)` is called
// with the mean so far, in nats.
CharPage.wholeText = function (backend, show) {
    const { el } = CharPage;
    const start = el("button", { type: "button", textContent: "Measure the whole text" });
    const cancel = el("button", { type: "button", textContent: "Cancel", hidden: true });
    const node = el("div", { class: "row whole", hidden: true }, start, cancel);
    let text = "";
    let running = null;

    const setText = (newText) => {
        if (running) running.abort();
        text = newText;
        node.hidden = !text;
    };

    const measure = async () => {
        running = new AbortController();
        const { signal } = running;
        const length = Array.from(text).length;
        let total = 0;
        let n = 0;
        const onPart = (at, nats) => {
            if (signal.aborted) return;
            nats.forEach((value) => (total += value));
            n += nats.length;
            show(total / n, `${n.toLocaleString("en")} of ${CharPage.count(length, "character")}`);
        };
        try {
            await backend.score(text, { onPart, signal });
            show(total / n, `mean of ${CharPage.count(n, "character")}, the whole text`);
        } catch (error) {
            if (!CharPage.isAbort(error)) throw error;
        }
    };

    start.addEventListener("click", async () => {
        start.hidden = true;
        cancel.hidden = false;
        cancel.focus();
        try {
            await measure();
        } finally {
            start.hidden = false;
            cancel.hidden = true;
        }
    });
    cancel.addEventListener("click", () => running.abort());
    return { node, setText };
};
