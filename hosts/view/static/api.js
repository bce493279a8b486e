// Requests to the server, and the binary messages it answers with.

const KEPT = "relume-token";

// The token is in the address once; a reload finds it in the tab's own storage.
const fromAddress = location.hash.slice(1);
if (fromAddress) {
  sessionStorage.setItem(KEPT, fromAddress);
  history.replaceState(null, "", location.pathname);
}
const token = sessionStorage.getItem(KEPT) ?? "";

const ARRAYS = {
  float16: Uint16Array, // halves travel to the graphics card as they are
  float32: Float32Array,
};

/** Ask the server; throws an Error with the server's sentence. */
async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${token}`, ...options.headers };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("relume no longer answers. Start `relume view` again.");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `The server answered ${answer.status}.`);
  }
  return answer;
}

const sent = (document) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(document),
});

/** Split a message into its header and its arrays. */
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const [name, { at, type, shape }] of Object.entries(header.arrays)) {
    const count = shape.reduce((a, b) => a * b, 1);
    arrays[name] = { data: new ARRAYS[type](buffer, 4 + length + at, count), shape };
  }
  return { ...header, arrays };
}

export const get = async (path) => (await ask(path)).json();
export const post = async (path, document) => (await ask(path, sent(document))).json();
export const text = async (path, document) => (await ask(path, sent(document))).text();
export const binary = async (path, document) =>
  unpack(await (await ask(path, sent(document))).arrayBuffer());

/** Return a frame's message; `progress` hears how far an unfinished one is. */
export async function frame(number, progress, signal) {
  for (;;) {
    const answer = await ask(`/api/frame/${number}`, { signal });
    if (answer.status === 200) return unpack(await answer.arrayBuffer());
    progress(await answer.json());
  }
}

export const upload = async (file) =>
  (
    await ask(`/api/upload?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file })
  ).json();
