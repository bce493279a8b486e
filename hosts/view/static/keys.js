// The keyboard. A control that has the focus keeps its own keys.

const OWN = "input, select, textarea, dialog, summary";

export function bindKeys(app, page) {
  const { picture, timeline, store } = app;
  const next = (select, by) => {
    const count = select.options.length;
    select.selectedIndex = (select.selectedIndex + by + count) % count;
    select.dispatchEvent(new Event("change"));
  };
  const press = (id) => page[id].click();
  const keys = {
    ArrowLeft: (event) => app.turn(event.shiftKey ? -1 : -5),
    ArrowRight: (event) => app.turn(event.shiftKey ? 1 : 5),
    ArrowUp: (event) => app.expose(event.shiftKey ? 0.1 : 0.25),
    ArrowDown: (event) => app.expose(event.shiftKey ? -0.1 : -0.25),
    p: () => next(page.pass, 1),
    P: () => next(page.pass, -1),
    w: () => press("wipe"),
    b: () => next(page.background, 1),
    ",": () => timeline.move(-1),
    ".": () => timeline.move(1),
    " ": () => timeline.play(),
    f: () => picture.fit(),
    z: () => picture.actual(),
    c: () => press("copy"),
    s: () => press("save"),
    "?": () => press("help-button"),
  };
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    const command = event.ctrlKey || event.metaKey;
    if (command && key.toLowerCase() === "z" && !target.matches("input:not([type]), textarea")) {
      (event.shiftKey ? store.redo : store.undo)();
      event.preventDefault();
      return;
    }
    if (command || target.closest(OWN)) return;
    if (target.matches("button") && (key === " " || key === "Enter")) return;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    const light = digit && app.state.lights[digit - 1];
    if (light) {
      if (event.altKey) app.state.lights.forEach((other) => (other.on = other === light));
      else light.on = !light.on;
      store.commit(true);
    } else if (keys[key] && !event.altKey) keys[key](event);
    else return;
    event.preventDefault();
    if (key.startsWith("Arrow")) {
      clearTimeout(app.settling);
      app.settling = setTimeout(() => store.commit(), 400);
    }
  });
}
