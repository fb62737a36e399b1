import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dequantise, fromHalf, ggmlType, toHalves } from "../../support/dequantise.ts";

describe("numbers of 16 bits", () => {
  test.each([
    [0x0000, 0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x3555, 0.333_251_953_125],
    [0x7c00, Infinity],
  ])("the bits %i are %d", (bits, value) => {
    expect(fromHalf(bits)).toBe(value);
  });

  test("every finite number comes back", () => {
    const bits = Array.from({ length: 0x10000 }, (_, index) => index).filter((one) => ((one >> 10) & 31) !== 31);
    expect([...toHalves(Float32Array.from(bits, fromHalf))]).toEqual(bits);
  });

  test("a number becomes the nearest one, and the even one of two", () => {
    const between = fc.double({ min: -65_504, max: 65_504, noNaN: true }).map(Math.fround);
    fc.assert(
      fc.property(fc.oneof(between, fc.double({ min: -1, max: 1, noNaN: true }).map(Math.fround)), (value) => {
        const bits = toHalves(Float32Array.of(value))[0] ?? 0;
        const error = (other: number) => Math.abs(fromHalf(other) - value);
        for (const other of [bits - 1, bits + 1].filter((one) => Number.isFinite(fromHalf(one & 0xffff)))) {
          expect(error(bits)).toBeLessThanOrEqual(error(other & 0xffff));
          if (error(bits) === error(other & 0xffff)) expect(bits % 2).toBe(0);
        }
      }),
    );
  });

  test("a number that would become infinite is refused", () => {
    expect([...toHalves(Float32Array.of(65_519))]).toEqual([0x7bff]);
    expect(() => toHalves(Float32Array.of(65_520))).toThrow("too large");
  });
});

test("a block of Q4_1 has a scale, a least value and 32 numbers of 4 bits, the low ones first", () => {
  const block = Uint8Array.of(0x00, 0x38, 0x00, 0xbc, ...Array.from({ length: 16 }, (_, index) => index | (3 << 4)));
  const low = Array.from({ length: 16 }, (_, index) => 0.5 * index - 1);
  expect([...dequantise(ggmlType.q4_1, block, 32)]).toEqual([...low, ...low.map(() => 0.5)]);
});

test("a block of Q8_0 has a scale and 32 signed numbers", () => {
  const numbers = Int8Array.from({ length: 32 }, (_, index) => 8 * index - 128);
  const block = Uint8Array.of(0x00, 0x3c, ...new Uint8Array(numbers.buffer));
  expect([...dequantise(ggmlType.q8_0, block, 32)]).toEqual([...numbers]);
});

test("padding behind the data is left alone, and an unknown format is refused", () => {
  expect([...dequantise(ggmlType.f32, new Uint8Array(Float32Array.of(1.5, -2, 7).buffer), 2)]).toEqual([1.5, -2]);
  expect(() => dequantise(12, new Uint8Array(144), 256)).toThrow("type 12");
});
