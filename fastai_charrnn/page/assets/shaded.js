"use strict";
// A text whose characters are coloured one by one, and through which the arrow keys move.

// `look(i)` is called with the position of a character in the text shown, or -1, when the mouse or the keys reach it.
CharPage.shadedText = function (label, look) {
    const { el } = CharPage;
    const keys = "Arrow keys move through the text.";
    const node = el("div", { class: "shaded", tabIndex: 0, role: "application", "aria-label": label,
        "aria-description": keys });
    const empty = el("span", { class: "note", textContent: "Type a text above." });
    let chars = [];
    let spans = [];
    let chosen = -1;
    let hovered = -1;
    node.append(empty);

    const makeSpan = (char, isKnown) => {
        const span = el("span", { class: "c" });
        if (char === "\n") span.append(el("span", { class: "mark", textContent: "⏎" }), "\n");
        else if (char === " ") span.textContent = " ";
        else span.textContent = CharPage.isHidden(char) ? CharPage.glyph(char) : char;
        if (char !== "\n" && char !== " " && CharPage.isHidden(char)) span.classList.add("mark");
        if (!isKnown) span.classList.add("unknown");
        return span;
    };

    // Show a text. Characters that it has in common with the last one, from the beginning, keep their colours.
    const setText = (newChars, isKnown) => {
        let same = 0;
        while (same < newChars.length && same < chars.length && newChars[same] === chars[same]) same++;
        spans.splice(same).forEach((span) => span.remove());
        const fragment = document.createDocumentFragment();
        for (const char of newChars.slice(same)) {
            const span = makeSpan(char, isKnown(char));
            spans.push(span);
            fragment.append(span);
        }
        node.append(fragment);
        chars = newChars;
        empty.hidden = chars.length > 0;
        if (chosen >= chars.length) choose(-1);
    };

    // Colour a character: a class, and how strong it is, from 0 to 1.
    const paint = (i, kind, strength) => {
        const span = spans[i];
        if (!span) return;
        span.style.setProperty("--a", strength.toFixed(3));
        span.dataset.kind = kind;
    };

    const clear = () => spans.forEach((span) => delete span.dataset.kind);

    // Underline characters: strengths from 0 to 1, by position; null removes the lines.
    const underline = (strengths) => {
        spans.forEach((span, i) => {
            const strength = strengths ? strengths[i] || 0 : 0;
            span.classList.toggle("linked", strength > 0.02);
            span.style.setProperty("--u", strength.toFixed(3));
        });
    };

    const mark = (i, name) => {
        for (const span of node.querySelectorAll(`.${name}`)) span.classList.remove(name);
        if (spans[i]) spans[i].classList.add(name);
    };

    const choose = (i) => {
        chosen = i;
        mark(i, "chosen");
        look(i);
    };

    // The character on the line above or below that is nearest.
    const onOtherLine = (direction) => {
        const from = spans[chosen].getBoundingClientRect();
        let best = chosen;
        let line = null;
        let distance = Infinity;
        for (let i = chosen + direction; i >= 0 && i < spans.length; i += direction) {
            const box = spans[i].getBoundingClientRect();
            if (Math.abs(box.top - from.top) < 3) continue;
            if (line === null) line = box.top;
            if (Math.abs(box.top - line) >= 3) break;
            if (Math.abs(box.left - from.left) < distance) {
                distance = Math.abs(box.left - from.left);
                best = i;
            }
        }
        return best;
    };

    const KEYS = {
        ArrowLeft: () => Math.max(chosen - 1, 0),
        ArrowRight: () => Math.min(chosen + 1, spans.length - 1),
        ArrowUp: () => onOtherLine(-1),
        ArrowDown: () => onOtherLine(1),
        Home: () => 0,
        End: () => spans.length - 1,
    };

    node.addEventListener("keydown", (event) => {
        if (!KEYS[event.key] || event.ctrlKey || event.altKey || event.metaKey || !spans.length) return;
        event.preventDefault();
        choose(chosen < 0 ? spans.length - 1 : KEYS[event.key]());
        spans[chosen].scrollIntoView({ block: "nearest" });
    });
    node.addEventListener("focus", () => {
        if (chosen < 0 && spans.length && node.matches(":focus-visible")) choose(spans.length - 1);
    });
    const at = (event) => spans.indexOf(event.target.closest(".c"));
    node.addEventListener("pointermove", (event) => {
        const i = at(event);
        // between two lines, the character stays that was pointed at last
        if (i < 0 || i === hovered) return;
        hovered = i;
        mark(i, "hovered");
        look(i);
    });
    node.addEventListener("pointerleave", () => {
        hovered = -1;
        mark(-1, "hovered");
        look(chosen);
    });
    node.addEventListener("click", (event) => {
        const i = at(event);
        if (i >= 0) choose(i);
    });
    return { node, setText, paint, clear, underline };
};
