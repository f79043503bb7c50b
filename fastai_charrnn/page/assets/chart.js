"use strict";
// The chart of losses: training, validation and n-grams over epochs, as SVG.

// An element of SVG.
CharPage.svg = function (tag, attributes = {}, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
};

// Round numbers from low to high, about `count` of them.
CharPage.ticks = function (low, high, count) {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
        ticks.push(Number((k * step).toPrecision(12)));
    }
    return ticks;
};

// What the axes have to hold. The first losses are far above the others, so the chart may cut them.
CharPage.chartRange = function (curve, epochs, ngrams, lastEpoch) {
    const skipped = Math.floor(curve.length / 20);
    const ys = [...curve.slice(skipped), ...epochs].map(([, y]) => y).concat(ngrams ? [ngrams] : []);
    const low = Math.min(...ys);
    const high = Math.max(...ys);
    const margin = Math.max((high - low) * 0.08, 0.02);
    const xs = [...curve, ...epochs].map(([x]) => x);
    return { low: Math.max(low - margin, 0), high: high + margin, right: Math.max(lastEpoch || 0, ...xs, 1e-3) };
};

// The chart. `show` draws it anew, `readout` gets the losses at the pointer.
CharPage.lossChart = function (readout) {
    const { svg } = CharPage;
    const node = svg("svg", { class: "chart", role: "img", "aria-label": "Losses over epochs" });
    const clip = svg("clipPath", { id: "plot-area" }, svg("rect"));
    const plot = svg("g");
    node.append(clip, plot);
    let shown = null;

    // The scales for the width that there is.
    const scales = (range) => {
        const { width, height } = node.getBoundingClientRect();
        const box = { left: 42, right: Math.max(width - 14, 60), top: 8, bottom: Math.max(height - 40, 60) };
        const x = (value) => box.left + (value / range.right) * (box.right - box.left);
        const y = (value) => box.bottom - ((value - range.low) / (range.high - range.low)) * (box.bottom - box.top);
        return { box, x, y, epochAt: (px) => ((px - box.left) / (box.right - box.left)) * range.right };
    };

    const axes = ({ box, x, y }, range) => {
        const rows = CharPage.ticks(range.low, range.high, 5).flatMap((value) => [
            svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
            svg("text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, String(value)),
        ]);
        const columns = CharPage.ticks(0, range.right, box.right > 500 ? 8 : 4).map((value) =>
            svg("text", { x: x(value), y: box.bottom + 18, "text-anchor": "middle" }, String(value)));
        const middle = (box.left + box.right) / 2;
        const title = svg("text", { x: middle, y: box.bottom + 36, "text-anchor": "middle" }, "epochs");
        return [...rows, ...columns, title];
    };

    const line = (points, { x, y }, name) => svg("polyline", {
        class: name,
        "clip-path": "url(#plot-area)",
        points: points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" "),
    });

    const draw = () => {
        if (!shown) return;
        const { curve, epochs, ngrams } = shown;
        const range = CharPage.chartRange(curve, epochs, ngrams, shown.lastEpoch);
        const scale = scales(range);
        const { box, x, y } = scale;
        const area = { x: box.left, y: 0, width: box.right - box.left, height: box.bottom };
        for (const [name, value] of Object.entries(area)) clip.firstChild.setAttribute(name, value);
        const dots = epochs.map(([a, b]) => svg("circle", { class: "dot", cx: x(a), cy: y(b), r: 4 }));
        const ngramLine = [];
        if (ngrams) {
            const ends = { x1: box.left, x2: box.right, y1: y(ngrams), y2: y(ngrams) };
            ngramLine.push(svg("line", { class: "ngrams", ...ends }));
        }
        const lines = [line(curve, scale, "train"), line(epochs, scale, "valid")];
        plot.replaceChildren(...axes(scale, range), ...ngramLine, ...lines, ...dots);
        shown.scale = scale;
    };

    // The point of a list that is nearest to an epoch.
    const nearest = (points, epoch) => points.reduce((best, point) =>
        (!best || Math.abs(point[0] - epoch) < Math.abs(best[0] - epoch) ? point : best), null);

    node.addEventListener("pointermove", (event) => {
        if (!shown || !shown.scale) return;
        const epoch = shown.scale.epochAt(event.clientX - node.getBoundingClientRect().left);
        readout(nearest(shown.curve, epoch), nearest(shown.epochs, epoch));
    });
    node.addEventListener("pointerleave", () => readout(null, null));
    new ResizeObserver(draw).observe(node);

    const show = (data) => {
        shown = data;
        draw();
    };
    const describe = (text) => node.setAttribute("aria-label", text);
    return { node, show, describe };
};
