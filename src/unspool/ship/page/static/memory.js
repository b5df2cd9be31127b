// One array of numbers, in WebAssembly's memory where there is WebAssembly. Places count numbers, not bytes.

let F, I, memory, top = 4, products, steps;

// See the memory as numbers and as whole numbers.
function view(buffer) {
  F = new Float32Array(buffer);
  I = new Int32Array(buffer);
}

// Reserve numbers: whole vectors of four, and one more vector that a loop may touch behind them.
function room(count) {
  const at = top;
  top += (count + 7) & ~3;
  if (top > F.length) {
    const old = F, pages = Math.ceil((top * 1.5 - F.length) / 16384);
    if (memory) memory.grow(pages);
    view(memory ? memory.buffer : new ArrayBuffer(F.byteLength + pages * 65536));
    if (!memory) F.set(old);
  }
  return at;
}

// Let a function reserve memory from here on, anew in each call.
function fresh(f) {
  let mark;
  return (...q) => {
    top = mark ??= top;
    return f(...q);
  };
}

// Store numbers, and return their place.
function keep(numbers) {
  const at = room(numbers.length);
  F.set(numbers, at);
  return at;
}

// Pack a matrix of which entry (k, j) stands at k * down + j * across: panels of `wide` vectors of columns, row after
// row in each, then the other columns in panels of one vector.
function pack(numbers, depth, width, down, across) {
  const at = room(depth * width + 4 * depth);
  let j = 0, to = at;
  while (j < width) {
    const columns = j + 4 * wide <= ((width + 3) & ~3) ? 4 * wide : 4;
    for (let k = 0; k < depth; k++)
      for (let i = j; i < j + columns; i++) F[to++] = i < width ? numbers[k * down + i * across] : 0;
    j += columns;
  }
  return at;
}

// Multiply a row by a packed matrix, in plain JavaScript.
let wide = 1, product = (x, matrix, depth, vectors, y) => {
  const f = F;
  for (let w = matrix; vectors--; y += 4) {
    let a = 0, b = 0, c = 0, d = 0;
    for (let k = x; k < x + depth; k++, w += 4) {
      const v = f[k];
      a += v * f[w]; b += v * f[w + 1]; c += v * f[w + 2]; d += v * f[w + 3];
    }
    f[y] = a; f[y + 1] = b; f[y + 2] = c; f[y + 3] = d;
  }
};

// Begin: with the module's bytes in WebAssembly, otherwise in plain JavaScript.
async function begin(module, plain) {
  const pages = 16;
  try {
    if (!module) throw 0;
    memory = new WebAssembly.Memory({ initial: pages });
    const stack = new WebAssembly.Global({ value: "i32", mutable: true }, 65536);
    const env = { __linear_memory: memory, __stack_pointer: stack, ...library };
    const { exports } = (await WebAssembly.instantiate(module, { env })).instance;
    top = 16384; // below is the stack
    view(memory.buffer);
    wide = 8;
    product = (x, matrix, depth, vectors, y) => exports.product(x * 4, matrix * 4, depth, vectors, y * 4);
    steps = plain.map((_, number) => (table) => exports[`step${number}`](table * 4));
    return "WebAssembly";
  } catch {
    memory = 0;
    view(new ArrayBuffer(pages * 65536));
    steps = plain;
    return "JavaScript";
  }
}
