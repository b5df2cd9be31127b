let block;

// Weights from one block of bytes. `arrays` holds for each: bits, rows, columns, first byte.

function bytes(base64) {
  const text = atob(base64), result = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) result[i] = text.charCodeAt(i);
  return result;
}

// Decompress bytes.
async function inflated(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The text of an array of bytes.
function text(number) {
  const [, , count, start] = arrays[number];
  return new TextDecoder().decode(block.subarray(start, start + count));
}

// The numbers of an array, row after row. Rounded ones are values times a scale, plus an offset: at 8 bits one scale
// for each row, at 4 bits one scale and one offset for each group of 32 numbers of a row.
function numbers(number) {
  const [bits, height, width, start] = arrays[number], count = height * width;
  const floats = (at, size) => new Float32Array(block.slice(at, at + 4 * size).buffer);
  if (bits > 32) return new Float64Array(block.slice(start, start + 8 * count).buffer);
  if (bits > 8) return floats(start, count);
  const groups = bits < 8 ? Math.ceil(width / 32) : 1, scales = floats(start, height * groups);
  let at = start + 4 * height * groups;
  const result = new Float32Array(count), offsets = bits < 8 && floats(at, height * groups);
  if (offsets) at += 4 * height * groups;
  for (let row = 0, k = 0; row < height; row++, at += bits < 8 ? (width + 1) >> 1 : width)
    for (let i = 0; i < width; i++, k++) {
      const group = row * groups + (offsets ? i >> 5 : 0);
      result[k] = offsets
        ? ((block[at + (i >> 1)] >> (4 * (i & 1))) & 15) * scales[group] + offsets[group]
        : ((block[at + i] << 24) >> 24) * scales[group];
    }
  return result;
}
