// The page: one image, one mask, one view, and a card for each model.

import { Card, loaded } from "./card.js";
import { Mask, carried, projected } from "./mask.js";
import { useScales } from "./scales.js";
import { Newest, get, post, send } from "./server.js";
import { count, element, percent, shortened, speak } from "./text.js";
import { VIEWS, offered } from "./views.js";

const SIZES = [1, 2, 3, 5];
const SPEAK_AFTER = 700; // milliseconds without a change, after which the answer is read out
const at = (id) => document.getElementById(id);

class App {
  constructor(session) {
    this.session = session;
    this.models = session.models;
    this.image = null;
    this.source = null; // opens the image again
    this.place = null; // pointed at, in the first model's input
    this.size = 1;
    this.view = offered(this.models).includes("reconstruction") ? "reconstruction" : "image";
    this.mask = new Mask(...this.models[0].grid);
    this.mask.addEventListener("change", () => this.repainted());
    this.mask.addEventListener("history", () => this.drawTools());
    this.autoencoder = this.models.findIndex((model) => !model.views.reconstruction.missing);
    this.masks = new Newest((asked) => this.drawMask(asked));
    useScales(session.scales);
    this.cards = this.models.map((facts, number) => new Card(number, facts, this));
    this.build();
  }

  build() {
    at("version").textContent = `vitrail ${this.session.version}.`;
    at("cards").classList.add(this.cards.length > 1 ? "two" : "one");
    document.title = `${this.models.map((model) => shortened(model.name, 30)).join(" and ")} – vitrail live`;
    this.buildSamples();
    this.buildTools();
    this.buildViews();
    if (!this.session.samples.length) at("cards").append(element("p", { className: "empty", textContent: `Open an image to show it to ${this.models.map((model) => shortened(model.name, 40)).join(" and ")}, drag one onto the page, or paste it.` }));
  }

  // --- images ---

  buildSamples() {
    this.session.samples.forEach((sample, number) => {
      const text = sample.label ? `${sample.name}, labelled ${sample.label}` : sample.name;
      const small = element("img", { src: `api/samples/${number}/small.png`, alt: "", loading: "lazy" });
      const button = element("button", { type: "button", title: text, "aria-label": text, "aria-pressed": "false" }, small);
      button.addEventListener("click", () => this.open(() => post(`api/samples/${number}`), number));
      at("samples").append(button);
    });
    at("choose").addEventListener("click", () => at("file").click());
    at("file").addEventListener("change", () => {
      this.openFile(at("file").files[0]);
      at("file").value = "";
    });
    window.addEventListener("paste", (event) => this.openFile(event.clipboardData?.files[0]));
    window.addEventListener("dragover", (event) => {
      event.preventDefault();
      at("drop").hidden = false;
    });
    window.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) at("drop").hidden = true;
    });
    window.addEventListener("drop", (event) => {
      event.preventDefault();
      at("drop").hidden = true;
      this.openFile(event.dataTransfer.files[0]);
    });
  }

  openFile(file) {
    if (!file) return undefined;
    const most = this.session.most_bytes;
    if (file.size > most) {
      return this.failed(new Error(`${shortened(file.name)} has ${count(Math.ceil(file.size / 1e6))} MB; up to ${most / 1e6} MB are taken`));
    }
    return this.open(() => send(file), null);
  }

  async open(source, number) {
    this.opening = source;
    at("opened").textContent = "opening …";
    try {
      const opened = await source();
      if (this.opening !== source) return;
      const inputs = await Promise.all(this.models.map((_, n) => loaded(`api/images/${opened.image}/${n}.png`)));
      if (this.opening !== source) return;
      this.source = source;
      this.image = { key: opened.image, name: opened.name, boxes: opened.boxes };
      this.started(opened, inputs, number);
    } catch (error) {
      at("opened").textContent = this.image ? shortened(this.image.name, 60) : "";
      this.failed(error);
    }
  }

  started(opened, inputs, number) {
    this.solved();
    if (!at("cards").contains(this.cards[0].root)) at("cards").replaceChildren(...this.cards.map((card) => card.root));
    for (const id of ["tools", "views", "view-says"]) at(id).hidden = false;
    const label = number === null ? "" : this.session.samples[number].label;
    at("opened").textContent = `${shortened(opened.name, 60)} · ${opened.size[0]}×${opened.size[1]} pixels${label ? ` · labelled ${label}` : ""}`;
    at("opened").title = opened.name;
    [...at("samples").children].forEach((button, n) => button.setAttribute("aria-pressed", String(n === number)));
    this.mask.before = [];
    this.mask.after = [];
    this.mask.hidden.fill(0);
    this.place = null;
    this.cards.forEach((card, n) => card.use(inputs[n]));
    this.look(this.view);
    this.repainted();
    if (this.autoencoder >= 0 && this.view === "reconstruction") this.askMask();
  }

  /** Ask, and where the image is no longer held, open it again first. */
  async retried(ask) {
    try {
      return await ask();
    } catch (error) {
      if (error.status !== 410 || !this.source) throw error;
      await this.source();
      return ask();
    }
  }

  // --- painting ---

  buildTools() {
    for (const size of SIZES) {
      const button = element("button", { type: "button", textContent: `${size}×${size}`, "aria-pressed": String(size === this.size), "aria-label": `${size} by ${size} patches` });
      button.addEventListener("click", () => {
        this.size = size;
        for (const other of at("sizes").children) other.setAttribute("aria-pressed", String(other === button));
      });
      at("sizes").append(button);
    }
    for (const name of ["undo", "redo", "clear", "invert"]) at(name).addEventListener("click", () => this.mask[name]());
    if (this.autoencoder < 0) return;
    const { ratio, masking, maskings } = this.models[this.autoencoder].views.reconstruction;
    at("masks").hidden = false;
    at("ratio").value = Math.round(100 * ratio);
    at("masking").append(...maskings.map((name) => element("option", { value: name, textContent: name })));
    at("masking").value = masking;
    this.sayRatio();
    at("ratio").addEventListener("input", () => {
      this.sayRatio();
      this.askMask();
    });
    for (const id of ["seed", "masking"]) at(id).addEventListener("change", () => this.askMask());
  }

  sayRatio() {
    at("ratio-shown").textContent = `${at("ratio").value} %`;
  }

  askMask() {
    const grid = at("masking").value === "grid";
    at("ratio").disabled = grid;
    at("seed").disabled = grid;
    if (grid) at("ratio").value = 75;
    this.sayRatio();
    this.masks.ask({ model: this.autoencoder, ratio: Number(at("ratio").value) / 100, seed: Number(at("seed").value), masking: at("masking").value });
  }

  async drawMask(asked) {
    try {
      const { hidden } = await post("api/mask", asked);
      const gone = new Set(hidden);
      const own = this.models[this.autoencoder].grid;
      // From the autoencoder's grid to that of the first model, in which is painted.
      const mask = Object.assign(new Mask(...own), { hidden: Uint8Array.from({ length: own[0] * own[1] }, (_, n) => (gone.has(n) ? 1 : 0)) });
      const cells = this.autoencoder ? projected(mask, this.models[0].grid, this.image.boxes[this.autoencoder], this.image.boxes[0]) : hidden;
      const chosen = new Set(cells);
      this.mask.become(Array.from(this.mask.hidden, (_, n) => (chosen.has(n) ? 1 : 0)));
      this.solved();
    } catch (error) {
      this.failed(error);
    }
  }

  /** What happens on the canvas of a model: places in its input become places in the first model's. */
  hooks(number) {
    const first = (x, y) => carried(x, y, this.image.boxes[number], this.image.boxes[0]);
    return {
      started: (x, y) => {
        const place = first(x, y);
        const cell = this.mask.cell(...place);
        this.value = cell >= 0 && this.mask.hidden[cell] ? 0 : 1;
        this.mask.begin();
        this.mask.set(this.mask.brush(...place, this.size), this.value);
      },
      painted: (x, y) => this.mask.set(this.mask.brush(...first(x, y), this.size), this.value),
      ended: () => this.mask.end(),
      pointed: (x, y) => this.pointed(number, ...first(x, y)),
      left: () => this.others(number).forEach((card) => card.stage.mark(null)),
      moved: (row, column, isHidden) => speak(`row ${row + 1}, column ${column + 1}${isHidden ? ", painted away" : ""}`),
      pressed: (event) => this.pressed(event),
    };
  }

  pressed(event) {
    const key = event.key.toLowerCase();
    const control = event.ctrlKey || event.metaKey;
    if (control && key !== "z" && key !== "y") return false;
    const names = control ? { z: event.shiftKey ? "redo" : "undo", y: "redo" } : { u: "undo", z: "undo", r: "redo", c: "clear", i: "invert" };
    if (!names[key] || event.altKey) return false;
    this.mask[names[key]]();
    return true;
  }

  others(number) {
    return this.cards.filter((card) => card.number !== number);
  }

  pointed(number, x, y) {
    this.place = [x, y];
    for (const card of this.others(number)) card.stage.mark(this.patch(card.number));
    for (const card of this.cards) if (card.points()) card.refresh();
  }

  /** The cell of a model that is pointed at; null where none is. */
  patch(number) {
    if (!this.place) return null;
    const { grid, input, cell } = this.models[number];
    const [x, y] = carried(...this.place, this.image.boxes[0], this.image.boxes[number]);
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return null;
    return Math.min(grid[0] - 1, Math.floor((y * input[0]) / cell)) * grid[1] + Math.min(grid[1] - 1, Math.floor((x * input[1]) / cell));
  }

  /** The cells of a model that are painted away. */
  hidden(number) {
    return number ? projected(this.mask, this.models[number].grid, this.image.boxes[0], this.image.boxes[number]) : [...this.mask.hidden.keys()].filter((cell) => this.mask.hidden[cell]);
  }

  drawTools() {
    const { mask } = this;
    at("undo").disabled = !mask.before.length;
    at("redo").disabled = !mask.after.length;
    at("clear").disabled = !mask.painted;
    at("painted").textContent = `${mask.painted} of ${mask.hidden.length} patches painted away (${percent(mask.painted / mask.hidden.length)})`;
  }

  repainted() {
    this.drawTools();
    for (const card of this.cards) {
      card.forget();
      if (this.view === "explanation") card.drawControls();
      card.refresh();
    }
  }

  // --- what is drawn over the image ---

  buildViews() {
    for (const name of offered(this.models)) {
      const button = element("button", { type: "button", role: "radio", textContent: VIEWS[name].title });
      button.dataset.view = name;
      button.addEventListener("click", () => this.look(name));
      at("views").append(button);
      at("views-help").append(element("p", { className: "quiet" }, element("strong", { textContent: `${VIEWS[name].title}. ` }), VIEWS[name].says));
    }
    at("views").addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const names = offered(this.models);
      this.look(names[(names.indexOf(this.view) + step + names.length) % names.length]);
      at("views").querySelector("[aria-checked=true]").focus();
    });
  }

  look(name) {
    this.view = name;
    for (const button of at("views").children) {
      const chosen = button.dataset.view === name;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    at("view-says").textContent = VIEWS[name].says;
    for (const card of this.cards) {
      card.drawControls();
      card.refresh();
    }
  }

  // --- what is said ---

  /** An answer has come: once nothing changes any more, read the best class out. */
  answered(card) {
    this.solved();
    window.clearTimeout(this.timer);
    const best = card.reply.prediction?.classes[0];
    if (best) this.timer = window.setTimeout(() => speak(`${card.facts.classes[best.label]}, ${percent(best.now)}`), SPEAK_AFTER);
  }

  failed(error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
    if (!error.status && !(error.name === "Refused")) console.error(error);
  }

  solved() {
    at("problem").hidden = true;
  }
}

function chooseTheme() {
  const themes = ["system", "light", "dark"];
  let chosen = localStorage.getItem("vitrail-theme");
  const use = (theme) => {
    chosen = themes.includes(theme) ? theme : "system";
    document.documentElement.dataset.theme = chosen;
    at("theme").textContent = `Theme: ${chosen}`;
    localStorage.setItem("vitrail-theme", chosen);
    window.dispatchEvent(new Event("theme"));
  };
  use(chosen);
  at("theme").addEventListener("click", () => use(themes[(themes.indexOf(chosen) + 1) % themes.length]));
}

function chooseHelp() {
  at("help-button").addEventListener("click", () => {
    at("help").hidden = !at("help").hidden;
    at("help-button").setAttribute("aria-expanded", String(!at("help").hidden));
  });
}

chooseTheme();
chooseHelp();
try {
  const app = new App(await get("api/session"));
  const redraw = () => app.cards.forEach((card) => card.redraw());
  window.addEventListener("theme", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  if (app.session.samples.length) await app.open(() => post("api/samples/0"), 0);
} catch (error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
}
