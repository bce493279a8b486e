// Controls made from the declarations of the nodes.

/** Make an element: tag, properties, children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Fill a select with values, or with [value, text] pairs. */
export function fill(select, options, value) {
  select.replaceChildren(
    ...options.map((option) => {
      const [is, says] = Array.isArray(option) ? option : [option, option];
      return make("option", { value: is, textContent: says });
    }),
  );
  if (value !== undefined) select.value = value;
}

/** What a slider spans: a hand needs less than a knob allows. */
function reach({ unit, min = -Infinity, max = Infinity }) {
  if (unit === "degrees") return [Math.max(min, -180), Math.min(max, 180), 0.1];
  if (unit === "stops") return [Math.max(min, -6), Math.min(max, 6), 0.01];
  return [Math.max(min, -2), Math.min(max, max <= 10 ? max : 2), 0.01];
}

export const words = (name) => name.replaceAll("_", " ");

/**
 * A slider with a number beside it.
 * @param what label, name for assistive technology, schema, value.
 * @param moved called with the value while it changes, and with true once it is settled.
 */
export function slider({ label, title = "", name = label, schema, value }, moved) {
  const [low, high, step] = reach(schema);
  const initial = schema.default;
  const range = make("input", { type: "range", min: low, max: high, step, value });
  const number = make("input", {
    type: "number", step: "any", value, min: schema.min ?? "", max: schema.max ?? "",
  });
  const says = schema.unit ? `${name}, ${schema.unit}` : name;
  range.setAttribute("aria-label", says);
  number.setAttribute("aria-label", `${says}, as a number`);
  const caption = make("span", { textContent: label, title: title || schema.doc });
  const element = make("div", { className: "knob" }, caption, range, number);
  const set = (next, settled) => {
    range.value = next;
    number.value = next;
    moved(next, settled);
  };
  range.addEventListener("input", () => set(Number(range.value), false));
  range.addEventListener("change", () => set(Number(range.value), true));
  number.addEventListener("change", () => {
    const given = number.value === "" ? NaN : Number(number.value);
    if (Number.isNaN(given)) return void (number.value = range.value);
    set(Math.min(schema.max ?? Infinity, Math.max(schema.min ?? -Infinity, given)), true);
  });
  caption.addEventListener("dblclick", () => set(initial, true));
  element.show = (next) => {
    range.value = next;
    if (document.activeElement !== number) number.value = next;
  };
  return element;
}

/**
 * The controls of a node's knobs.
 * @param schemas name → declaration.
 * @param values the knobs that are set; changed in place.
 */
export function knobs(schemas, values, of, moved) {
  const rows = [];
  for (const [name, schema] of Object.entries(schemas)) {
    const value = values[name] ?? schema.default;
    const label = words(name);
    const set = (next, settled) => {
      values[name] = next;
      moved(settled);
    };
    if (schema.kind === "float") {
      const row = slider({ label, name: `${label} of ${of}`, schema, value }, set);
      row.refresh = () => row.show(values[name] ?? schema.default);
      rows.push(row);
    } else if (schema.kind === "colour") {
      const now = () => values[name] ?? schema.default;
      const bands = ["red", "green", "blue"].map((band, i) => {
        const one = { ...schema, default: schema.default[i] };
        const about = { label: band, name: `${band} ${label} of ${of}`, schema: one, value: now()[i] };
        const row = slider(about, (next, settled) =>
          set(now().map((old, j) => (i === j ? next : old)), settled),
        );
        row.refresh = () => row.show(now()[i]);
        return row;
      });
      const summary = make("summary", { textContent: "Colour", title: schema.doc });
      const group = make("details", { open: name in values }, summary, ...bands);
      group.refresh = () => bands.forEach((band) => band.refresh());
      rows.push(group);
    } else if (schema.kind === "bool") {
      const box = make("input", { type: "checkbox", checked: value });
      box.addEventListener("change", () => set(box.checked, true));
      rows.push(make("label", { className: "switch", title: schema.doc }, box, make("span", { textContent: label })));
    } else if (schema.kind === "choice") {
      const list = make("select");
      fill(list, schema.choices, value);
      list.addEventListener("change", () => set(list.value, true));
      rows.push(make("label", { className: "field", title: schema.doc }, make("span", { textContent: label }), list));
    }
  }
  return rows;
}
