"use strict";
// The continuation that a model generates, and what to do with it.

CharPage.N_BEFORE = 120; // characters of the prompt that are shown before a continuation

CharPage.continuationPanel = function (label, take, tell) {
    const { el } = CharPage;
    const before = el("span", { class: "before" });
    const output = el("span", { class: "new" });
    const page = el("p", { class: "output" }, before, output);
    const note = el("p", { class: "note" });
    const add = el("button", { type: "button", textContent: "Add to text" });
    const copy = el("button", { type: "button", textContent: "Copy" });
    const node = el("section", { class: "panel continuation", "aria-label": label },
        el("h2", { textContent: "Continuation" }), page, el("div", { class: "row" }, add, copy, note));
    const hint = el("span", { class: "note", textContent: "Press Continue. The model then writes on from the text." });
    page.append(hint);
    let text = "";

    const enable = () => {
        add.disabled = copy.disabled = !text;
    };

    const begin = (prompt) => {
        text = "";
        const chars = Array.from(prompt);
        before.textContent = (chars.length > CharPage.N_BEFORE ? "…" : "") + chars.slice(-CharPage.N_BEFORE).join("");
        output.textContent = "";
        output.classList.add("writing");
        note.textContent = "";
        hint.remove();
        enable();
    };

    // Texts that the browser cannot show one character at a time are shown at the next frame.
    let isWaiting = false;
    const draw = () => {
        isWaiting = false;
        output.textContent = text;
        page.scrollTop = page.scrollHeight;
    };
    const addChar = (char) => {
        text += char;
        if (isWaiting) return;
        isWaiting = true;
        requestAnimationFrame(draw);
    };

    const end = (message) => {
        draw();
        output.classList.remove("writing");
        note.textContent = message;
        enable();
    };

    add.addEventListener("click", () => take(text));
    copy.addEventListener("click", async () => tell(await CharPage.copy(text, output)));
    enable();
    return { node, begin, addChar, end, text: () => text };
};

// Copy a text, or where the browser does not allow it, select it. Returns what to tell the reader.
CharPage.copy = async function (text, node) {
    try {
        await navigator.clipboard.writeText(text);
        return "Copied.";
    } catch {
        const range = document.createRange();
        range.selectNodeContents(node);
        const selection = getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        if (document.execCommand("copy")) return "Copied.";
        return "The browser does not allow copying. The text is selected: press Ctrl-C.";
    }
};
