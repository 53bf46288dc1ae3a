// Requests to the server that this page came from; there is no other.

const CLIENT = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
let number = 0;

/** What the server refused, in its own words. */
export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused(0, "vitrail does not answer any more; start it again and reload this page");
  }
  const said = await response.json();
  if (!response.ok) throw new Refused(response.status, said.error);
  return said;
}

export function get(path) {
  return answered(path);
}

export function post(path, asked = {}) {
  number += 1;
  const body = JSON.stringify(asked.image === undefined ? asked : { client: CLIENT, number, ...asked });
  return answered(path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

/** Send the bytes of an image file. */
export function send(file) {
  const headers = { "Content-Type": "application/octet-stream", "X-Name": encodeURIComponent(file.name || "pasted image") };
  return answered("api/images", { method: "POST", headers, body: file });
}

/** One request at a time; of those that come meanwhile only the newest is sent. */
export class Newest {
  constructor(work) {
    this.work = work;
    this.busy = false;
    this.next = null;
  }

  async ask(asked) {
    this.next = asked;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.next !== null) {
        const current = this.next;
        this.next = null;
        await this.work(current, () => this.next === null);
      }
    } finally {
      this.busy = false;
    }
  }
}
