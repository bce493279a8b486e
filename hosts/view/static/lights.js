// The list of lights: a card each, and the names they go by.

import { knobs, make } from "./controls.js";

const NAME = /^[A-Za-z][A-Za-z0-9_]*$/;
const STEREO = ["left", "right"];

/** Whether the page's own arithmetic does a knob; the server works all others into the maps. */
const HERE = new Set(["rotate", "exposure", "gain"]);

/** What the plate's own light has not. */
const DIRECTED = new Set(["rotate", "blur"]);

const ESTIMATED = "background:";

export const isOriginal = (light) => light.source === "original";
export const isEstimated = (light) => light.source.startsWith(ESTIMATED);
export const shownSource = (source) =>
  (source.startsWith(ESTIMATED) ? "estimated around " : "") + source.split("/").pop();

export const knob = (light, name, schemas) => light.knobs[name] ?? schemas[name].default;

/** The knobs that the server is asked for. */
export function asked(light, schemas) {
  const set = Object.entries(light.knobs).filter(
    ([name, value]) =>
      !HERE.has(name) && JSON.stringify(value) !== JSON.stringify(schemas[name].default),
  );
  return Object.fromEntries(set);
}

/** Factors on R, G, B. */
export function gain(light, schemas) {
  const factor = 2 ** knob(light, "exposure", schemas);
  return knob(light, "gain", schemas).map((value) => value * factor);
}

/** A name for a light, unlike those there are: of its rig or file. */
export function nameFor(source, lights) {
  const stem = source.startsWith("rig:") ? source.slice(4) : source.split("/").pop().split(".")[0];
  let name = stem.replace(/[^A-Za-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
  if (!NAME.test(name) || STEREO.includes(name)) name = `light_${name}`.replace(/_+$/, "");
  const taken = new Set(lights.map((light) => light.name));
  let unique = name;
  for (let count = 2; taken.has(unique); count++) unique = `${name}_${count}`;
  return unique;
}

/** Why a name cannot be a light's, or "". */
function wrongName(name, light, lights) {
  if (!NAME.test(name) || STEREO.includes(name))
    return "A name is a letter and then letters, digits or underscores, not left or right.";
  const taken = lights.some((other) => other !== light && other.name === name);
  return taken ? `Another light is called ${name}.` : "";
}

/**
 * Make the card of a light.
 * @param app {state, opening, store, say, choose}.
 */
export function card(light, app) {
  const { state, store, opening } = app;
  const on = make("input", { type: "checkbox", checked: light.on, "aria-label": `${light.name} on` });
  on.addEventListener("change", () => {
    light.on = on.checked;
    store.commit(true);
  });
  const name = make("input", { value: light.name, spellcheck: false, "aria-label": "Name of the light" });
  name.addEventListener("change", () => {
    const wrong = wrongName(name.value, light, state.lights);
    if (wrong) {
      app.say(wrong);
      name.value = light.name;
      return;
    }
    light.name = name.value;
    store.commit(true);
  });
  const alone = make("button", {
    textContent: "Alone", title: "This light alone", "aria-label": `${light.name} alone`,
  });
  alone.addEventListener("click", () => {
    state.lights.forEach((other) => (other.on = other === light));
    store.commit(true);
  });
  const remove = make("button", { textContent: "✕", title: "Remove", "aria-label": `Remove ${light.name}` });
  remove.addEventListener("click", () => {
    state.lights = state.lights.filter((other) => other !== light);
    store.commit(true);
  });
  const schemas = Object.fromEntries(
    Object.entries(opening.adjust).filter(([key]) => !DIRECTED.has(key) || !isOriginal(light)),
  );
  const rows = knobs(schemas, light.knobs, light.name, (settled) =>
    settled ? store.commit() : store.changed(),
  );
  const from = isOriginal(light) ? "the light of the plate" : shownSource(light.source);
  const element = make(
    "article",
    { className: `light${light.on ? "" : " off"}`, "aria-label": `Light ${light.name}` },
    make("div", { className: "head" }, on, name, alone, remove),
    make("p", { className: "from", textContent: from, title: light.source }),
    ...rows,
  );
  element.addEventListener("pointerdown", () => app.choose(light));
  element.addEventListener("focusin", () => app.choose(light));
  element.light = light;
  element.refresh = () => rows.forEach((row) => row.refresh?.());
  return element;
}
