// The picture under the pointer: turning the light, exposure, zoom, and the wipe.

const DEGREES = 0.4; // of a light, a CSS pixel of a drag
const STOPS = 0.001; // of exposure, a unit of the wheel: a tenth a notch

export class Picture {
  /**
   * @param elements {stage, canvas, divider, line, readout}.
   * @param hear {turn(degrees), expose(stops), settled(), moved()}.
   */
  constructor(elements, renderer, hear) {
    Object.assign(this, elements);
    this.renderer = renderer;
    this.hear = hear;
    this.zoom = null; // null fits; else {scale, x, y} in device pixels
    this.pointers = new Map();
    const { canvas } = this;
    // The browser says how many pixels of the screen there are: no other number is drawn unscaled.
    new ResizeObserver(([{ devicePixelContentBoxSize: exact }]) => {
      this.screen = exact && [exact[0].inlineSize, exact[0].blockSize];
      hear.moved();
    }).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, (event) => this.#up(event));
    canvas.addEventListener("pointerleave", () => (this.readout.textContent = ""));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.divider.addEventListener("input", () => hear.moved());
  }

  /** Where the picture is in the canvas: x, y, width, height, in device pixels. */
  get place() {
    const { canvas, renderer } = this;
    const [w, h] = renderer.size;
    const width = w * renderer.frame.aspect;
    if (this.zoom) {
      const { scale, x, y } = this.zoom;
      return [x, y, width * scale, h * scale];
    }
    const scale = Math.min(canvas.width / width, canvas.height / h);
    return [(canvas.width - width * scale) / 2, (canvas.height - h * scale) / 2, width * scale, h * scale];
  }

  fit() {
    this.zoom = null;
    this.hear.moved();
  }

  /** One pixel of the picture to one of the screen, in the middle. */
  actual() {
    const { canvas, renderer } = this;
    const [w, h] = renderer.size;
    const width = w * renderer.frame.aspect;
    this.zoom = {
      scale: 1, x: Math.round((canvas.width - width) / 2), y: Math.round((canvas.height - h) / 2),
    };
    this.hear.moved();
  }

  /** Draw on the page. */
  present(wiping, probing, exposure) {
    const { canvas, divider, line } = this;
    const ratio = devicePixelRatio;
    const measured = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.round(n * ratio));
    const [width, height] = (this.screen ?? measured).map((n) => Math.max(1, n));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const place = this.place;
    divider.hidden = line.hidden = !wiping;
    // The divider spans the stage, the wipe the picture.
    const at = divider.value * width;
    if (wiping) line.style.left = `${at / ratio}px`;
    const wipe = wiping ? Math.max(1e-6, (at - place[0]) / place[2]) : 0;
    const size = Math.round(Math.min(width, height) * 0.13);
    const probe = probing ? { x: Math.round(12 * ratio), y: Math.round(12 * ratio), size } : null;
    this.renderer.present(place, wipe, probe, exposure);
    canvas.dataset.drawn = "";
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * devicePixelRatio, (event.clientY - box.top) * devicePixelRatio];
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, this.#at(event));
    this.moves = event.button === 1 || event.altKey;
    if (event.button === 1) event.preventDefault();
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    const now = this.#at(event);
    if (!before) return this.#read(now);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    if (this.pointers.size > 1) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      this.#zoomAt((now[0] + other[0]) / 2, (now[1] + other[1]) / 2, apart(now) / Math.max(1, apart(before)));
      this.#pan(dx / 2, dy / 2);
    } else if (this.moves) this.#pan(dx, dy);
    // A reflection of what is before the subject follows the pointer.
    else this.hear.turn((-dx / devicePixelRatio) * DEGREES);
    this.pointers.set(event.pointerId, now);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.hear.settled();
  }

  #wheel(event) {
    event.preventDefault();
    const delta = event.deltaY * (event.deltaMode === 1 ? 33 : 1);
    if (event.ctrlKey || event.metaKey) {
      this.#zoomAt(...this.#at(event), 2 ** (-delta / 300));
      return;
    }
    this.hear.expose(-delta * STOPS);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.hear.settled(), 300);
  }

  #pan(dx, dy) {
    const [x, y, , height] = this.place;
    this.zoom = { scale: height / this.renderer.size[1], x: x + dx, y: y + dy };
    this.hear.moved();
  }

  #zoomAt(x, y, factor) {
    const [left, top, , height] = this.place;
    const scale = height / this.renderer.size[1];
    const next = Math.min(32, Math.max(0.05, scale * factor));
    this.zoom = {
      scale: next, x: x - (x - left) * (next / scale), y: y - (y - top) * (next / scale),
    };
    this.hear.moved();
  }

  /** Say what the pixel under the pointer holds. */
  #read([x, y]) {
    if (!this.renderer.frame) return;
    const [left, top, width, height] = this.place;
    const [w, h] = this.renderer.size;
    const [column, row] = [Math.floor(((x - left) / width) * w), Math.floor(((y - top) / height) * h)];
    const inside = column >= 0 && row >= 0 && column < w && row < h;
    this.readout.textContent = "";
    if (!inside) return;
    const step = this.renderer.frame.step;
    const [r, g, b, a] = Array.from(this.renderer.sample(column, row), (n) => n.toPrecision(4));
    this.readout.textContent = `${column * step}, ${row * step}   R ${r}  G ${g}  B ${b}  A ${a}`;
  }
}
