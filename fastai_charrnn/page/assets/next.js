"use strict";
// The bars of the next character.

CharPage.N_BARS = 12;

// A panel of bars. `choose(char)` is called with a character that was clicked.
CharPage.nextPanel = function (label, choose) {
    const { el } = CharPage;
    const list = el("ol", { class: "bars", "aria-label": label });
    const more = el("p", { class: "note" });
    const all = el("button", { type: "button", class: "quiet", textContent: "Show all", "aria-expanded": "false" });
    const node = el("section", { class: "panel next" }, el("h2", { textContent: "Next character" }), list,
        el("div", { class: "row" }, more, all));
    const bars = [];
    let last = null;

    const addBar = () => {
        const bar = { char: el("span", { class: "char" }), fill: el("span", { class: "fill" }) };
        bar.value = el("span", { class: "value" });
        bar.button = el("button", { type: "button", class: "bar" }, bar.char,
            el("span", { class: "track" }, bar.fill), bar.value);
        bar.button.addEventListener("click", () => choose(bar.text));
        bar.item = el("li", {}, bar.button);
        list.append(bar.item);
        bars.push(bar);
    };

    const draw = (bar, char, p, isKept) => {
        bar.text = char;
        bar.char.textContent = CharPage.glyph(char);
        bar.value.textContent = CharPage.percent(p);
        bar.fill.style.setProperty("--p", p.toFixed(4));
        bar.button.classList.toggle("out", !isKept);
        const out = isKept ? "" : ", left out by top-p";
        bar.button.setAttribute("aria-label", `${CharPage.nameOf(char)}, ${CharPage.percent(p)}${out}`);
    };

    const show = (logProbs, vocab, temperature, topP) => {
        last = [logProbs, vocab, temperature, topP];
        const probs = CharRNN.probabilities(logProbs, temperature);
        const ranked = CharRNN.ranked(probs);
        const kept = CharRNN.nucleus(probs, ranked, topP);
        const isOpen = all.getAttribute("aria-expanded") === "true";
        const n = isOpen ? ranked.length : Math.min(CharPage.N_BARS, ranked.length);
        while (bars.length < n) addBar();
        while (bars.length > n) bars.pop().item.remove();
        bars.forEach((bar, i) => draw(bar, vocab[ranked[i]], probs[ranked[i]], i < kept));
        const rest = ranked.slice(n).reduce((total, id) => total + probs[id], 0);
        more.textContent = n < ranked.length
            ? `${CharPage.count(ranked.length - n, "other character")}: ${CharPage.percent(rest)}` : "";
        all.hidden = ranked.length <= CharPage.N_BARS;
    };

    // While the model reads what was typed, the bars are those of the text before.
    const setBusy = (isBusy) => list.setAttribute("aria-busy", String(isBusy));

    all.addEventListener("click", () => {
        const isOpen = all.getAttribute("aria-expanded") === "true";
        all.setAttribute("aria-expanded", String(!isOpen));
        all.textContent = isOpen ? "Show all" : "Show fewer";
        if (last) show(...last);
    });
    return { node, show, setBusy };
};
