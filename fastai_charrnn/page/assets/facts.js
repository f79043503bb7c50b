"use strict";
// What is known of a model, and what this page is.

CharPage.READS = {
    windows: (n) => `the last ${CharPage.count(n, "character")}`,
    chunks: (n) => `the last ${CharPage.count(n, "character")}`,
    streams: () => "all characters before, by its state",
};

// Rows of names and texts. A fact that is not known has no row.
CharPage.factRows = function (about) {
    const { facts } = about;
    const loss = (nats) => Number.isFinite(nats)
        ? `${nats.toFixed(4)} nats, ${CharPage.bits(nats).toFixed(4)} bits per character` : null;
    const rows = [
        ["Architecture", facts.arch],
        ["Weights", Number.isFinite(facts.n_weights) ? facts.n_weights.toLocaleString("en") : null],
        ["Networks", about.members > 1 ? `${about.members}, whose probabilities are averaged` : null],
        ["Predicts from", CharPage.READS[about.mode] ? CharPage.READS[about.mode](about.seqLen) : null],
        ["Vocabulary", CharPage.count(about.vocab.length - 1, "character")],
        ["Trained on", facts.trained_on],
        ["Epochs", Number.isFinite(facts.epochs) && facts.epochs > 0 ? String(facts.epochs) : null],
        ["Validated on", facts.split],
        [facts.is_held_out === false ? "Validation loss" : "Held-out loss", loss(facts.valid_loss)],
        ["Loss of n-grams there", loss(facts.ngram_loss)],
    ];
    return rows.filter(([, text]) => text);
};

// How to read the page: what each panel shows, and by which formula.
CharPage.GUIDE = [
    ["Next character", "The probability of each character after the end of the text, at the chosen temperature. " +
        "Outlined bars are left out by top-p when the model writes. Press a bar to add its character."],
    ["Surprise", "−log₂ of the probability that the model gave to a character, in bits. The mean over a text is its " +
        "bits per character; lower is better. Temperature does not change it."],
    ["What a prediction depends on", "The higher the line under an earlier character, the more the log-probability " +
        "of the likeliest character changes with it (norm of the gradient by its embedding)."],
    ["Hidden units", "The numbers that the model keeps while it reads. A unit tracks something if its value is " +
        "correlated with it, on text that the unit was not chosen by."],
];

CharPage.factsPanel = function (about, suffix) {
    const { el } = CharPage;
    const row = ([name, text]) => el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: text }));
    const guide = el("details", {}, el("summary", { textContent: "How to read this page" }),
        el("dl", {}, ...CharPage.GUIDE.map(row)));
    const node = el("section", { class: "panel facts", "aria-label": `The model${suffix}` },
        el("h2", { textContent: "The model" }), el("dl", {}, ...CharPage.factRows(about).map(row)), guide);
    return { node };
};
