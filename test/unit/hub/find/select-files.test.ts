import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { findQuant, selectFiles } from "../../../../src/hub/find/select-files.ts";
import type { HubModelRef } from "../../../../src/profiles/schema/schema.ts";

const set = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}-0000${i + 1}-of-0000${count}.gguf`);

/** A repository as Unsloth lays them out. */
const glm = [
  ".gitattributes",
  "README.md",
  "config.json",
  "imatrix_unsloth.gguf",
  "mmproj-BF16.gguf",
  "mmproj-Q4_K_M.gguf",
  "mtp-GLM-4.7-Q4_K_M.gguf",
  "GLM-4.7-Q2_K.gguf",
  "GLM-4.7-Q2_K_L.gguf",
  ...set("BF16/GLM-4.7-BF16", 4),
  ...set("Q4_K_M/GLM-4.7-Q4_K_M", 2),
  ...set("UD-Q2_K_XL/GLM-4.7-UD-Q2_K_XL", 3),
  ...set("UD-IQ1_S/GLM-4.7-UD-IQ1_S", 2),
];

const quant = (name: string): HubModelRef => ({ hf: "unsloth/GLM-4.7-GGUF", quant: name });
const file = (name: string): HubModelRef => ({ hf: "unsloth/GLM-4.7-GGUF", file: name });

function failure(names: readonly string[], ref: HubModelRef): LlmctlError {
  try {
    selectFiles(names, ref, "p.yaml:3:5");
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("by quant", () => {
  test("finds a split set in its folder, first shard first", () => {
    expect(selectFiles(glm.toReversed(), quant("UD-Q2_K_XL"))).toEqual(set("UD-Q2_K_XL/GLM-4.7-UD-Q2_K_XL", 3));
  });

  test("takes Q2_K for neither UD-Q2_K_XL nor Q2_K_L", () => {
    expect(selectFiles(glm, quant("Q2_K"))).toEqual(["GLM-4.7-Q2_K.gguf"]);
  });

  test("does not take Q2_K_XL for UD-Q2_K_XL", () => {
    expect(failure(glm, quant("Q2_K_XL")).code).toBe("quant-not-found");
  });

  test("ignores case on both sides", () => {
    expect(selectFiles(["model-q4_0.gguf"], quant("Q4_0"))).toEqual(["model-q4_0.gguf"]);
    expect(selectFiles(glm, quant("ud-iq1_s"))).toEqual(set("UD-IQ1_S/GLM-4.7-UD-IQ1_S", 2));
  });

  test.each([
    ["model.Q4_K_M.gguf", "Q4_K_M"],
    ["model-Q4_K_M.gguf", "Q4_K_M"],
    ["model_q8_0.gguf", "Q8_0"],
    ["Q8_0.gguf", "Q8_0"],
    ["gpt-oss-20b-MXFP4.gguf", "MXFP4"],
    ["model-TQ1_0.gguf", "TQ1_0"],
    ["model-Q4_0_4_4.gguf", "Q4_0_4_4"],
    ["cloud-Q4_0.gguf", "Q4_0"],
    ["model-imat-Q4_K_M.gguf", "imat-Q4_K_M"],
    ["Q5_K_M/model.gguf", "Q5_K_M"],
    ["UD-Q2_K_XL/model-Q2_K_XL.gguf", "UD-Q2_K_XL"],
  ])("finds %s as %s", (name, wanted) => {
    expect(selectFiles([name, "other-IQ3_M.gguf"], quant(wanted))).toEqual([name]);
  });

  test.each([
    ["model-BF16.gguf", "F16"],
    ["model-IQ4_NL.gguf", "Q4_NL"],
    ["model-Q4_K_M.gguf", "K_M"],
    ["model-Q4_K_M.gguf", "M"],
    ["UD-Q2_K_XL/model-Q2_K_XL.gguf", "Q2_K_XL"],
    ["Q4_K_M/model-Q8_0.gguf", "Q4_K_M"],
    ["model-Q4_K_M.gguf.incomplete", "Q4_K_M"],
    ["mmproj-model-Q8_0.gguf", "Q8_0"],
    ["model-mmproj-Q8_0.gguf", "Q8_0"],
    ["MMPROJ-Q8_0.GGUF", "Q8_0"],
    ["imatrix-Q8_0.gguf", "Q8_0"],
  ])("does not take %s for %s", (name, wanted) => {
    expect(failure([name], quant(wanted)).code).toBe("quant-not-found");
  });

  test("leaves an MTP head beside the model alone", () => {
    expect(selectFiles(glm, quant("Q4_K_M"))).toEqual(set("Q4_K_M/GLM-4.7-Q4_K_M", 2));
  });

  test("lists the quants and suggests the nearest when none matches", () => {
    const error = failure(glm, quant("UD-Q2_K_L"));
    expect(error).toMatchObject({ code: "quant-not-found", exit: "config", at: "p.yaml:3:5" });
    expect(error.message).toBe(
      '"unsloth/GLM-4.7-GGUF" has no quant "UD-Q2_K_L"; it has BF16, Q2_K, Q2_K_L, Q4_K_M, UD-IQ1_S, UD-Q2_K_XL',
    );
    expect(error.fix).toBe('did you mean "UD-Q2_K_XL"?');
  });

  test.each([
    ["a-Q4_0.gguf", "Q4_0"],
    ["x/UD-Q2_K_XL/a-Q2_K_XL-00001-of-00002.gguf", "UD-Q2_K_XL"],
    ["Q8_0/a.gguf", "Q8_0"],
    ["Q8_0/a-Q4_0.gguf", "Q4_0"],
    ["a-NVFP4.gguf", "NVFP4"],
    ["a-MXFP4_MOE.gguf", "MXFP4_MOE"],
    ["a-f32.gguf", "f32"],
    ["a-Q4_0-extra.gguf", undefined],
    ["aQ4_0.gguf", undefined],
    ["a.gguf", undefined],
  ])("the quant of %s is %s", (name, found) => {
    expect(findQuant(name)).toBe(found);
  });

  test("suggests nothing where nothing is near, and lists a model without a quant by its name", () => {
    const error = failure(["plain.gguf", "a-Q4_0.gguf", "b-Q4_0.gguf"], quant("NVFP4"));
    expect(error.message).toBe('"unsloth/GLM-4.7-GGUF" has no quant "NVFP4"; it has Q4_0, plain');
    expect(error.fix).toBeUndefined();
  });

  test("reports a repository without a GGUF file", () => {
    expect(failure(["model.safetensors"], quant("Q4_0")).message).toBe('"unsloth/GLM-4.7-GGUF" has no GGUF model');
  });

  test("lists the models that a quant could mean", () => {
    const error = failure(["a-Q4_0.gguf", "b-Q4_0.gguf", ...set("c-Q4_0", 2)], quant("Q4_0"));
    expect(error).toMatchObject({ code: "model-ambiguous", exit: "config", fix: "name one of them with `file`" });
    expect(error.message).toContain("could mean 3 models: a-Q4_0.gguf, b-Q4_0.gguf, c-Q4_0-00001-of-00002.gguf");
  });

  test("names the shards that are missing", () => {
    const names = set("a-Q4_0", 3).filter((name) => !name.includes("00002"));
    expect(failure(names, quant("Q4_0"))).toMatchObject({
      code: "shards-missing",
      exit: "missingFile",
      message: '"unsloth/GLM-4.7-GGUF" (Q4_0) is not complete: a-Q4_0-00002-of-00003.gguf is missing',
    });
  });

  test("selects only a quant's own file among any others", () => {
    const known = ["Q2_K", "Q2_K_L", "Q2_K_XL", "UD-Q2_K_XL", "IQ2_XXS", "UD-IQ2_XXS", "Q4_0", "Q8_0", "F16", "BF16"];
    fc.assert(
      fc.property(
        fc.subarray(known, { minLength: 1 }),
        fc.constantFrom("-", "."),
        fc.nat(),
        (quants, separator, pick) => {
          const names = quants.map((each) => `model${separator}${each}.gguf`);
          const wanted = quants[pick % quants.length] ?? "";
          expect(selectFiles(names, quant(wanted.toLowerCase()))).toEqual([`model${separator}${wanted}.gguf`]);
        },
      ),
    );
  });
});

describe("by file", () => {
  test("takes the path in the repository, or the name alone", () => {
    const first = "UD-IQ1_S/GLM-4.7-UD-IQ1_S-00001-of-00002.gguf";
    expect(selectFiles(glm, file(first))).toEqual(set("UD-IQ1_S/GLM-4.7-UD-IQ1_S", 2));
    expect(selectFiles(glm, file(first.slice("UD-IQ1_S/".length)))).toEqual(set("UD-IQ1_S/GLM-4.7-UD-IQ1_S", 2));
  });

  test("takes a file that lies beside the models when it is named", () => {
    expect(selectFiles(glm, file("mtp-GLM-4.7-Q4_K_M.gguf"))).toEqual(["mtp-GLM-4.7-Q4_K_M.gguf"]);
  });

  test("prefers the exact path over the same name in a folder", () => {
    expect(selectFiles(["x/a.gguf", "a.gguf"], file("a.gguf"))).toEqual(["a.gguf"]);
  });

  test("refuses a name that is in two folders", () => {
    expect(failure(["y/a.gguf", "x/a.gguf"], file("a.gguf"))).toMatchObject({
      code: "model-ambiguous",
      message: '"unsloth/GLM-4.7-GGUF" (a.gguf) could mean 2 models: x/a.gguf, y/a.gguf',
      fix: "name one of them with `file`",
      at: "p.yaml:3:5",
    });
  });

  test("refuses a later shard and names the first", () => {
    expect(failure(glm, file("GLM-4.7-BF16-00002-of-00004.gguf"))).toMatchObject({
      code: "not-first-shard",
      message: '"GLM-4.7-BF16-00002-of-00004.gguf" is not the first shard of its set',
      exit: "config",
      at: "p.yaml:3:5",
      fix: 'name "BF16/GLM-4.7-BF16-00001-of-00004.gguf"',
    });
  });

  test("takes an mmproj file when it is named", () => {
    expect(selectFiles(glm, file("mmproj-BF16.gguf"))).toEqual(["mmproj-BF16.gguf"]);
  });

  test("takes nothing outside the repository", () => {
    expect(failure(glm, file("../GLM-4.7-Q2_K.gguf")).code).toBe("file-not-found");
  });

  test("takes a path that is written in another way", () => {
    expect(selectFiles(glm, file("BF16/../GLM-4.7-Q2_K.gguf"))).toEqual(["GLM-4.7-Q2_K.gguf"]);
  });

  test("suggests the nearest file, and lists sets by their first shards", () => {
    expect(failure(["model-Q4_0.gguf", ...set("b", 2)], file("modl-Q4_0.gguf"))).toMatchObject({
      code: "file-not-found",
      message: '"unsloth/GLM-4.7-GGUF" has no file "modl-Q4_0.gguf"; it has b-00001-of-00002.gguf, model-Q4_0.gguf',
      fix: 'did you mean "model-Q4_0.gguf"?',
    });
  });
});

describe("by neither quant nor file", () => {
  test("finds the only model there is", () => {
    expect(selectFiles(["README.md", "mmproj-F16.gguf", ...set("Q4/Tiny-Q4_0", 2)], { hf: "o/r" })).toEqual(
      set("Q4/Tiny-Q4_0", 2),
    );
  });

  test("lists the choices", () => {
    const error = failure(glm, { hf: "unsloth/GLM-4.7-GGUF" });
    expect(error.message).toMatch(
      /^"unsloth\/GLM-4\.7-GGUF" could mean 6 models: BF16\/GLM-4\.7-BF16-00001-of-00004\.gguf, /,
    );
    expect(error.fix).toBe("name the quant of one of them");
  });
});

describe("hostile listings", () => {
  const firsts = Array.from({ length: 3000 }, (_, i) => `a${i}-Q4_K_M-00001-of-99999.gguf`);

  test("thousands of sets of 99,999 shards cost as little as their names, and are listed in part", () => {
    const error = failure(firsts, quant("Q4_K_M"));
    expect(error.code).toBe("model-ambiguous");
    expect(error.message).toContain("could mean 3000 models: a0-Q4_K_M-00001-of-99999.gguf");
    expect(error.message).toMatch(/ and 2960 more$/);
  });

  test.each([4097, 8000, 99_999])("a set of %i shards is refused, complete or not", (count) => {
    const digits = (number: number) => String(number).padStart(5, "0");
    const all = Array.from({ length: count }, (_, i) => `a-Q4_K_M-${digits(i + 1)}-of-${digits(count)}.gguf`);
    for (const names of [all, all.slice(0, 1)]) {
      for (const ref of [quant("Q4_K_M"), file(all[0] ?? "")]) {
        expect(failure(names, ref)).toMatchObject({ code: "too-many-shards", at: "p.yaml:3:5" });
      }
    }
  });

  test("a set of 4096 shards is found, and its missing shards are listed in part", () => {
    const digits = (number: number) => String(number).padStart(5, "0");
    const all = Array.from({ length: 4096 }, (_, i) => `a-Q4_K_M-${digits(i + 1)}-of-04096.gguf`);
    expect(selectFiles(all.toReversed(), quant("Q4_K_M"))).toEqual(all);
    const error = failure(all.slice(0, 1), quant("Q4_K_M"));
    expect(error.code).toBe("shards-missing");
    expect(error.message.length).toBeLessThan(3000);
  });

  test("many long names of quants are listed in part", () => {
    const names = Array.from({ length: 5000 }, (_, i) => `${"x".repeat(900)}${i}.gguf`);
    for (const ref of [quant("Q4_K_M"), file("none.gguf")])
      expect(failure(names, ref).message.length).toBeLessThan(20_000);
  });

  test("a quant is searched only at a name's end", () => {
    const names = Array.from({ length: 2000 }, (_, i) => `${"_Q1".repeat(20_000)}_q${i}-.gguf`);
    expect(failure(names.slice(0, 50), quant("Q4_K_M")).code).toBe("quant-not-found");
  });
});
