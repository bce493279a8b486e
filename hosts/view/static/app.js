// The page: what is shown, and what the controls do to it.

import * as api from "./api.js";
import { fill, knobs, slider } from "./controls.js";
import { copyCommand, saveGraph } from "./export.js";
import { Renderer } from "./gl.js";
import { Maps, sum } from "./light.js";
import { asked, card, gain, isEstimated, isOriginal, knob, nameFor, shownSource } from "./lights.js";
import { Picture } from "./picture.js";
import { Store } from "./store.js";
import { acceptDrops } from "./drop.js";
import { bindKeys } from "./keys.js";
import { Timeline } from "./timeline.js";

const page = new Proxy({}, { get: (_, id) => document.getElementById(id) });
const PARTS = ["diffuse", "specular", "residual"];
const VIEW_EXPOSURE = { kind: "float", unit: "stops", default: 0, doc: "For looking only; it is not rendered." };

let saying;
/** Tell the user a sentence. */
function say(text) {
  page.status.textContent = text;
  clearTimeout(saying);
  saying = setTimeout(() => (page.status.textContent = ""), 8000);
}

class App {
  constructor(opening, renderer) {
    this.opening = opening;
    this.renderer = renderer;
    this.say = say;
    this.maps = new Map(); // by source and what the server worked in
    this.chosen = null;
    this.state = {
      lights: opening.lights.map((light) => ({ ...light, on: true })),
      relight: {},
      background: opening.background,
      fov: opening.fov.value,
      pass: "rgba",
      exposure: 0,
    };
    if (!this.state.lights.some(isOriginal))
      this.state.lights.push({ name: "original", source: "original", knobs: {}, on: false });
    this.store = new Store(this.state);
    this.stale = new Set(["light", "picture", "other"]);
    this.picture = new Picture(
      { stage: page.stage, canvas: page.canvas, divider: page.divider, line: page.line, readout: page.readout },
      renderer,
      {
        turn: (degrees) => this.turn(degrees),
        expose: (stops) => this.expose(stops),
        settled: () => this.store.commit(),
        moved: () => this.refresh(),
      },
    );
    this.timeline = new Timeline(page, opening, renderer, this);
    this.store.listen((structure) => {
      if (structure) {
        this.fov = this.state.fov;
        this.rebuild();
      } else this.refreshCards();
      this.refresh("light", "picture", "other");
    });
  }

  async start() {
    const { opening } = this;
    document.title = `${opening.title} – relume view`;
    page.title.textContent = opening.title;
    fill(page.display, Object.keys(opening.displays));
    this.fillViews();
    page.out.value = opening.out;
    page["only-row"].hidden = opening.frames.length < 2;
    const fov = { label: "field of view", schema: opening.fov, value: this.state.fov };
    this.fov = this.state.fov;
    this.fovRow = slider(fov, (value, settled) => {
      this.state.fov = value;
      if (settled) this.fov = value; // an estimate takes a moment, and waits for the hand
      this.moved(settled);
    });
    page.fov.append(this.fovRow);
    page.exposure.append(
      slider({ label: "exposure", name: "exposure of the display", schema: VIEW_EXPOSURE, value: 0 }, (value) => {
        this.state.exposure = value;
        this.refresh("picture", "other");
      }),
    );
    this.bind();
    bindKeys(this, page);
    this.rebuild();
    await Promise.all([this.setDisplay(), this.fillLibrary()]);
    await this.timeline.show(0);
  }

  moved(settled) {
    if (settled) this.store.commit();
    else this.store.changed();
  }

  bind() {
    const on = (id, event, act) => page[id].addEventListener(event, act);
    on("pass", "change", () => this.setPass(page.pass.value));
    on("wipe", "change", () => this.refresh("other"));
    on("probe", "change", () => this.refresh());
    on("fit", "click", () => this.picture.fit());
    on("actual", "click", () => this.picture.actual());
    on("undo", "click", this.store.undo);
    on("redo", "click", this.store.redo);
    on("help-button", "click", () => page.help.showModal());
    on("all", "change", () => this.refreshCards());
    on("add", "click", () => this.addLight(page.library.value));
    on("browse", "click", () => page.file.click());
    on("file", "change", () => {
      if (page.file.files[0]) this.take(page.file.files[0], false);
      page.file.value = "";
    });
    on("background", "change", () => {
      this.state.background = page.background.value;
      this.store.commit(true);
    });
    on("display", "change", () => {
      this.fillViews();
      this.setDisplay();
    });
    on("view", "change", () => this.setDisplay());
    on("copy", "click", () => this.attempt(() => copyCommand(this, page)));
    on("save", "click", () => this.attempt(() => saveGraph(this, page)));
    acceptDrops(page, (file, alone) => this.take(file, alone));
    page.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      say("The graphics card was lost. Reload the page.");
    });
  }

  fillViews() {
    fill(page.view, this.opening.displays[page.display.value]);
  }

  async setDisplay() {
    const wanted = { display: page.display.value, view: page.view.value };
    this.asked = wanted;
    page.stage.setAttribute("aria-busy", "true");
    await this.attempt(async () => {
      const message = await api.binary("/api/display", wanted);
      if (this.asked === wanted) this.renderer.setLattice(message);
    });
    if (this.asked === wanted) this.asked = null;
    this.refresh("picture", "other");
  }

  async fillLibrary() {
    const files = await api.get("/api/lights").catch(() => []);
    fill(page.library, [
      ...this.opening.rigs,
      ["original", "original, the plate's own"],
      ...this.opening.estimates.map((source) => [source, shownSource(source)]),
      ...files.map((file) => [file, shownSource(file)]),
    ]);
  }

  async attempt(act) {
    try {
      return await act();
    } catch (error) {
      if (error.name !== "AbortError") say(error.message);
      return undefined;
    }
  }

  get turning() {
    const { lights } = this.state;
    return page.all.checked || !this.chosen ? lights.filter((light) => light.on) : [this.chosen];
  }

  choose(light) {
    if (this.chosen === light) return;
    this.chosen = light;
    this.refreshCards();
  }

  turn(degrees) {
    const { adjust } = this.opening;
    for (const light of this.turning.filter((one) => !isOriginal(one))) {
      const next = knob(light, "rotate", adjust) + degrees;
      light.knobs.rotate = Math.round((next - 360 * Math.round(next / 360)) * 100) / 100;
    }
    this.store.changed();
  }

  expose(stops) {
    const { adjust } = this.opening;
    for (const light of this.turning) {
      const next = knob(light, "exposure", adjust) + stops;
      const { min, max } = adjust.exposure;
      light.knobs.exposure = Math.round(Math.min(max, Math.max(min, next)) * 1000) / 1000;
    }
    this.store.changed();
  }

  setPass(name) {
    this.state.pass = name;
    page.pass.value = name;
    this.refresh("light", "picture");
  }

  get passes() {
    const lobes = (this.renderer.frame?.exponents ?? []).map(
      (n) => `specular_light_${String(n).padStart(3, "0")}`,
    );
    const lights = this.state.lights.filter((light) => light.on).map(({ name }) => `relit_${name}`);
    const plate = this.opening.backgrounds.includes("plate") ? ["plate"] : [];
    const behind = this.state.background === "none" ? [] : ["background"];
    return [
      "rgba", "relit", ...PARTS, ...lights, "diffuse_light", ...lobes,
      "foreground", "albedo", "normal", "matte", ...plate, ...behind,
    ];
  }

  addLight(source, alone = false) {
    const { lights } = this.state;
    if (alone) lights.forEach((light) => (light.on = false));
    const light = { name: nameFor(source, lights), source, knobs: {}, on: true };
    lights.push(light);
    this.chosen = light;
    this.store.commit(true);
  }

  /** Take a dropped or chosen file as a light. */
  async take(file, alone) {
    await this.attempt(async () => {
      say(`Reading ${file.name}`);
      const { source, kept } = await api.upload(file);
      this.addLight(source, alone);
      say(kept ? `${file.name} is kept as ${source}` : `${file.name} is ${source}`);
    });
  }

  /** Make the controls anew. */
  rebuild() {
    const { state } = this;
    if (!state.lights.includes(this.chosen)) {
      this.chosen = state.lights.find((light) => light.name === this.chosen?.name) ?? null;
    }
    const focus = document.activeElement?.getAttribute?.("aria-label");
    page.lights.replaceChildren(...state.lights.map((light) => card(light, this)));
    this.relightRows = knobs(this.opening.relight, state.relight, "the subject", (settled) =>
      this.moved(settled),
    );
    page.relight.replaceChildren(...this.relightRows);
    if (focus) [...page.lights.querySelectorAll("[aria-label]")].find((e) => e.getAttribute("aria-label") === focus)?.focus();
    const names = { none: "nothing", plate: "the plate", picture: "the picture", environment: "the first light's own picture" };
    fill(page.background, this.opening.backgrounds.map((name) => [name, names[name]]), state.background);
    this.fillPasses();
    this.refreshCards();
  }

  fillPasses() {
    if (!this.passes.includes(this.state.pass)) this.state.pass = "rgba";
    fill(page.pass, this.passes.map((name) => [name, name === "rgba" ? "picture" : name]), this.state.pass);
  }

  /** Bring the controls to what the state says. */
  refreshCards() {
    const { state, store } = this;
    for (const element of page.lights.children) {
      element.classList.toggle("chosen", !page.all.checked && element.light === this.chosen);
      element.refresh();
    }
    this.relightRows?.forEach((row) => row.refresh?.());
    this.fovRow?.show(state.fov);
    const seen = state.background === "environment" || state.lights.some((light) => light.on && isEstimated(light));
    page.fov.hidden = !seen;
    page.undo.disabled = !store.past.length;
    page.redo.disabled = !store.future.length;
  }

  /** Draw soon: what is named is stale, and the page in any case. */
  refresh(...stale) {
    stale.forEach((what) => this.stale.add(what));
    page.stage.setAttribute("aria-busy", "true");
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = null;
      this.attempt(() => this.draw());
    });
  }

  /** The lights that the present pass shows. */
  get shining() {
    const alone = this.state.pass.startsWith("relit_") && this.state.pass.slice(6);
    return this.state.lights.filter((light) => light.on && (!alone || light.name === alone));
  }

  /** What the server makes a light of. */
  origin(light) {
    return isEstimated(light) ? { source: light.source, fov: this.fov } : { source: light.source };
  }

  /** Return a light's maps, or ask for them and return null. */
  mapsOf(light) {
    const document = { ...this.origin(light), adjust: asked(light, this.opening.adjust) };
    const key = JSON.stringify(document);
    if (!this.maps.has(key)) {
      this.maps.set(key, null);
      this.attempt(async () => {
        try {
          this.maps.set(key, new Maps(await api.binary("/api/light", document)));
        } catch (error) {
          this.maps.delete(key);
          light.on = false;
          this.rebuild();
          throw error;
        } finally {
          this.refresh("light", "picture", "other");
        }
      });
    }
    return this.maps.get(key) ?? null;
  }

  get surround() {
    const { lights, background } = this.state;
    return background === "environment" ? lights.find((light) => light.on && !isOriginal(light)) : null;
  }

  look() {
    const { state, opening } = this;
    const { adjust, relight } = opening;
    const factor = (name) => state.relight[name] ?? relight[name].default;
    const original = [0, 0, 0];
    for (const light of this.shining.filter(isOriginal))
      gain(light, adjust).forEach((value, i) => (original[i] += value * factor("original")));
    const around = this.surround;
    return {
      lit: true,
      gains: PARTS.map((part) => factor(`${part}_gain`)),
      gloss: factor("gloss"),
      original,
      background: state.background,
      exposure: 2 ** state.exposure,
      environment: around && {
        key: JSON.stringify(this.origin(around)),
        fov: state.fov,
        degrees: knob(around, "rotate", adjust),
        gain: 2 ** knob(around, "exposure", adjust),
      },
    };
  }

  /** Ask for the picture of the light behind the subject, where it is wanted and not there. */
  needEnvironment() {
    const origin = this.surround && this.origin(this.surround);
    const key = JSON.stringify(origin);
    if (!origin || this.renderer.hasEnvironment(key) || this.loading === key) return;
    this.loading = key;
    this.attempt(async () => {
      const message = await api.binary("/api/environment", origin);
      this.renderer.setEnvironment(key, message);
    }).finally(() => {
      this.loading = null;
      this.refresh("picture", "other");
    });
  }

  draw() {
    const { renderer, stale } = this;
    if (!renderer.frame || !renderer.lattice) return;
    if (stale.has("light")) this.setLight();
    this.needEnvironment();
    const look = this.look();
    if (page.wipe.checked && stale.has("other")) {
      const own = { ...look, lit: false, original: [1, 1, 1] };
      const plate = this.opening.backgrounds.includes("plate");
      renderer.draw(plate ? "plate" : "rgba", own, "other");
      stale.delete("other");
      stale.add("picture"); // both sides are drawn by way of the same buffer
    }
    if (stale.has("picture")) renderer.draw(this.state.pass, look);
    stale.delete("picture");
    this.picture.present(page.wipe.checked, page.probe.checked, look.exposure);
    page.canvas.setAttribute("aria-label", this.description);
    const waits = this.asked || this.loading || this.timeline.loading || this.pending;
    page.stage.setAttribute("aria-busy", String(Boolean(waits)));
  }

  setLight() {
    const { adjust } = this.opening;
    const around = this.shining.filter((light) => !isOriginal(light));
    const found = around.map((light) => [light, this.mapsOf(light)]);
    this.pending = found.some(([, maps]) => !maps);
    if (this.pending) return; // what was lit before stays until all of it is here
    const parts = found.map(([light, maps]) => ({
      maps, degrees: knob(light, "rotate", adjust), gain: gain(light, adjust),
    }));
    this.renderer.setLight(parts.length ? sum(parts) : null);
    this.stale.delete("light");
  }

  get description() {
    const on = this.state.lights.filter((light) => light.on).map((light) => {
      const turned = isOriginal(light) ? "" : ` turned by ${knob(light, "rotate", this.opening.adjust)} degrees`;
      return `${light.name}${turned}`;
    });
    return `The picture under ${on.join(", ") || "no light"}; pass ${this.state.pass}`;
  }
}

try {
  const renderer = new Renderer(page.canvas);
  await new App(await api.get("/api/opening"), renderer).start();
} catch (error) {
  page.status.textContent = error.message;
  page.stage.setAttribute("aria-busy", "false");
}
