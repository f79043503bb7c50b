"use strict";
// The text and the controls that all models share.

// A new id for an element that a label names.
CharPage.newId = (() => {
    let count = 0;
    return () => `charrnn-${++count}`;
})();

CharPage.slider = function (label, min, max, step, value, format) {
    const { el } = CharPage;
    const input = el("input", { type: "range", id: CharPage.newId() });
    Object.assign(input, { min: String(min), max: String(max), step: String(step) });
    input.value = String(value);
    const output = el("span", { class: "value", "aria-hidden": "true" });
    const show = () => {
        output.textContent = format(Number(input.value));
        input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", show);
    show();
    const node = el("div", { class: "field slider" },
        el("label", { for: input.id, textContent: label }), input, output);
    return { node, input, value: () => Number(input.value) };
};

// A whole number. Another number becomes the nearest one allowed, an empty field the number at the beginning.
CharPage.numberField = function (label, min, max, value) {
    const { el } = CharPage;
    const input = el("input", { type: "number", min: String(min), max: String(max), step: "1", id: CharPage.newId() });
    input.value = String(value);
    const read = () => {
        const number = input.value.trim() ? Math.round(Number(input.value)) : NaN;
        return Math.min(Math.max(Number.isFinite(number) ? number : value, min), max);
    };
    input.addEventListener("change", () => (input.value = String(read())));
    const node = el("div", { class: "field" }, el("label", { for: input.id, textContent: label }), input);
    return { node, input, value: read };
};

// The textbox, example prompts, and Undo for what the page itself adds.
CharPage.textPanel = function (prompts, changed) {
    const { el } = CharPage;
    const box = el("textarea", { id: CharPage.newId(), rows: 7, spellcheck: false, autocomplete: "off",
        placeholder: "Type here" });
    box.setAttribute("autocapitalize", "off");
    const status = el("p", { class: "status", role: "status" });
    const notice = el("p", { class: "message", role: "status", hidden: true });
    const undo = el("button", { type: "button", class: "quiet", textContent: "Undo", disabled: true });
    const clear = el("button", { type: "button", class: "quiet", textContent: "Clear" });
    const examples = el("div", { class: "row prompts" });
    const node = el("section", { class: "panel text" },
        el("div", { class: "row top" }, el("label", { class: "title", for: box.id, textContent: "Text" }),
            el("span", { class: "spring" }), undo, clear),
        box, examples, notice, status);
    const earlier = [];

    const show = (text) => {
        box.value = text;
        box.scrollTop = box.scrollHeight;
    };
    // Replace the text. It can be undone.
    const set = (text) => {
        earlier.push(box.value);
        undo.disabled = false;
        show(text);
        changed();
    };
    const shorten = (text) => {
        const line = text.trim().replace(/\s+/g, " ");
        const chars = Array.from(line, (char) => (char === " " ? char : CharPage.glyph(char)));
        return chars.length > 24 ? `${chars.slice(0, 23).join("")}…` : chars.join("");
    };
    for (const prompt of prompts) {
        const button = el("button", { type: "button", class: "prompt", textContent: shorten(prompt) });
        button.addEventListener("click", () => set(prompt));
        examples.append(button);
    }
    if (prompts.length) examples.prepend(el("span", { class: "note", textContent: "Examples" }));
    undo.addEventListener("click", () => {
        box.value = earlier.pop();
        undo.disabled = !earlier.length;
        changed();
    });
    clear.addEventListener("click", () => {
        set("");
        box.focus();
    });
    box.addEventListener("input", changed);
    const warn = (text) => {
        if (notice.textContent !== text) notice.textContent = text;
        notice.hidden = !text;
    };
    return { node, box, set, show, warn, tell: (text) => (status.textContent = text), value: () => box.value };
};

CharPage.MAX_SEED = 2 ** 32 - 1;

// Temperature, top-p, seed and length, with Continue and Stop.
CharPage.controlsPanel = function ({ changed, start, stop }) {
    const { el } = CharPage;
    const temperature = CharPage.slider("Temperature", 0, 2, 0.05, 1, (value) => value.toFixed(2));
    const topP = CharPage.slider("Top-p", 0.05, 1, 0.05, 0.95, (value) => value.toFixed(2));
    const length = CharPage.numberField("Length", 1, 10000, 200);
    const seed = CharPage.numberField("Seed", 0, CharPage.MAX_SEED, 1);
    const fresh = el("input", { type: "checkbox", checked: true, id: CharPage.newId() });
    const go = el("button", { type: "button", class: "primary", textContent: "Continue" });
    const halt = el("button", { type: "button", textContent: "Stop", disabled: true });
    const node = el("section", { class: "panel controls", "aria-label": "Settings" },
        el("div", { class: "fields" }, temperature.node, topP.node, length.node, seed.node),
        el("div", { class: "row" }, go, halt, el("label", { class: "check" }, fresh, "New seed each time")));
    let isFirst = true;

    // The options of a continuation. A seed that the reader typed is kept.
    const options = () => {
        if (fresh.checked && !isFirst) seed.input.value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
        isFirst = false;
        return { n: length.value(), temperature: temperature.value(), topP: topP.value(), seed: seed.value() };
    };
    const setRunning = (isRunning) => {
        // the focus must not fall on a button that is disabled
        const isFocused = document.activeElement === go || document.activeElement === halt;
        go.disabled = isRunning;
        halt.disabled = !isRunning;
        if (isFocused) (isRunning ? halt : go).focus();
    };
    seed.input.addEventListener("input", () => (fresh.checked = false));
    temperature.input.addEventListener("input", changed);
    topP.input.addEventListener("input", changed);
    go.addEventListener("click", start);
    halt.addEventListener("click", stop);
    return { node, options, setRunning, temperature: temperature.value, topP: topP.value };
};
