// What the page shows, and the way back.

const KEPT = ["lights", "relight", "background", "fov"]; // what undo brings back

export class Store {
  constructor(state) {
    this.state = state;
    this.past = [];
    this.future = [];
    this.now = this.#snapshot();
    this.listeners = [];
  }

  #snapshot() {
    return JSON.stringify(Object.fromEntries(KEPT.map((key) => [key, this.state[key]])));
  }

  /** Hear of changes: `structure` is true where controls must be made anew. */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** Tell of a change that is under way, such as a slider being moved. */
  changed(structure = false) {
    for (const listener of this.listeners) listener(structure);
  }

  /** Tell of a change that is complete, and that undo takes back as one. */
  commit(structure = false) {
    const next = this.#snapshot();
    if (next !== this.now) {
      this.past.push(this.now);
      this.future = [];
      this.now = next;
    }
    this.changed(structure);
  }

  undo = () => this.#step(this.past, this.future);
  redo = () => this.#step(this.future, this.past);

  #step(from, to) {
    if (!from.length) return;
    to.push(this.now);
    this.now = from.pop();
    Object.assign(this.state, JSON.parse(this.now));
    this.changed(true);
  }
}
