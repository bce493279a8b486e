// What renders exactly what the page shows: a command, or a graph for the farm.

import * as api from "./api.js";
import { shownSource } from "./lights.js";

/** Return what the server makes a graph or a command of. */
function look({ state, opening, timeline }, page) {
  const { lights, relight, background, fov } = state;
  const alone = page.only.checked && opening.sequence;
  return {
    lights: lights.filter((light) => light.on).map(({ name, source, knobs }) => ({ name, source, knobs })),
    relight,
    background,
    fov,
    out: page.out.value.trim(),
    frames: alone ? String(timeline.number) : "",
  };
}

export async function copyCommand(app, page) {
  const { command } = await api.post("/api/command", look(app, page));
  page.command.hidden = false;
  page.command.value = command;
  const copied = await navigator.clipboard.writeText(command).then(() => true, () => false);
  if (!copied) page.command.select();
  app.say(copied ? "The command is copied." : "The clipboard is closed to this page. Copy the command below.");
}

export async function saveGraph(app, page) {
  const graph = await api.text("/api/graph", look(app, page));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([graph], { type: "application/json" }));
  link.download = `${shownSource(page.out.value).split(".")[0] || "relit"}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  app.say(`Saved ${link.download}. Render it with: relume run ${link.download}`);
}
