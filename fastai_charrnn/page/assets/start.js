"use strict";
// Starts the page with the model that it holds.

{
    const text = (id) => document.getElementById(id).textContent;
    const source = `${text("charrnn-engine")}\n${text("charrnn-worker")}`;
    const backend = CharPage.localBackend(source, text("charrnn-data"));
    CharPage.start(document.getElementById("charrnn"), [backend]);
}
