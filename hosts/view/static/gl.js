// The picture: shaded from half-float textures, shown through the display's lattice.

import * as shaders from "./shaders.js";
import { glossMix, seenFrom } from "./light.js";

const SURROUND = 0.165; // display code value around the picture, neutral
const BLOCKS = 3; // magnification from which single pixels are meant to be seen
const MEMORY = 768 << 20; // bytes of frames kept on the graphics card

/** What each pass shades, by number; the rest of a name is its light or its exponent. */
const KINDS = {
  rgba: 0, relit: 12, diffuse: 1, specular: 2, residual: 3, diffuse_light: 4, specular_light: 5,
  foreground: 6, albedo: 7, normal: 8, matte: 9, background: 10, plate: 11,
};
const STORED = new Set(["normal", "matte"]);

export class Renderer {
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false });
    if (!gl) throw new Error("This browser has no WebGL 2. Use a current one, with a graphics card.");
    if (!gl.getExtension("EXT_color_buffer_float") && !gl.getExtension("EXT_color_buffer_half_float"))
      throw new Error("This graphics card cannot draw half floats, which the picture needs.");
    this.gl = gl;
    this.programs = {
      shade: this.#program(shaders.SHADE),
      view: this.#program(shaders.VIEW),
      present: this.#program(shaders.PRESENT),
      probe: this.#program(shaders.PROBE),
    };
    gl.bindVertexArray(gl.createVertexArray());
    this.blank = {
      flat: this.#texture(gl.TEXTURE_2D, gl.RGBA16F, [1, 1], new Uint16Array(4)),
      array: this.#texture(gl.TEXTURE_2D_ARRAY, gl.RGBA16F, [1, 1, 1], new Uint16Array(4)),
    };
    this.frames = new Map();
    this.environments = new Map();
    this.maps = null;
    this.lattice = null;
    this.size = null;
  }

  #program(fragment) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, shaders.VERTEX],
      [gl.FRAGMENT_SHADER, fragment],
    ]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost())
        throw new Error(`The graphics card refuses a shader: ${gl.getShaderInfoLog(shader)}`);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(`The graphics card refuses a program: ${gl.getProgramInfoLog(program)}`);
    const places = new Map();
    const place = (name) => {
      if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name));
      return places.get(name);
    };
    return { program, place };
  }

  #texture(target, format, size, data, filter = this.gl.NEAREST) {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.bindTexture(target, texture);
    const [layout, type] = {
      [gl.RGBA16F]: [gl.RGBA, gl.HALF_FLOAT],
      [gl.RGBA32F]: [gl.RGBA, gl.FLOAT],
      [gl.RGBA8]: [gl.RGBA, gl.UNSIGNED_BYTE],
    }[format];
    const upload = size.length === 3 ? gl.texImage3D : gl.texImage2D;
    upload.call(gl, target, 0, format, ...size, 0, layout, type, data);
    gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, filter);
    gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R])
      gl.texParameteri(target, wrap, gl.CLAMP_TO_EDGE);
    return texture;
  }

  #halves(array) {
    const { gl } = this;
    const [h, w] = array.shape.slice(-3, -1);
    return array.shape.length === 4
      ? this.#texture(gl.TEXTURE_2D_ARRAY, gl.RGBA16F, [w, h, array.shape[0]], array.data)
      : this.#texture(gl.TEXTURE_2D, gl.RGBA16F, [w, h], array.data);
  }

  hasFrame = (number) => this.frames.has(number);

  /** Take over a frame's message. */
  setFrame(number, message) {
    const { gl } = this;
    const { arrays, ...about } = message;
    const limit = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    if (Math.max(...about.size) > limit)
      throw new Error(`The picture is larger than ${limit} pixels, which this graphics card takes.`);
    const textures = {};
    let bytes = 0;
    for (const [name, array] of Object.entries(arrays)) {
      textures[name] = this.#halves(array);
      bytes += array.data.byteLength;
    }
    this.frames.set(number, { ...about, textures, bytes });
    let used = 0;
    for (const frame of this.frames.values()) used += frame.bytes;
    for (const [old, frame] of this.frames) {
      if (used <= MEMORY || old === number) continue;
      Object.values(frame.textures).forEach((texture) => gl.deleteTexture(texture));
      this.frames.delete(old);
      used -= frame.bytes;
    }
  }

  /** Show a frame that is there. */
  useFrame(number) {
    const frame = this.frames.get(number);
    this.frames.delete(number);
    this.frames.set(number, frame); // last in the order of use
    this.frame = frame;
    if (String(frame.size) === String(this.size)) return;
    const { gl } = this;
    this.size = frame.size;
    const levels = gl.LINEAR_MIPMAP_LINEAR;
    const target = (format, filter) => {
      const texture = this.#texture(gl.TEXTURE_2D, format, this.size, null, filter);
      const buffer = gl.createFramebuffer();
      gl.bindFramebuffer(gl.FRAMEBUFFER, buffer);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
      return { texture, buffer };
    };
    for (const old of Object.values(this.targets ?? {})) {
      gl.deleteTexture(old.texture);
      gl.deleteFramebuffer(old.buffer);
    }
    this.targets = {
      light: target(gl.RGBA16F, gl.NEAREST),
      picture: target(gl.RGBA8, levels),
      other: target(gl.RGBA8, levels),
    };
  }

  /** Take over the added lights, as relume.shading's tables. */
  setLight(sum) {
    const { gl } = this;
    if (this.maps) gl.deleteTexture(this.maps);
    this.maps = null;
    this.light = sum;
    if (!sum) return;
    const size = [sum.width, sum.height, sum.layers];
    this.maps = this.#texture(gl.TEXTURE_2D_ARRAY, gl.RGBA32F, size, sum.texels);
  }

  hasEnvironment = (key) => this.environments.has(key);

  setEnvironment(key, message) {
    for (const texture of this.environments.values()) this.gl.deleteTexture(texture);
    this.environments.clear(); // one at a time: they are large
    this.environments.set(key, this.#halves(message.arrays.environment));
  }

  setLattice(message) {
    const { gl } = this;
    if (this.lattice) gl.deleteTexture(this.lattice);
    const { data, shape } = message.arrays.lattice;
    this.lattice = this.#texture(gl.TEXTURE_3D, gl.RGBA16F, shape.slice(0, 3), data);
    this.shaper = [message.shaper.scale, message.shaper.low, message.shaper.span];
  }

  #use({ program, place }, textures, uniforms) {
    const { gl } = this;
    gl.useProgram(program);
    textures.forEach(([name, target, texture], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(target, texture);
      gl.uniform1i(place(name), unit);
    });
    for (const [name, [kind, ...value]] of Object.entries(uniforms))
      gl[`uniform${kind}`](place(name), ...value);
  }

  /**
   * Shade a pass and put it through the display.
   * @param pass name of the pass.
   * @param look {lit, gains, gloss, original, background, environment: {key, fov, degrees, gain},
   *   exposure}; unlit, only the original light shines.
   * @param into `picture`, or `other` for the far side of the wipe.
   */
  draw(pass, look, into = "picture") {
    const { gl, frame } = this;
    const { textures } = frame;
    const name = pass.startsWith("relit_") ? "relit" : pass.replace(/_\d+$/, "");
    const exponent = Number(/\d+$/.exec(pass)?.[0]);
    const lobes = frame.exponents.map((n) => this.light?.exponents[n] ?? 0);
    const sky = look.background === "environment" && this.environments.get(look.environment?.key);
    const behind = textures[name === "plate" ? "plate" : look.background];
    const radians = ((look.environment?.degrees ?? 0) * Math.PI) / 180;
    const around = this.light
      ? seenFrom(this.light.around, frame.harmonics)
      : new Float32Array(48);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets.light.buffer);
    gl.viewport(0, 0, ...this.size);
    this.#use(
      this.programs.shade,
      [
        ["coefficients", gl.TEXTURE_2D_ARRAY, textures.coefficients],
        ["subject", gl.TEXTURE_2D_ARRAY, textures.subject],
        ["maps", gl.TEXTURE_2D_ARRAY, this.maps ?? this.blank.array],
        ["behind", gl.TEXTURE_2D, behind ?? this.blank.flat],
        ["environment", gl.TEXTURE_2D, sky || this.blank.flat],
      ],
      {
        box: ["4iv", frame.box],
        kind: ["1i", KINDS[name]],
        lobe: ["1i", Math.max(0, frame.exponents.indexOf(exponent))],
        lobes: ["1iv", lobes],
        background: ["1i", sky ? 2 : behind ? 1 : 0],
        around: ["3fv", around],
        gains: ["3fv", look.gains],
        gloss: ["Matrix4fv", true, glossMix(frame.exponents, look.gloss)],
        original: ["3fv", look.original],
        lit: ["1i", look.lit && this.light ? 1 : 0],
        hasView: ["1i", frame.view ? 1 : 0],
        toWorld: ["Matrix3fv", true, frame.toWorld ?? [1, 0, 0, 0, 1, 0, 0, 0, 1]],
        step_: ["1f", frame.step],
        window: ["4fv", frame.display],
        aspect: ["1f", frame.aspect],
        fov: ["1f", look.environment?.fov ?? 40],
        turned: ["2f", Math.cos(radians), Math.sin(radians)],
        brightness: ["1f", look.environment?.gain ?? 1],
      },
    );
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets[into].buffer);
    this.#use(
      this.programs.view,
      [
        ["picture", gl.TEXTURE_2D, this.targets.light.texture],
        ["lattice", gl.TEXTURE_3D, this.lattice],
      ],
      { shaper: ["3fv", this.shaper], exposure: ["1f", look.exposure], asStored: ["1i", STORED.has(name) ? 1 : 0] },
    );
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindTexture(gl.TEXTURE_2D, this.targets[into].texture);
    gl.generateMipmap(gl.TEXTURE_2D);
  }

  /**
   * Put the picture on the page.
   * @param place x, y, width and height in the canvas, device pixels, y down.
   * @param wipe share of the picture that shows the other one, 0 for none.
   * @param probe {x, y, size} of the balls, or null.
   */
  present(place, wipe, probe, exposure) {
    const { gl, canvas } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, canvas.width, canvas.height);
    const scale = place[3] / this.size[1];
    const smooth = scale > 1 && scale < BLOCKS;
    for (const { texture } of [this.targets.picture, this.targets.other]) {
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, smooth ? gl.LINEAR : gl.NEAREST);
    }
    this.#use(
      this.programs.present,
      [
        ["picture", gl.TEXTURE_2D, this.targets.picture.texture],
        ["other", gl.TEXTURE_2D, this.targets.other.texture],
      ],
      {
        place: ["4fv", place],
        height: ["1f", canvas.height],
        wipe: ["1f", wipe],
        surround: ["3f", SURROUND, SURROUND, SURROUND],
      },
    );
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    if (!probe || !this.maps) return;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    const lobes = this.frame.exponents.map((n) => this.light.exponents[n] ?? 0);
    for (const mirror of [0, 1]) {
      const x = probe.x + mirror * probe.size * 1.12;
      const y = canvas.height - probe.y - probe.size;
      gl.viewport(x, y, probe.size, probe.size);
      this.#use(
        this.programs.probe,
        [
          ["maps", gl.TEXTURE_2D_ARRAY, this.maps],
          ["lattice", gl.TEXTURE_3D, this.lattice],
        ],
        {
          lobes: ["1iv", lobes],
          shaper: ["3fv", this.shaper],
          exposure: ["1f", exposure],
          place: ["4f", x, y, probe.size, probe.size],
          mirror: ["1i", mirror],
        },
      );
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    }
    gl.disable(gl.BLEND);
  }

  /** Return scene-linear R, G, B, A of a pixel of what was drawn last. */
  sample(x, y) {
    const { gl } = this;
    const pixel = new Float32Array(4);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets.light.buffer);
    gl.readPixels(x, y, 1, 1, gl.RGBA, gl.FLOAT, pixel);
    return pixel;
  }
}
