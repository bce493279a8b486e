// Lights turned, dimmed and added before any pixel is shaded, as relume.light.maps does it.
// A turn by part of a texel is a shift of each row's Fourier series. The series of a light is found
// once, so that a change costs one inverse transform however many lights there are.

const HARMONICS = 16;

/** A Fourier transform of a fixed power of two, in place. */
class Fourier {
  constructor(size) {
    if (size & (size - 1)) throw new Error(`a map is ${size} wide, not a power of two`);
    this.size = size;
    this.cosine = Float64Array.from({ length: size / 2 }, (_, k) =>
      Math.cos((2 * Math.PI * k) / size),
    );
    this.sine = Float64Array.from({ length: size / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / size));
    const bits = Math.log2(size);
    this.order = Uint32Array.from({ length: size }, (_, i) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) if (i & (1 << bit)) reversed |= 1 << (bits - 1 - bit);
      return reversed;
    });
    this.re = new Float64Array(size);
    this.im = new Float64Array(size);
  }

  /** Transform `re` and `im`: exp(-ikx) for a sign of -1, exp(+ikx) for +1, without a factor. */
  run(sign) {
    const { size, re, im, order, cosine, sine } = this;
    for (let i = 0; i < size; i++) {
      const j = order[i];
      if (j > i) {
        [re[i], re[j]] = [re[j], re[i]];
        [im[i], im[j]] = [im[j], im[i]];
      }
    }
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const c = cosine[k * stride];
          const s = sign * sine[k * stride];
          const a = start + k;
          const b = a + half;
          const x = re[b] * c - im[b] * s;
          const y = re[b] * s + im[b] * c;
          re[b] = re[a] - x;
          im[b] = im[a] - y;
          re[a] += x;
          im[a] += y;
        }
      }
    }
  }
}

const fouriers = new Map();
function fourier(size) {
  if (!fouriers.has(size)) fouriers.set(size, new Fourier(size));
  return fouriers.get(size);
}

/** The maps of a light as Fourier series, a line for each layer, row and channel. */
export class Maps {
  constructor(message) {
    const { data, shape } = message.arrays.maps;
    [this.layers, this.height, this.width] = shape;
    this.exponents = message.exponents;
    this.harmonics = Float64Array.from(message.arrays.harmonics.data);
    const lines = this.layers * this.height * 3;
    const modes = this.width / 2 + 1;
    this.series = new Float32Array(lines * modes * 2);
    const transform = fourier(this.width);
    const { re, im } = transform;
    // Two real lines fit into one complex transform.
    for (let line = 0; line < lines; line += 2) {
      for (let i = 0; i < this.width; i++) {
        re[i] = data[texel(line, i, this.width)];
        im[i] = data[texel(line + 1, i, this.width)];
      }
      transform.run(-1);
      for (let k = 0; k < modes; k++) {
        const other = (this.width - k) % this.width;
        const at = (line * modes + k) * 2;
        const next = at + modes * 2;
        this.series[at] = (re[k] + re[other]) / 2;
        this.series[at + 1] = (im[k] - im[other]) / 2;
        this.series[next] = (im[k] + im[other]) / 2;
        this.series[next + 1] = (re[other] - re[k]) / 2;
      }
    }
  }
}

/** Where column `i` of a line is in maps of interleaved R, G, B. */
const texel = (line, i, width) => (Math.floor(line / 3) * width + i) * 3 + (line % 3);

/**
 * Add lights.
 * @param lights list of {maps, degrees, gain: [r, g, b]}; all of one size.
 * @returns texels of all layers as R, G, B, A, and 16 harmonics as vec3.
 */
export function sum(lights) {
  const { layers, height, width, exponents } = lights[0].maps;
  const lines = layers * height * 3;
  const modes = width / 2 + 1;
  const total = new Float64Array(lines * modes * 2);
  const around = new Float32Array(HARMONICS * 3);
  for (const { maps, degrees, gain } of lights) {
    if (maps.layers !== layers || maps.width !== width) throw new Error("two lights differ in size");
    const radians = (degrees * Math.PI) / 180;
    const waves = Float64Array.from({ length: 2 * modes }, (_, i) =>
      i % 2 ? -Math.sin(radians * (i >> 1)) : Math.cos(radians * (i >> 1)),
    );
    for (let line = 0, at = 0; line < lines; line++) {
      const factor = gain[line % 3];
      for (let k = 0; k < modes; k++, at += 2) {
        const re = maps.series[at] * factor;
        const im = maps.series[at + 1] * factor;
        total[at] += re * waves[2 * k] - im * waves[2 * k + 1];
        total[at + 1] += re * waves[2 * k + 1] + im * waves[2 * k];
      }
    }
    const turned = turnHarmonics(maps.harmonics, radians);
    for (let i = 0; i < around.length; i++) around[i] += turned[i] * gain[i % 3];
  }
  return { texels: back(total, layers, height, width), around, layers, height, width, exponents };
}

/** Return the texels of Fourier series. */
function back(series, layers, height, width) {
  const lines = layers * height * 3;
  const modes = width / 2 + 1;
  const transform = fourier(width);
  const { re, im } = transform;
  const texels = new Float32Array(layers * height * width * 4);
  for (let line = 0; line < lines; line += 2) {
    for (let k = 0; k < modes; k++) {
      const a = (line * modes + k) * 2;
      const b = a + modes * 2;
      const edge = k === 0 || k === width / 2; // these are real, whatever a turn has made of them
      const aIm = edge ? 0 : series[a + 1];
      const bIm = edge ? 0 : series[b + 1];
      re[k] = series[a] - bIm;
      im[k] = aIm + series[b];
      if (!edge) {
        re[width - k] = series[a] + bIm;
        im[width - k] = series[b] - aIm;
      }
    }
    transform.run(1);
    for (let i = 0; i < width; i++) {
      texels[place(line, i, width)] = re[i] / width;
      texels[place(line + 1, i, width)] = im[i] / width;
    }
  }
  return texels;
}

const place = (line, i, width) => (Math.floor(line / 3) * width + i) * 4 + (line % 3);

/** Turn harmonics about +Y, as relume.light.harmonics.turn does. */
function turnHarmonics(given, radians) {
  const out = Float64Array.from(given);
  for (let degree = 1; degree * degree < HARMONICS; degree++) {
    const middle = degree * (degree + 1);
    for (let m = 1; m <= degree; m++) {
      const c = Math.cos(m * radians);
      const s = Math.sin(m * radians);
      for (let channel = 0; channel < 3; channel++) {
        const even = (middle + m) * 3 + channel;
        const odd = (middle - m) * 3 + channel;
        out[even] = c * given[even] + s * given[odd];
        out[odd] = c * given[odd] - s * given[even];
      }
    }
  }
  return out;
}

/** Multiply harmonics by a 16×16 matrix: light of the world as a turned camera sees it. */
export function seenFrom(around, matrix) {
  if (!matrix) return around;
  const out = new Float32Array(around.length);
  for (let row = 0; row < HARMONICS; row++) {
    for (let column = 0; column < HARMONICS; column++) {
      for (let channel = 0; channel < 3; channel++) {
        out[row * 3 + channel] += matrix[row * HARMONICS + column] * around[column * 3 + channel];
      }
    }
  }
  return out;
}

/** Where the weight of each lobe goes when surfaces become glossier: relume.shading.look.gloss_mix. */
export function glossMix(exponents, gloss) {
  const count = exponents.length;
  const place = exponents.map(Math.log2);
  const mix = new Float32Array(count * count);
  place.forEach((from, column) => {
    const at = Math.min(place[count - 1], Math.max(place[0], from + gloss));
    let upper = place.findIndex((edge) => edge >= at);
    upper = Math.min(count - 1, Math.max(1, upper));
    const share = (at - place[upper - 1]) / (place[upper] - place[upper - 1]);
    mix[(upper - 1) * count + column] += 1 - share;
    mix[upper * count + column] += share;
  });
  return mix;
}
