import { GGMLFileQuantizationType, GGMLQuantizationType } from "@huggingface/gguf";
import { expect, test } from "vitest";
import { findFileType, findGgmlType } from "../../../src/gguf/ggml-types.ts";

/** Bits for a weight, as llama.cpp's documents name them; a block has its scales beside the weights. */
const bits = new Map(
  (
    "F32 32, F16 16, BF16 16, F64 64, I8 8, I16 16, I32 32, I64 64, " +
    "Q4_0 4.5, Q4_1 5, Q5_0 5.5, Q5_1 6, Q8_0 8.5, Q8_1 9, MXFP4 4.25, NVFP4 4.5, Q1_0 1.125, Q2_0 2.25, " +
    "Q2_K 2.625, Q3_K 3.4375, Q4_K 4.5, Q5_K 5.5, Q6_K 6.5625, Q8_K 9.125, TQ1_0 1.6875, TQ2_0 2.0625, " +
    "IQ2_XXS 2.0625, IQ2_XS 2.3125, IQ2_S 2.5625, IQ3_XXS 3.0625, IQ3_S 3.4375, IQ1_S 1.5625, IQ1_M 1.75, " +
    "IQ4_NL 4.5, IQ4_XS 4.25"
  )
    .split(", ")
    .map((row) => row.split(" "))
    .map(([name = "", number]) => [name, Number(number)]),
);
const blocks: Readonly<Record<string, readonly string[]>> = {
  1: ["F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"],
  32: ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "IQ4_NL", "MXFP4"],
  64: ["NVFP4", "Q2_0"],
  128: ["Q1_0"],
};

function idsOf(names: object): number[] {
  return Object.keys(names).map(Number).filter(Number.isInteger);
}

test("every tensor type has its number, its name, and the bytes of a block", () => {
  const names: Readonly<Record<number, string>> = GGMLQuantizationType;
  for (const id of idsOf(names)) {
    const name = names[id] ?? "";
    const block = Number(Object.entries(blocks).find(([, types]) => types.includes(name))?.[0] ?? 256);
    expect(findGgmlType(id)).toEqual({ name, block, bytes: ((bits.get(name) ?? 0) * block) / 8 });
  }
  expect([...bits]).toHaveLength(idsOf(names).length);
});

test("a type that is newer than the table, or was given up, is unknown", () => {
  expect([-1, 4, 5, 31, 32, 33, 36, 43, 1000].map(findGgmlType)).toEqual(Array.from({ length: 9 }, () => undefined));
});

test("every weight format has its number and its name", () => {
  const names: Readonly<Record<number, string>> = GGMLFileQuantizationType;
  // llama.cpp has given these up, and names of 1000 and more are no numbers of a file.
  const gone = [4, 5, 6, 33, 34, 35];
  const ids = idsOf(names).filter((id) => id < 1000 && !gone.includes(id));
  expect(Object.fromEntries(ids.map((id) => [id, findFileType(id)]))).toEqual(
    Object.fromEntries(ids.map((id) => [id, names[id]])),
  );
  expect([...gone, 42, -1].map(findFileType)).toEqual(Array.from({ length: 8 }, () => undefined));
});
