/** The formats that the language model's file has, and that its twins get. Numbers as in `ggml.h`. */
export const ggmlType = { f32: 0, f16: 1, q4_1: 3, q8_0: 8 } as const;

type Decode = (view: DataView, at: number, into: Float32Array, from: number) => void;

interface BlockFormat {
  readonly elements: number;
  readonly bytes: number;
  readonly decode: Decode;
}

/** @see ggml-common.h `block_q4_1`, `block_q8_0` and ggml-quants.c `dequantize_row_…`, llama.cpp v0.5.0 */
const formats: Readonly<Record<number, BlockFormat>> = {
  [ggmlType.f32]: {
    elements: 1,
    bytes: 4,
    decode: (view, at, into, from) => {
      into[from] = view.getFloat32(at, true);
    },
  },
  [ggmlType.q4_1]: {
    elements: 32,
    bytes: 20,
    decode: (view, at, into, from) => {
      const scale = readHalf(view, at);
      const least = readHalf(view, at + 2);
      for (let index = 0; index < 16; index += 1) {
        const pair = view.getUint8(at + 4 + index);
        into[from + index] = scale * (pair & 15) + least;
        into[from + index + 16] = scale * (pair >> 4) + least;
      }
    },
  },
  [ggmlType.q8_0]: {
    elements: 32,
    bytes: 34,
    decode: (view, at, into, from) => {
      const scale = readHalf(view, at);
      for (let index = 0; index < 32; index += 1) into[from + index] = scale * view.getInt8(at + 2 + index);
    },
  },
};

/**
 * The weights of a tensor as numbers.
 * @param type Number of its ggml type: F32, Q4_1 or Q8_0. @throws for any other.
 * @param data Its bytes, which may be followed by padding.
 * @param count Number of its elements.
 */
export function dequantise(type: number, data: Uint8Array, count: number): Float32Array {
  const format = formats[type];
  if (format === undefined) throw new Error(`no reader for tensors of ggml type ${type}`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const weights = new Float32Array(count);
  for (let block = 0; block * format.elements < count; block += 1)
    format.decode(view, block * format.bytes, weights, block * format.elements);
  return weights;
}

function readHalf(view: DataView, at: number): number {
  return fromHalf(view.getUint16(at, true));
}

/** The number with these 16 bits. @see IEEE 754-2008 binary16 */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** The bits of the nearest 16-bit numbers; the even one of two. Weights beyond 65504 do not occur and throw. */
export function toHalves(weights: Float32Array): Uint16Array {
  const bits = new Uint32Array(weights.buffer, weights.byteOffset, weights.length);
  const halves = new Uint16Array(weights.length);
  for (let index = 0; index < weights.length; index += 1) halves[index] = toHalf(bits[index] ?? 0);
  return halves;
}

/** @param bits Of a 32-bit number. */
function toHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const rest = bits & 0x7fff_ffff;
  // From 65520 on the nearest 16-bit number is infinity.
  if (rest >= 0x477f_f000) throw new Error("a weight is too large for 16 bits");
  // Below 2^-14 the fraction has fewer bits: 2^-24 is the unit.
  if (rest < 0x3880_0000) return sign | roundToEven(Math.abs(fromBits(rest)) * 2 ** 24);
  // Half a unit less one, and one more when the last bit that stays is odd. An overflow raises the exponent.
  return sign | ((rest - 0x3800_0000 + 0xfff + ((rest >>> 13) & 1)) >>> 13);
}

const scratch = new DataView(new ArrayBuffer(4));

function fromBits(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
