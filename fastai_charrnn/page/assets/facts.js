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

CharPage.factsPanel = function (about, suffix) {
    const { el } = CharPage;
    const rows = CharPage.factRows(about).map(([name, text]) =>
        el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: text })));
    return { node: el("section", { class: "panel facts", "aria-label": `The model${suffix}` },
        el("h2", { textContent: "The model" }), el("dl", {}, ...rows)) };
};
