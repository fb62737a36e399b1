import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bufferSource } from "../../../src/gguf/byte-source.ts";
import { GgufError } from "../../../src/gguf/gguf-error.ts";
import { readModelFacts } from "../../../src/gguf/model-facts.ts";
import { readModel, readModelFrom } from "../../../src/gguf/read-model.ts";
import { parseShardPath } from "../../../src/gguf/split-set.ts";
import { buildGguf, modelKeys, writeSplitSet } from "../../support/gguf-builder.ts";

const parts = {
  metadata: modelKeys(),
  tensors: Array.from({ length: 7 }, (_, index) => ({ name: `t${index}`, ne: [8, index + 1] })),
};

let folder = "";
let paths: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-split-"));
  paths = await writeSplitSet(folder, "model-Q4_K_M", parts, 3);
});
afterEach(() => rm(folder, { recursive: true }));

const path = (index: number): string => paths[index] ?? expect.unreachable();

async function refusal(file: string): Promise<GgufError> {
  const error = await readModel(file).catch((thrown: unknown) => thrown);
  if (error instanceof GgufError && error.code === "split-set") return error;
  throw new Error("expected a split-set error", { cause: error });
}

describe("a split set", () => {
  test("is found from its first shard, and its tensors add up", async () => {
    const model = await readModel(path(0));
    expect(model.shards.map(({ name }) => name)).toEqual(paths);
    expect(model.header.name).toBe(path(0));
    expect(readModelFacts(model).parameters).toBe(8 * (1 + 2 + 3 + 4 + 5 + 6 + 7));
  });

  test("may have a first shard that holds no tensors", async () => {
    const split = (number: number) => ({ "split.no": number, "split.count": 2 });
    await writeFile(join(folder, "m-00001-of-00002.gguf"), buildGguf({ metadata: { ...modelKeys(), ...split(0) } }));
    await writeFile(join(folder, "m-00002-of-00002.gguf"), buildGguf({ metadata: split(1), tensors: parts.tensors }));
    expect((await readModel(join(folder, "m-00001-of-00002.gguf"))).shards).toHaveLength(2);
  });

  test("names the shards that are missing", async () => {
    await rm(path(1));
    expect((await refusal(path(0))).message).toBe(`${path(0)} lacks 1 of its 3 shards: ${basename(path(1))}`);
  });

  test("names surplus shards", async () => {
    await writeFile(join(folder, "model-Q4_K_M-00004-of-00003.gguf"), "");
    expect((await refusal(path(0))).message).toContain("model-Q4_K_M-00004-of-00003.gguf");
  });

  test("is not disturbed by another set in the same folder", async () => {
    await writeFile(join(folder, "model-Q8_0-00001-of-00003.gguf"), "");
    await writeFile(join(folder, "model-Q4_K_M-00001-of-00002.gguf"), "");
    expect((await readModel(path(0))).shards).toHaveLength(3);
  });

  test("must be named by its first shard, which the error names", async () => {
    const error = await refusal(path(1));
    expect(error.message).toBe(`${path(1)} is shard 2 of 3; a model is named by its first shard`);
    expect(error.fix).toBe(`name ${path(0)}`);
  });

  test("cannot be found under a name with other numbers", async () => {
    await rename(path(0), join(folder, "model.gguf"));
    expect((await refusal(join(folder, "model.gguf"))).message).toContain(
      "is the first of 3 shards but its name does not tell",
    );
    await rename(join(folder, "model.gguf"), join(folder, "model-00001-of-00002.gguf"));
    await refusal(join(folder, "model-00001-of-00002.gguf"));
  });

  test("with shards in the wrong order, or short of tensors, is refused", async () => {
    await rename(path(1), join(folder, "kept"));
    await rename(path(2), path(1));
    await rename(join(folder, "kept"), path(2));
    expect((await refusal(path(0))).message).toBe(`${path(1)} says that it is shard 3, not shard 2 of 3`);
    await writeFile(path(1), buildGguf({ metadata: { "split.no": 1, "split.count": 3 } }));
    await writeFile(path(2), buildGguf({ metadata: { "split.no": 2, "split.count": 3 } }));
    expect((await refusal(path(0))).message).toBe(`the shards of ${path(0)} hold 3 tensors, the set should have 7`);
  });

  test("with a truncated shard is truncated", async () => {
    await writeFile(
      path(2),
      buildGguf({ metadata: { "split.no": 2 }, tensors: [{ name: "t", ne: [100], data: Buffer.alloc(4) }] }),
    );
    await expect(readModel(path(0))).rejects.toMatchObject({ code: "truncated" });
  });
});

describe("a split set that is not on this disk", () => {
  const read = async (files: readonly string[]) => {
    const sources = await Promise.all(files.map(async (file) => bufferSource(await readFile(file), file)));
    return readModelFrom(sources.length, async (index) => sources[index] ?? expect.unreachable());
  };

  test("is the same model", async () => {
    expect(readModelFacts(await read(paths))).toEqual(readModelFacts(await readModel(path(0))));
  });

  test("must have as many files as its first header says", async () => {
    await expect(read([path(0)])).rejects.toMatchObject({
      code: "split-set",
      message: `${path(0)} is the first of 3 shards, but its name says that it is the only one`,
    });
    await expect(read(paths.slice(0, 2))).rejects.toMatchObject({ code: "split-set" });
  });

  test("must start with its first shard, and hold each in its place", async () => {
    await expect(read([path(1), path(1), path(2)])).rejects.toMatchObject({
      message: expect.stringContaining("is shard 2 of 3"),
    });
    await expect(read([path(0), path(2), path(1)])).rejects.toMatchObject({
      message: expect.stringContaining("says that it is shard 3"),
    });
  });
});

test("shard names are parsed", () => {
  expect(parseShardPath("/m/GLM-4.7-UD-Q2_K_XL-00002-of-00003.gguf")).toEqual({
    prefix: "GLM-4.7-UD-Q2_K_XL",
    number: 2,
    count: 3,
  });
  expect(parseShardPath("/m/GLM-4.7.gguf")).toBeUndefined();
  expect(parseShardPath("/m/GLM-2-of-3.gguf")).toBeUndefined();
});
