// One image with a map over it, on which patches are painted by mouse, finger or keyboard.

import { coloured } from "./scales.js";

const SHARP_UP_TO = 96; // pixels of a side up to which an image is enlarged without smoothing

export class Stage {
  /**
   * @param canvas where it is drawn.
   * @param facts of the model: input, grid, takes_out.
   * @param hooks started(x, y), painted(x, y), ended(), pointed(x, y): places in [0, 1] of the input;
   *   left(), the pointer has gone; moved(row, column, isHidden) by the keyboard; pressed(event), whether another key means something.
   */
  constructor(canvas, facts, hooks) {
    this.canvas = canvas;
    this.facts = facts;
    this.hooks = hooks;
    this.image = null;
    this.grey = null;
    this.hidden = new Set();
    this.overlay = null;
    this.drawing = null;
    this.cursor = null; // row and column
    this.mean = "#888888";
    this.painting = false;
    const [height, width] = facts.input;
    canvas.style.aspectRatio = `${width} / ${height}`;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.up());
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.leave());
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  use(image) {
    this.image = image;
    this.grey = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const pen = this.grey.getContext("2d");
    pen.drawImage(image, 0, 0);
    const pixels = pen.getImageData(0, 0, this.grey.width, this.grey.height);
    const sums = [0, 0, 0];
    for (let n = 0; n < pixels.data.length; n += 4) {
      const [red, green, blue] = pixels.data.subarray(n, n + 3);
      sums[0] += red;
      sums[1] += green;
      sums[2] += blue;
      pixels.data.fill(0.299 * red + 0.587 * green + 0.114 * blue, n, n + 3);
    }
    pen.putImageData(pixels, 0, 0);
    this.mean = `rgb(${sums.map((sum) => Math.round((4 * sum) / pixels.data.length)).join(" ")})`;
    this.overlay = null;
    this.drawing = null;
    this.draw();
  }

  show({ hidden, map, values, drawing }) {
    if (hidden) this.hidden = new Set(hidden);
    if (map !== undefined) this.overlay = map ? coloured(map, values) : null;
    if (drawing !== undefined) this.drawing = drawing;
    this.draw();
  }

  draw() {
    if (!this.image) return;
    const [height, width] = this.facts.input;
    const across = Math.round(this.canvas.clientWidth * (window.devicePixelRatio || 1));
    const down = Math.round((across * height) / width);
    if (!across) return;
    if (this.canvas.width !== across || this.canvas.height !== down) {
      this.canvas.width = across;
      this.canvas.height = down;
    }
    const pen = this.canvas.getContext("2d");
    pen.imageSmoothingEnabled = Math.max(height, width) > SHARP_UP_TO;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.drawing || (this.overlay ? this.grey : this.image), 0, 0, across, down);
    if (this.overlay) {
      pen.imageSmoothingEnabled = false; // there is nothing finer to be seen
      pen.drawImage(this.overlay, 0, 0, across, down);
    }
    if (!this.drawing) this.drawHidden(pen);
    this.drawCursor(pen);
  }

  /** Draw what the model sees, small and without a map, into another canvas. */
  drawSeen(canvas) {
    if (!this.image) return;
    const full = this.canvas;
    const kept = { overlay: this.overlay, drawing: this.drawing, cursor: this.cursor };
    Object.assign(this, { canvas: canvas, overlay: null, drawing: null, cursor: null });
    this.draw();
    Object.assign(this, { canvas: full, ...kept });
  }

  /** The pixels of a cell on the canvas: cells at the right and bottom may be cut off by the image's edge. */
  box(row, column) {
    const [height, width] = this.facts.input;
    const scale = this.canvas.width / width;
    const side = this.facts.cell * scale;
    return [column * side, row * side, Math.min(side, width * scale - column * side), Math.min(side, height * scale - row * side)];
  }

  drawHidden(pen) {
    if (!this.hidden.size) return;
    const style = getComputedStyle(this.canvas);
    const taken = this.facts.takes_out;
    pen.fillStyle = taken ? style.getPropertyValue("--gone") : this.mean;
    const columns = this.facts.grid[1];
    const boxes = [...this.hidden].map((cell) => this.box(Math.floor(cell / columns), cell % columns));
    for (const [x, y, w, h] of boxes) pen.fillRect(x, y, w + 0.5, h + 0.5);
    pen.fillStyle = this.hatch(taken ? [style.getPropertyValue("--hatch")] : ["#0006", "#fff9"]);
    for (const [x, y, w, h] of boxes) pen.fillRect(x, y, w + 0.5, h + 0.5);
  }

  /** Lines of some colours beside one another: a light and a dark one are seen on any ground. */
  hatch(colours) {
    const step = Math.round(8 * (window.devicePixelRatio || 1));
    const tile = new OffscreenCanvas(step, step);
    const pen = tile.getContext("2d");
    colours.forEach((colour, n) => {
      pen.beginPath();
      pen.strokeStyle = colour;
      pen.lineWidth = step / 9;
      for (const shift of [-step, 0, step]) {
        pen.moveTo(shift - 1 + (n * step) / 7, step + 1);
        pen.lineTo(shift + step + 1 + (n * step) / 7, -1);
      }
      pen.stroke();
    });
    return this.canvas.getContext("2d").createPattern(tile, "repeat");
  }

  drawCursor(pen) {
    if (!this.cursor) return;
    const [x, y, w, h] = this.box(...this.cursor);
    const line = window.devicePixelRatio || 1;
    for (const [colour, thick] of [["#000000", 4 * line], ["#ffffff", 2 * line]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick;
      pen.strokeRect(x + line, y + line, w - 2 * line, h - 2 * line);
    }
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  down(event) {
    if (event.button || !this.image) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.painting = true;
    this.last = this.place(event);
    this.point(...this.last);
    this.hooks.started(...this.last);
  }

  move(event) {
    if (!this.image) return;
    const [x, y] = this.place(event);
    this.point(x, y);
    if (!this.painting) return;
    // A fast hand leaves gaps between two events.
    const [rows, columns] = this.facts.grid;
    const steps = Math.max(1, Math.ceil(2 * Math.max(Math.abs(x - this.last[0]) * columns, Math.abs(y - this.last[1]) * rows)));
    for (let step = 1; step <= steps; step += 1) {
      this.hooks.painted(this.last[0] + ((x - this.last[0]) * step) / steps, this.last[1] + ((y - this.last[1]) * step) / steps);
    }
    this.last = [x, y];
  }

  up() {
    if (this.painting) this.hooks.ended();
    this.painting = false;
  }

  leave() {
    this.mark(null);
    this.hooks.left();
  }

  /** Frame a cell, as it is pointed at in another model's image; none where it is null. */
  mark(cell) {
    const columns = this.facts.grid[1];
    this.cursor = cell === null ? null : [Math.floor(cell / columns), cell % columns];
    this.draw();
  }

  point(x, y) {
    const [height, width] = this.facts.input;
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return;
    this.moveTo(Math.floor((y * height) / this.facts.cell), Math.floor((x * width) / this.facts.cell));
  }

  moveTo(row, column) {
    if (this.cursor && this.cursor[0] === row && this.cursor[1] === column) return;
    this.cursor = [row, column];
    this.draw();
    this.hooks.pointed(...this.centre());
  }

  centre() {
    const [height, width] = this.facts.input;
    const [row, column] = this.cursor;
    return [Math.min(0.999, ((column + 0.5) * this.facts.cell) / width), Math.min(0.999, ((row + 0.5) * this.facts.cell) / height)];
  }

  key(event) {
    if (!this.image) return;
    const [rows, columns] = this.facts.grid;
    const [row, column] = this.cursor || [Math.floor(rows / 2), Math.floor(columns / 2)];
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -columns], End: [0, columns], PageUp: [-rows, 0], PageDown: [rows, 0] };
    const step = steps[event.key];
    if (step) {
      event.preventDefault();
      const to = this.cursor ? [row + step[0], column + step[1]] : [row, column];
      this.moveTo(Math.min(rows - 1, Math.max(0, to[0])), Math.min(columns - 1, Math.max(0, to[1])));
      this.hooks.moved(...this.cursor, this.hidden.has(this.cursor[0] * columns + this.cursor[1]));
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      if (!this.cursor) this.moveTo(row, column);
      this.hooks.started(...this.centre());
      this.hooks.ended();
    } else if (this.hooks.pressed(event)) {
      event.preventDefault();
    }
  }
}
