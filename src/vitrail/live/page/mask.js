// Which patches of the first model are painted away, and the way back.

const MOST_STEPS = 200;

/** Tells of a "change" of what is painted away, and of the "history" alone at the end of a stroke. */
export class Mask extends EventTarget {
  constructor(rows, columns) {
    super();
    this.rows = rows;
    this.columns = columns;
    this.hidden = new Uint8Array(rows * columns);
    this.before = [];
    this.after = [];
    this.started = null;
  }

  get painted() {
    return this.hidden.reduce((sum, one) => sum + one, 0);
  }

  /** Begin a stroke: all that is set until `end` is undone as one. */
  begin() {
    this.started = this.hidden.slice();
  }

  set(cells, value) {
    let changed = false;
    for (const cell of cells) {
      if (this.hidden[cell] !== value) {
        this.hidden[cell] = value;
        changed = true;
      }
    }
    if (changed) this.changed();
  }

  end() {
    const began = this.started;
    this.started = null;
    if (began && began.some((one, place) => one !== this.hidden[place])) {
      this.before.push(began);
      if (this.before.length > MOST_STEPS) this.before.shift();
      this.after = [];
      this.dispatchEvent(new Event("history"));
    }
  }

  /** Change everything at once. */
  become(hidden) {
    this.begin();
    this.hidden = Uint8Array.from(hidden);
    this.end();
    this.changed();
  }

  clear() {
    this.become(new Uint8Array(this.hidden.length));
  }

  invert() {
    this.become(this.hidden.map((one) => 1 - one));
  }

  undo() {
    this.step(this.before, this.after);
  }

  redo() {
    this.step(this.after, this.before);
  }

  step(from, to) {
    if (!from.length) return;
    to.push(this.hidden);
    this.hidden = from.pop();
    this.changed();
  }

  /** The numbers of the patches within a brush of some patches' width about a place in [0, 1]. */
  brush(x, y, size) {
    const left = Math.round(x * this.columns - size / 2);
    const top = Math.round(y * this.rows - size / 2);
    const found = [];
    for (let row = Math.max(0, top); row < Math.min(this.rows, top + size); row += 1) {
      for (let column = Math.max(0, left); column < Math.min(this.columns, left + size); column += 1) {
        found.push(row * this.columns + column);
      }
    }
    return found;
  }

  /** The number of the patch at a place in [0, 1]; -1 outside. */
  cell(x, y) {
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return -1;
    return Math.floor(y * this.rows) * this.columns + Math.floor(x * this.columns);
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Bring a place in one model's input, [0, 1], to the same place of the image in another's. */
export function carried(x, y, from, to) {
  const across = from[0] + x * (from[2] - from[0]);
  const down = from[1] + y * (from[3] - from[1]);
  return [(across - to[0]) / (to[2] - to[0]), (down - to[1]) / (to[3] - to[1])];
}

/** The numbers of the cells of another grid whose centres are painted away. */
export function projected(mask, grid, from, to) {
  const [rows, columns] = grid;
  const found = [];
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const [x, y] = carried((column + 0.5) / columns, (row + 0.5) / rows, to, from);
      const cell = mask.cell(x, y);
      if (cell >= 0 && mask.hidden[cell]) found.push(row * columns + column);
    }
  }
  return found;
}
