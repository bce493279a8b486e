// The frames: bringing one here, its progress, and playing them.

import * as api from "./api.js";

const RATE = 24;

export class Timeline {
  constructor(page, opening, renderer, app) {
    Object.assign(this, { page, renderer, app });
    this.frames = opening.frames;
    this.works = opening.kind === "plate" ? "Analysing" : "Reading";
    this.index = 0;
    this.loading = null;
    page.timeline.hidden = this.frames.length < 2;
    page.frame.max = this.frames.length - 1;
    page.frame.addEventListener("input", () => this.show(Number(page.frame.value)));
    page.previous.addEventListener("click", () => this.move(-1));
    page.next.addEventListener("click", () => this.move(1));
    page.play.addEventListener("click", () => this.play());
    page.cancel.addEventListener("click", () => this.cancel());
    page.again.addEventListener("click", () => this.show(this.index));
  }

  get number() {
    return this.frames[this.index];
  }

  move(by) {
    return this.show((this.index + by + this.frames.length) % this.frames.length);
  }

  /** Show a frame; one that is not wanted any more is no longer waited for. */
  async show(index) {
    const { page, renderer, app } = this;
    this.drop();
    this.index = index;
    const number = this.number;
    page.frame.value = index;
    page.frame.setAttribute("aria-valuetext", `frame ${number}`);
    page.number.textContent = number;
    page.wait.hidden = true;
    if (!renderer.hasFrame(number)) {
      const loading = { number, stop: new AbortController() };
      this.loading = loading;
      page.stage.setAttribute("aria-busy", "true");
      const late = setTimeout(() => this.tell({ node: "", fraction: 0 }), 150);
      try {
        const message = await api.frame(number, (status) => this.loading === loading && this.tell(status), loading.stop.signal);
        if (this.loading !== loading) return;
        renderer.setFrame(number, message);
      } catch (error) {
        if (this.loading === loading) this.fail(error.message);
        return;
      } finally {
        clearTimeout(late);
        if (this.loading === loading) this.loading = null;
      }
    }
    page.wait.hidden = true;
    renderer.useFrame(number);
    app.fillPasses();
    app.refresh("light", "picture", "other");
    const { step } = renderer.frame;
    if (step > 1 && !this.told) {
      this.told = true;
      app.say(`The picture is large: every ${step}. row and column is shown.`);
    }
  }

  /** Leave a frame that is on its way. */
  drop() {
    if (!this.loading) return;
    const { number, stop } = this.loading;
    this.loading = null;
    stop.abort();
    api.post("/api/cancel", { frame: number }).catch(() => {});
  }

  tell({ node, fraction }) {
    const { page } = this;
    page.wait.hidden = false;
    page.cancel.hidden = false;
    page.again.hidden = true;
    page["wait-bar"].hidden = false;
    page["wait-bar"].value = fraction;
    page["wait-text"].textContent = `${this.works} frame ${this.number}${node ? `: ${node}` : ""}`;
  }

  cancel() {
    this.drop();
    this.fail("Cancelled.");
  }

  fail(text) {
    const { page } = this;
    this.stop();
    page.wait.hidden = false;
    page["wait-text"].textContent = text;
    page["wait-bar"].hidden = true;
    page.cancel.hidden = true;
    page.again.hidden = false;
    page.again.textContent = this.works === "Analysing" ? "Analyse this frame" : "Read it again";
    page.stage.setAttribute("aria-busy", "false");
  }

  stop() {
    this.playing = false;
    this.page.play.setAttribute("aria-pressed", "false");
    this.page.play.textContent = "Play";
  }

  async play() {
    if (this.frames.length < 2) return;
    if (this.playing) return this.stop();
    this.playing = true;
    this.page.play.setAttribute("aria-pressed", "true");
    this.page.play.textContent = "Stop";
    while (this.playing) {
      const due = performance.now() + 1000 / RATE;
      await this.move(1);
      await new Promise((done) => setTimeout(done, Math.max(0, due - performance.now())));
    }
  }
}
