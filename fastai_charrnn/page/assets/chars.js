"use strict";
// Characters as a reader sees them, and small helpers to build elements. Defines the one global, `CharPage`.

const CharPage = {};

// Names of characters that have no shape of their own: [what is shown, what is read aloud]
CharPage.NAMED = new Map([
    [" ", ["␣", "space"]],
    ["\n", ["⏎", "line break"]],
    ["\t", ["⇥", "tab"]],
    ["\r", ["␍", "carriage return"]],
    ["\u00a0", ["⍽", "no-break space"]],
]);

// Whether a character is invisible or changes its surroundings, such as a bidirectional control.
CharPage.isHidden = (char) => /^[\p{C}\p{Zl}\p{Zp}\p{Zs}\u2800\u3164\u115f\u1160\uffa0]$/u.test(char);

// U+ and the number of a character.
CharPage.codeOf = (char) => `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

// A character as it is shown on its own. A combining mark needs something to combine with.
CharPage.glyph = function (char) {
    const named = CharPage.NAMED.get(char);
    if (named) return named[0];
    if (CharPage.isHidden(char)) return CharPage.codeOf(char);
    return /^\p{M}/u.test(char) ? `◌${char}` : char;
};

// A character as a screen reader should say it.
CharPage.nameOf = function (char) {
    const named = CharPage.NAMED.get(char);
    if (named) return named[1];
    return CharPage.isHidden(char) ? CharPage.codeOf(char) : char;
};

// A character in a sentence: its name, or itself in quotation marks.
CharPage.quoted = function (char) {
    const name = CharPage.nameOf(char);
    return name === char ? `“${char}”` : name;
};

// An element. Properties are set, texts become text nodes: nothing is ever parsed as HTML.
CharPage.el = function (tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (name === "class") node.className = value;
        else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
        else node[name] = value;
    }
    node.append(...children);
    return node;
};

// Numbers in words of the page.
CharPage.percent = function (p) {
    if (p < 0.001) return "< 0.1 %";
    return `${(100 * p).toFixed(p >= 0.0995 ? 0 : 1)} %`;
};
CharPage.count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
CharPage.bits = (nats) => nats / Math.LN2;

// Whether an error only says that a newer request has replaced this one.
CharPage.isAbort = (error) => Boolean(error) && error.name === "AbortError";
