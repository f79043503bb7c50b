"use strict";
// Starts the page of `charrnn serve`, and tells when the server is lost and found.

{
    const { el } = CharPage;
    const root = document.getElementById("charrnn");
    const notice = el("p", { class: "message", role: "status", hidden: true });
    document.body.prepend(notice);
    const server = new CharPage.RemoteServer();

    const tell = (message) => {
        notice.textContent = message;
        notice.hidden = !message;
    };

    server.onLost = () => tell("The server does not answer. Start charrnn serve again: this page waits for it.");
    server.onFound = (isSame) => {
        if (isSame) tell("The server answers again.");
        else tell("The server has other models now. Reload this page to see them.");
        if (isSame) setTimeout(() => tell(""), 4000);
    };

    server.onRefused = (error) => tell(`The server was started anew: ${error.message}.`);

    server.backends()
        .then((backends) => CharPage.start(root, backends))
        .catch((error) => tell(`The models cannot be loaded: ${error.message}`));
}
