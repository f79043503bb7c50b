"use strict";
// Hidden units: the text coloured by one of them, and all of them after the last character.

// The units that have a name: number to {tracks, described}. A unit may track several things. A score is a correlation
// on text that the unit was not chosen by.
CharPage.namedUnits = function (about) {
    const named = new Map();
    for (const { unit, tracks, score } of about.units) {
        if (!(unit < about.nUnits)) continue;
        const described = Number.isFinite(score) ? `${tracks} (correlation ${score.toFixed(2)})` : tracks;
        const found = named.get(unit);
        named.set(unit, found
            ? { tracks: `${found.tracks}, ${tracks}`, described: `${found.described}, ${described}` }
            : { tracks, described });
    }
    return named;
};

CharPage.unitsPanel = function (about, suffix, change) {
    const { el } = CharPage;
    const select = el("select", { id: CharPage.newId() });
    const meaning = el("p", { class: "note" });
    const detail = el("p", { class: "detail", "aria-live": "polite" });
    const strip = el("div", { class: "strip", "aria-hidden": "true" });
    const caption = el("p", { class: "note" });
    const shaded = CharPage.shadedText(`Text coloured by a hidden unit${suffix}`, (i) => look(i));
    const legend = el("p", { class: "legend" }, el("span", { textContent: "−1" }),
        el("span", { class: "scale units", "aria-hidden": "true" }), el("span", { textContent: "+1" }));
    const node = el("section", { class: "panel units", "aria-label": `Hidden units${suffix}` },
        el("h2", { textContent: "Hidden units" }),
        el("div", { class: "row" }, el("label", { for: select.id, textContent: "Unit" }), select, legend),
        meaning, shaded.node, detail, el("h3", { textContent: "All units after the text" }), strip, caption);
    const hint = "Point at a character, or move with the arrow keys, to see the value.";
    detail.textContent = hint;
    let view = null;
    let values = [];
    const named = CharPage.namedUnits(about);

    const addOptions = () => {
        const options = Array.from(named, ([unit, { tracks }]) =>
            el("option", { value: String(unit), textContent: `${unit}: ${tracks}` }));
        const others = [];
        for (let unit = 0; unit < about.nUnits; unit++) {
            if (!named.has(unit)) others.push(el("option", { value: String(unit), textContent: String(unit) }));
        }
        if (options.length) select.append(el("optgroup", { label: "Units that track something" }, ...options));
        select.append(options.length ? el("optgroup", { label: "Other units" }, ...others) : "");
        if (!options.length) select.append(...others);
    };

    const unit = () => Number(select.value);

    const describe = () => {
        const found = named.get(unit());
        const note = "Each character is coloured by the value of the unit after it.";
        meaning.textContent = found ? `${note} Unit ${unit()} tracks ${found.described}.` : note;
        for (const cell of strip.children) cell.classList.toggle("chosen", cell.dataset.unit === select.value);
    };

    const setView = (newView) => {
        view = newView;
        values = [];
        shaded.setText(view.chars, view.isKnown);
    };

    const addPart = (start, part) => {
        part.forEach((value, k) => {
            values[view.kept[start + k]] = value;
            shaded.paint(view.kept[start + k], value < 0 ? "negative" : "positive", Math.min(Math.abs(value), 1));
        });
    };

    const look = (i) => {
        const value = values[i];
        detail.textContent = value === undefined ? hint
            : `Unit ${unit()} after ${CharPage.quoted(view.chars[i])}: ${value.toFixed(2)}`;
    };

    const makeStrip = () => {
        for (let k = 0; k < about.nUnits; k++) {
            const cell = el("span", { title: `unit ${k}${named.has(k) ? `: ${named.get(k).tracks}` : ""}` });
            cell.dataset.unit = String(k);
            cell.classList.toggle("named", named.has(k));
            strip.append(cell);
        }
        const framed = named.size ? " Those with a name have a frame." : "";
        caption.textContent = `${CharPage.count(about.nUnits, "unit")}.${framed} Click one to choose it.`;
    };

    // Colour the strip by the hidden state after the text.
    const showStrip = (state) => {
        if (!state) return;
        if (!strip.children.length) makeStrip();
        state.forEach((value, k) => {
            const cell = strip.children[k];
            cell.dataset.kind = value < 0 ? "negative" : "positive";
            cell.style.setProperty("--a", Math.min(Math.abs(value), 1).toFixed(3));
        });
        describe();
    };

    const choose = () => {
        values = [];
        shaded.clear();
        describe();
        detail.textContent = hint;
        change();
    };

    select.addEventListener("change", choose);
    strip.addEventListener("click", (event) => {
        if (event.target.dataset.unit === undefined) return;
        select.value = event.target.dataset.unit;
        choose();
    });
    addOptions();
    describe();
    return { node, shaded, setView, addPart, showStrip, unit };
};
