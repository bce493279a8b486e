// The shading of relume.shading, the view of OCIO, and the picture on the page.

const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler2DArray;
precision highp sampler3D;
`;

export const VERTEX = `#version 300 es
void main() {
  // One triangle that covers everything.
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}
`;

// Bilinear look-up in lat-long images, around in u and across the poles: relume.light.latlong.
const LATLONG = `
const float PI = 3.14159265358979;
vec2 latLong(vec3 d) {
  float around = length(d.xz);
  float u = around > 0.0 ? atan(d.x, -d.z) / (2.0 * PI) + 0.5 : 1.0;
  float v = around > 0.0 || d.y != 0.0 ? 0.5 - atan(d.y, around) / PI : 0.5;
  return vec2(u, v);
}
ivec2 wrapped(int column, int row, int height) {
  if (row < 0) { row = 0; column += height; }
  if (row >= height) { row = height - 1; column += height; }
  return ivec2((column + 4 * height) % (2 * height), row);
}
void taps(vec3 d, int height, out ivec2 at[4], out vec4 weight) {
  vec2 uv = latLong(d);
  vec2 p = uv * vec2(2 * height, height) - 0.5;
  vec2 corner = clamp(floor(p), vec2(-1.0), vec2(2 * height - 1, height - 1));
  vec2 f = p - corner;
  ivec2 c = ivec2(corner);
  at[0] = wrapped(c.x, c.y, height);
  at[1] = wrapped(c.x + 1, c.y, height);
  at[2] = wrapped(c.x, c.y + 1, height);
  at[3] = wrapped(c.x + 1, c.y + 1, height);
  weight = vec4((1.0 - f.x) * (1.0 - f.y), f.x * (1.0 - f.y), (1.0 - f.x) * f.y, f.x * f.y);
}
`;

const MAPS = `
uniform sampler2DArray maps;
uniform int lobes[4];
vec3 read(ivec2 at[4], vec4 weight, int layer) {
  return weight.x * texelFetch(maps, ivec3(at[0], layer), 0).rgb
    + weight.y * texelFetch(maps, ivec3(at[1], layer), 0).rgb
    + weight.z * texelFetch(maps, ivec3(at[2], layer), 0).rgb
    + weight.w * texelFetch(maps, ivec3(at[3], layer), 0).rgb;
}
vec3 lookUp(vec3 d, int layer) {
  ivec2 at[4];
  vec4 weight;
  taps(d, textureSize(maps, 0).y, at, weight);
  return read(at, weight, layer);
}
`;

// The shaper, the lattice by tetrahedra as OCIO does it, and the curve of sRGB: relume.hosts.view.looks.
const DISPLAY = `
uniform sampler3D lattice;
uniform vec3 shaper;
uniform float exposure;
vec3 corner(ivec3 at) { return texelFetch(lattice, at, 0).rgb; }
vec3 shown(vec3 light) {
  vec3 x = clamp(light * exposure, vec3(-65504.0), vec3(65504.0));
  vec3 code = (sign(x) * log2(1.0 + shaper.x * abs(x)) - shaper.y) / shaper.z;
  int last = textureSize(lattice, 0).x - 1;
  vec3 p = clamp(code, 0.0, 1.0) * float(last);
  ivec3 a = min(ivec3(p), ivec3(last - 1));
  vec3 f = p - vec3(a);
  ivec3 first = f.x >= f.y
    ? (f.x >= f.z ? ivec3(1, 0, 0) : ivec3(0, 0, 1))
    : (f.y >= f.z ? ivec3(0, 1, 0) : ivec3(0, 0, 1));
  ivec3 least = f.x < f.y
    ? (f.x < f.z ? ivec3(1, 0, 0) : ivec3(0, 0, 1))
    : (f.y < f.z ? ivec3(0, 1, 0) : ivec3(0, 0, 1));
  ivec3 second = ivec3(1) - least;
  float most = max(f.x, max(f.y, f.z));
  float least_ = min(f.x, min(f.y, f.z));
  float middle = f.x + f.y + f.z - most - least_;
  vec3 c = (1.0 - most) * corner(a) + (most - middle) * corner(a + first)
    + (middle - least_) * corner(a + second) + least_ * corner(a + ivec3(1));
  c = clamp(c, 0.0, 1.0);
  return mix(c * 12.92, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c));
}
`;

export const SHADE = `${HEAD}${LATLONG}${MAPS}
uniform sampler2DArray coefficients;
uniform sampler2DArray subject;
uniform sampler2D behind;
uniform sampler2D environment;
uniform ivec4 box;
uniform int kind;
uniform int lobe;
uniform int background;
uniform vec3 around[16];
uniform vec3 gains;
uniform mat4 gloss;
uniform vec3 original;
uniform bool lit;
uniform bool hasView;
uniform mat3 toWorld;
uniform float step_;
uniform vec4 window;
uniform float aspect;
uniform float fov;
uniform vec2 turned;
uniform float brightness;
out vec4 colour;

vec3 sky(ivec2 pixel) {
  int height = textureSize(environment, 0).y;
  float focal = 0.5 * window.z / tan(radians(fov) / 2.0);
  float texel = PI / float(height);
  int across = int(max(1.0, ceil(1.0 / (focal * texel))));
  int down = int(max(1.0, ceil(1.0 / (focal * aspect * texel))));
  vec3 total = vec3(0.0);
  for (int j = 0; j < down; j++) {
    for (int i = 0; i < across; i++) {
      vec2 at = vec2(pixel) * step_ + (vec2(i, j) + 0.5) / vec2(across, down);
      vec2 from = (at - (window.xy + window.zw / 2.0)) * vec2(aspect, -1.0) / (focal * aspect);
      vec3 d = vec3(from, -1.0);
      d = vec3(turned.x * d.x + turned.y * d.z, d.y, turned.x * d.z - turned.y * d.x);
      ivec2 tap[4];
      vec4 weight;
      taps(d, height, tap, weight);
      for (int k = 0; k < 4; k++) total += weight[k] * texelFetch(environment, tap[k], 0).rgb;
    }
  }
  return total / float(across * down) * brightness;
}

vec3 backdrop(ivec2 pixel) {
  if (background == 1) return texelFetch(behind, pixel, 0).rgb;
  if (background == 2) return sky(pixel);
  return vec3(0.0);
}

void main() {
  ivec2 pixel = ivec2(gl_FragCoord.xy);
  ivec2 at = pixel - box.xy;
  bool inside = all(greaterThanEqual(at, ivec2(0))) && all(lessThan(at, box.zw));
  at = clamp(at, ivec2(0), box.zw - 1);
  vec4 albedo = inside ? texelFetch(subject, ivec3(at, 0), 0) : vec4(0.0);
  vec4 normal = inside ? texelFetch(subject, ivec3(at, 1), 0) : vec4(0.0);
  vec3 plate = inside ? texelFetch(subject, ivec3(at, 2), 0).rgb : vec3(0.0);
  float alpha = albedo.a;
  if (kind == 11) { colour = vec4(texelFetch(behind, pixel, 0).rgb, 1.0); return; }
  if (kind == 10) { colour = vec4(backdrop(pixel), 1.0); return; }
  if (kind == 9) { colour = vec4(vec3(alpha), 1.0); return; }
  if (kind == 8) { colour = vec4(0.5 + 0.5 * normal.xyz * step(1e-7, alpha), 1.0); return; }
  if (kind == 7) { colour = vec4(albedo.rgb, 1.0); return; }
  if (kind == 6) { colour = vec4(plate, 1.0); return; }

  bool covered = normal.w > 0.5;
  bool valid = covered && any(notEqual(normal.xyz, vec3(0.0)));
  vec3 diffuse = vec3(0.0);
  vec3 specular = vec3(0.0);
  vec3 residual = vec3(0.0);
  vec3 tint = albedo.rgb * alpha;
  if (covered && lit) {
    float weights[24];
    for (int layer = 0; layer < 6; layer++) {
      vec4 four = texelFetch(coefficients, ivec3(at, layer), 0);
      weights[4 * layer] = four.r;
      weights[4 * layer + 1] = four.g;
      weights[4 * layer + 2] = four.b;
      weights[4 * layer + 3] = four.a;
    }
    if (valid) {
      vec3 n = normalize(normal.xyz);
      vec3 v = hasView ? normalize(texelFetch(subject, ivec3(at, 3), 0).xyz) : vec3(0.0, 0.0, 1.0);
      vec3 r = toWorld * (2.0 * dot(n, v) * n - v);
      vec3 light = lookUp(toWorld * normal.xyz, 0);
      if (kind == 4) { colour = vec4(light, 1.0); return; }
      ivec2 tap[4];
      vec4 weight;
      taps(r, textureSize(maps, 0).y, tap, weight);
      if (kind == 5) { colour = vec4(read(tap, weight, lobes[lobe]), 1.0); return; }
      diffuse = tint * weights[0] * light;
      vec4 share = gloss * vec4(weights[1], weights[2], weights[3], weights[4]);
      for (int k = 0; k < 4; k++) specular += share[k] * alpha * read(tap, weight, lobes[k]);
    }
    for (int k = 0; k < 16; k++) residual += weights[5 + k] * around[k];
    residual *= tint;
  }
  if (kind == 4 || kind == 5) { colour = vec4(0.0, 0.0, 0.0, 1.0); return; }
  diffuse *= gains.x;
  specular *= gains.y;
  residual = residual * gains.z + plate * alpha * original;
  vec3 relit = diffuse + specular + residual;
  if (kind == 1) relit = diffuse;
  if (kind == 2) relit = specular;
  if (kind == 3) relit = residual;
  if (kind == 0 && background != 0) relit += (1.0 - alpha) * backdrop(pixel);
  colour = vec4(clamp(relit, vec3(-65504.0), vec3(65504.0)), alpha);
}
`;

export const VIEW = `${HEAD}${DISPLAY}
uniform sampler2D picture;
uniform bool asStored;
out vec4 colour;
void main() {
  vec3 light = texelFetch(picture, ivec2(gl_FragCoord.xy), 0).rgb;
  colour = vec4(asStored ? clamp(light, 0.0, 1.0) : shown(light), 1.0);
}
`;

export const PRESENT = `${HEAD}
uniform sampler2D picture;
uniform sampler2D other;
uniform vec4 place;
uniform float height;
uniform float wipe;
uniform vec3 surround;
out vec4 colour;
void main() {
  vec2 p = vec2(gl_FragCoord.x, height - gl_FragCoord.y);
  vec2 uv = (p - place.xy) / place.zw;
  vec3 a = texture(picture, uv).rgb;
  vec3 b = texture(other, uv).rgb;
  bool inside = all(greaterThanEqual(uv, vec2(0.0))) && all(lessThan(uv, vec2(1.0)));
  colour = vec4(inside ? (uv.x < wipe ? b : a) : surround, 1.0);
}
`;

export const PROBE = `${HEAD}${LATLONG}${MAPS}${DISPLAY}
uniform vec4 place;
uniform bool mirror;
out vec4 colour;
void main() {
  vec2 p = (gl_FragCoord.xy - place.xy) / place.z * 2.0 - 1.0;
  float r = length(p);
  float edge = clamp((1.0 - r) * place.z * 0.5, 0.0, 1.0);
  if (edge <= 0.0) discard;
  vec3 n = vec3(p, sqrt(max(0.0, 1.0 - r * r)));
  n = normalize(n);
  vec3 light = mirror ? lookUp(vec3(2.0 * n.z * n.xy, 2.0 * n.z * n.z - 1.0), lobes[3])
    : 0.5 * lookUp(n, 0);
  colour = vec4(shown(light), edge);
}
`;
