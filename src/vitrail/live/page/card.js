// One model: its image, what is drawn over it, and what the model answers.

import { Stage } from "./canvas.js";
import { drawLegend, valuesOf } from "./scales.js";
import { Newest, post } from "./server.js";
import { count, element, percent, points, shortened } from "./text.js";
import { missing } from "./views.js";

const AT_ONCE = 14; // patches removed one by one in a request

export class Card {
  /**
   * @param number of the model.
   * @param facts of it, as the server gives them.
   * @param app what all cards share: image, view, patch(), hidden(number), failed(error), hooks(number).
   */
  constructor(number, facts, app) {
    Object.assign(this, { number, facts, app, layer: null, head: "mean", from: "answer", method: null, label: null, shown: "pasted" });
    this.reply = null;
    this.removed = null;
    this.newest = new Newest((wanted, isNewest) => this.work(wanted, isNewest));
    this.build();
  }

  build() {
    const { facts, number } = this;
    const size = `${facts.input[1]}×${facts.input[0]}`;
    const heading = `model-${number}`;
    this.canvas = element("canvas", { tabIndex: 0, role: "application", "aria-roledescription": "image to paint on" });
    this.frame = element("div", { className: "stage" }, this.canvas);
    this.note = element("p", { className: "note", role: "status" });
    this.controls = element("div", { className: "controls" });
    this.legend = element("div", { className: "legend", hidden: true, role: "img" });
    this.classes = element("ol", { className: "classes" });
    this.timing = element("p", { className: "quiet" });
    const kind = element("p", { className: "quiet", textContent: `${facts.kind} · ${count(facts.parameters)} parameters · ${size} pixels · normalization ${facts.normalization}` });
    const title = element("h2", { id: heading, textContent: shortened(facts.name, 48), title: facts.name });
    this.seen = this.seenParts();
    this.prediction = element("section", { "aria-label": "Prediction" }, ...this.predictionParts());
    const below = element("div", { className: "below" }, this.frame, this.legend);
    const beside = element("div", { className: "beside" }, this.controls, this.note, this.seen, this.prediction, this.timing, this.about());
    this.root = element("article", { className: "card", "aria-labelledby": heading }, element("header", {}, title, kind), below, beside);
    this.stage = new Stage(this.canvas, facts, this.app.hooks(number));
  }

  predictionParts() {
    if (!this.facts.classes.length) return [element("p", { className: "quiet", textContent: this.facts.views.explanation.missing })];
    const key = element("p", { className: "key" });
    key.append(element("span", {}, element("i"), "probability now"), element("span", {}, element("b"), "of the whole image"));
    return [element("h3", { textContent: `Prediction, of ${count(this.facts.classes.length)} classes` }), this.classes, key];
  }

  /** Beside a reconstruction: what the model sees, and what was there. */
  seenParts() {
    const [height, width] = this.facts.input;
    this.small = element("canvas", { role: "img", "aria-label": "what the model sees of the image" });
    this.original = element("img", { alt: "the whole image" });
    for (const one of [this.small, this.original]) one.style.aspectRatio = `${width} / ${height}`;
    const figures = [[this.small, "what it sees"], [this.original, "the whole image"]];
    return element("div", { className: "seen", hidden: true }, ...figures.map(([shown, text]) => element("figure", {}, shown, element("figcaption", { textContent: text }))));
  }

  about() {
    const { facts } = this;
    const lines = [facts.prepared, ...facts.notes, facts.removal, ...missing(facts)];
    const list = element("ul", {}, ...[...new Set(lines)].map((line) => element("li", { textContent: line })));
    return element("details", {}, element("summary", { textContent: "How this model sees, and what is not offered" }), list);
  }

  /** Show another image. */
  use(image) {
    this.reply = null;
    this.label = null;
    this.forget();
    this.stage.use(image);
    this.original.src = image.src;
    this.describe();
  }

  describe() {
    const hidden = this.app.hidden(this.number).length;
    const [rows, columns] = this.facts.grid;
    const text = `${this.app.image.name}, ${hidden} of ${rows * columns} patches painted away. Arrow keys move, Space paints or restores a patch.`;
    this.canvas.setAttribute("aria-label", text);
  }

  /** Draw everything again, in the colours of another theme, say. */
  redraw() {
    this.stage.draw();
    if (!this.seen.hidden) this.stage.drawSeen(this.small);
  }

  forget() {
    this.removed = null;
    this.run = null;
  }

  /** Ask for what is to be seen now. */
  refresh() {
    const { app, facts } = this;
    if (!app.image) return;
    const view = app.view;
    const hidden = app.hidden(this.number);
    this.stage.show({ hidden });
    this.describe();
    const asked = { image: app.image.key, model: this.number, hidden, view };
    const has = !facts.views[view].missing;
    if (!has) asked.view = "image";
    if (has && view === "attention") asked.layer = this.layer ?? facts.views.attention.heads.length - 1;
    if (has && this.points()) asked.patch = app.patch(this.number);
    if (has && view === "explanation") {
      asked.label = this.label;
      asked.method = this.chosenMethod();
      if (asked.method === "leave-one-out") Object.assign(asked, { view: "image", method: undefined });
    }
    if (has && view === "reconstruction") asked.shown = this.shown;
    if (asked.patch === null) asked.view = "image";
    this.frame.classList.add("waits");
    this.newest.ask({ asked, view });
  }

  /** Whether what is drawn follows the patch that is pointed at. */
  points() {
    return this.app.view === "similarity" || (this.app.view === "attention" && this.from === "patch");
  }

  chosenMethod() {
    return this.method || this.facts.views.explanation.methods?.[0].name;
  }

  async work({ asked, view }, isNewest) {
    const isWanted = () => asked.image === this.app.image.key && view === this.app.view;
    try {
      const reply = await this.app.retried(() => post("api/answer", asked));
      const drawing = reply.drawing ? await loaded(reply.drawing) : null;
      if (reply.stale || !isWanted()) return; // the answer to what is wanted now comes after it
      this.reply = reply;
      this.values = reply.map ? valuesOf(reply.map) : null;
      this.render(drawing);
      if (isNewest()) this.frame.classList.remove("waits");
    } catch (error) {
      this.frame.classList.remove("waits");
      this.app.failed(error);
    }
  }

  render(drawing = this.stage.drawing) {
    const { reply, app, facts } = this;
    const view = app.view;
    const map = view === "explanation" && this.chosenMethod() === "leave-one-out" ? this.removalMap() : this.chosenMap();
    this.stage.show({ map: map && map.drawn, values: map && map.values, drawing });
    drawLegend(this.legend, map && map.drawn);
    this.legend.setAttribute("aria-label", map ? `Colour scale: ${map.drawn.unit}` : "");
    const isSaid = view === "explanation" && !facts.classes.length; // in the place of the prediction
    const why = isSaid ? "" : facts.views[view].missing || reply.note || this.remark();
    if (this.note.textContent !== why) this.note.textContent = why;
    this.seen.hidden = !reply.drawing || view !== "reconstruction";
    this.redraw();
    this.drawClasses(reply.prediction);
    const time = Math.round(reply.milliseconds);
    this.timing.textContent = time ? `computed in ${time} ms` : "computed before";
    this.app.answered(this);
  }

  remark() {
    const { app, reply } = this;
    if (this.points() && app.patch(this.number) === null) return "Point at a patch, or go to it with the arrow keys.";
    if (app.view === "reconstruction" && reply.difference !== undefined) {
      return `${this.facts.views.reconstruction.label} Hidden pixels differ from the original by ${reply.difference.toFixed(0)} of 255 on average.`;
    }
    return "";
  }

  /** The map of the answer, of one head or their mean. */
  chosenMap() {
    const { map } = this.reply;
    if (!map) return null;
    if (map.shape.length === 2) return { drawn: map, values: this.values };
    const [heads, rows, columns] = map.shape;
    const places = rows * columns;
    const shape = [rows, columns];
    if (this.head !== "mean" && this.head < heads) {
      return { drawn: { ...map, shape }, values: this.values.subarray(this.head * places, (this.head + 1) * places) };
    }
    const mean = new Float32Array(places);
    this.values.forEach((value, n) => (mean[n % places] += value / heads));
    return { drawn: { ...map, shape }, values: mean };
  }

  drawClasses(prediction) {
    if (!prediction) {
      if (this.facts.classes.length) this.classes.replaceChildren(element("li", { className: "quiet", textContent: "no prediction" }));
      return;
    }
    const focused = this.classes.contains(document.activeElement) ? document.activeElement.dataset.label : null;
    this.classes.replaceChildren(...prediction.classes.map((one) => this.classRow(one)));
    if (focused !== null) this.classes.querySelector(`[data-label="${focused}"]`)?.focus();
  }

  classRow(one) {
    const change = points(one.now - one.before);
    const known = this.facts.classes[one.label];
    const name = element("span", { className: "name", textContent: shortened(known, 34), title: known });
    const direction = change && (change.startsWith("▲") ? "up" : "down");
    const figures = element("span", { className: "figures" }, percent(one.now), element("span", { className: `change ${direction}`, textContent: change || (this.app.mask.painted ? "no change" : "") }));
    const bar = element("span", { className: "bar" }, element("i"), element("b"));
    bar.firstChild.style.width = `${100 * one.now}%`;
    bar.lastChild.style.left = `${100 * one.before}%`;
    const explained = this.app.view === "explanation" && one.label === this.explainedLabel();
    const label = `${known}: ${percent(one.now)}, of the whole image ${percent(one.before)}. Explain this class`;
    const row = element("button", { type: "button", "aria-label": label, "aria-pressed": String(explained) }, name, figures, bar);
    row.dataset.label = one.label;
    row.disabled = false;
    row.addEventListener("click", () => this.explain(one.label));
    return element("li", {}, row);
  }

  explainedLabel() {
    return this.label ?? this.reply?.prediction?.classes[0].label ?? null;
  }

  explain(label) {
    this.label = label;
    this.forget();
    if (this.app.view === "explanation") {
      this.drawControls();
      this.refresh();
    } else this.app.look("explanation");
  }

  // --- the choices of a view ---

  drawControls() {
    const view = this.facts.views[this.app.view];
    const parts = view.missing ? [] : ({ attention: () => this.attentionParts(view), explanation: () => this.explanationParts(view), reconstruction: () => this.reconstructionParts() })[this.app.view]?.() ?? [];
    this.controls.replaceChildren(...parts);
  }

  attentionParts(view) {
    const last = view.heads.length - 1;
    this.layer ??= last;
    const shown = element("output", { textContent: this.layer });
    const layer = element("input", { type: "range", min: 0, max: last, step: 1, value: this.layer, id: `layer-${this.number}` });
    const head = element("select", { id: `head-${this.number}` });
    const heads = () => {
      const known = view.heads[this.layer];
      if (this.head !== "mean" && this.head >= known) this.head = "mean";
      const options = [["mean", `mean of ${known} heads`], ...Array.from({ length: known }, (_, n) => [n, `head ${n}`])];
      head.replaceChildren(...options.map(([value, text]) => element("option", { value, textContent: text })));
      head.value = this.head;
    };
    heads();
    layer.addEventListener("input", () => {
      this.layer = Number(layer.value);
      shown.textContent = this.layer;
      heads();
      this.refresh();
    });
    head.addEventListener("change", () => {
      this.head = head.value === "mean" ? "mean" : Number(head.value);
      if (this.reply) this.render();
    });
    const from = element("select", { id: `from-${this.number}` });
    for (const [value, text] of [["answer", view.whose], ["patch", "the patch you point at"]]) from.append(element("option", { value, textContent: text }));
    from.value = this.from;
    from.addEventListener("change", () => {
      this.from = from.value;
      this.refresh();
    });
    return [pair("Layer", layer, shown), pair("Head", head), pair("Seen from", from)];
  }

  explanationParts(view) {
    const method = element("select", { id: `method-${this.number}` });
    method.append(...view.methods.map((one) => element("option", { value: one.name, textContent: one.title, title: one.source })));
    method.value = this.chosenMethod();
    method.addEventListener("change", () => {
      this.method = method.value;
      this.drawControls();
      this.refresh();
    });
    const list = element("datalist", { id: `classes-${this.number}` }, ...this.facts.classes.map((name) => element("option", { value: name })));
    const named = element("input", { type: "text", id: `class-${this.number}`, placeholder: "the predicted one", autocomplete: "off" });
    named.setAttribute("list", list.id);
    named.value = this.label === null ? "" : this.facts.classes[this.label];
    named.addEventListener("change", () => this.choose(named));
    const parts = [pair("Class", named), pair("By", method), list];
    return this.chosenMethod() === "leave-one-out" ? [...parts, ...this.removalParts()] : parts;
  }

  choose(named) {
    const text = named.value.trim().toLowerCase();
    const found = this.facts.classes.findIndex((name) => name.toLowerCase() === text);
    if (text && found < 0) {
      this.note.textContent = `There is no class “${shortened(named.value, 40)}”; choose one of the list.`;
      return;
    }
    this.label = text ? found : null;
    this.forget();
    this.refresh();
  }

  reconstructionParts() {
    const shown = element("select", { id: `shown-${this.number}` });
    for (const [value, text] of [["pasted", "hidden patches filled in"], ["predicted", "every patch as predicted"]]) shown.append(element("option", { value, textContent: text }));
    shown.value = this.shown;
    shown.addEventListener("change", () => {
      this.shown = shown.value;
      this.refresh();
    });
    return [pair("Show", shown)];
  }

  // --- leave-one-out, on demand ---

  removalParts() {
    this.start = element("button", { type: "button", textContent: "Remove each patch alone", className: "strong" });
    this.progress = element("progress", { max: 1, value: 0, hidden: true, "aria-label": "Patches removed" });
    this.start.addEventListener("click", () => (this.run ? this.stop() : this.remove()));
    return [this.start, this.progress];
  }

  stop() {
    this.forget();
    this.drawControls();
    if (this.reply) this.render();
  }

  async remove() {
    const { app } = this;
    const hidden = app.hidden(this.number);
    const label = this.explainedLabel();
    if (label === null) return;
    const run = {};
    this.run = run;
    const gone = new Set(hidden);
    const [rows, columns] = this.facts.grid;
    const left = Array.from({ length: rows * columns }, (_, n) => n).filter((n) => !gone.has(n));
    const removed = { label, values: new Float32Array(rows * columns).fill(Number.NaN) };
    this.removed = removed;
    this.start.textContent = "Stop";
    this.progress.hidden = false;
    try {
      for (let n = 0; n < left.length && this.run === run; n += AT_ONCE) {
        const cells = left.slice(n, n + AT_ONCE);
        const asked = { image: app.image.key, model: this.number, hidden, label, cells };
        const reply = await app.retried(() => post("api/removal", asked));
        if (this.run !== run || reply.stale) break;
        cells.forEach((cell, place) => (removed.values[cell] = reply.falls[place]));
        this.progress.value = (n + cells.length) / left.length;
        this.render();
      }
    } catch (error) {
      app.failed(error);
    }
    if (this.run !== run) return;
    this.run = null;
    this.start.textContent = "Remove each patch alone";
    this.progress.hidden = true;
  }

  removalMap() {
    if (!this.removed) return null;
    const known = this.removed.values.filter((value) => !Number.isNaN(value));
    const largest = known.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const name = shortened(this.facts.classes[this.removed.label], 24);
    const unit = `fall of the log probability of ${name} without the patch; red speaks for it`;
    return { drawn: { shape: this.facts.grid, scale: "signed", unit, largest, even: 1 }, values: this.removed.values };
  }
}

function pair(text, control, after = "") {
  return element("span", { className: "pair" }, element("label", { htmlFor: control.id, textContent: text }), control, after);
}

/** Load an image from an address. */
export function loaded(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("an image could not be drawn; reload the page"));
    image.src = address;
  });
}
