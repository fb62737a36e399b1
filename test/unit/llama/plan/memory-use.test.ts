import { describe, expect, test } from "vitest";
import { formatMemoryUse, judgeMemory, sumMemory } from "../../../../src/llama/plan/memory-use.ts";
import { parseMemory } from "../../../../src/llama/ask/fit-params.ts";
import { fitArguments } from "../../../../src/llama/render/fit-arguments.ts";
import { renderServer } from "../../../../src/llama/render/render-command.ts";
import { makeProfile, readCatalogue } from "../../../support/llama-help.ts";

/** As `llama-fit-params --fit-print on` prints it: MiB of model, context and compute buffers. */
const target = parseMemory("CUDA0 17904 384 898 \nCUDA1 20000 384 900 \nHost 58259 0 12 \n");
const draft = parseMemory("CUDA1 4000 100 200 \nHost 100 0 2 \n");
const devices = [
  { name: "CUDA0", description: "a", totalMib: 24_077, freeMib: 23_000 },
  { name: "CUDA1", description: "b", totalMib: 24_077, freeMib: 24_000 },
  { name: "Host", description: "RAM", totalMib: 128_000, freeMib: 64_000 },
];
const fixed = { canMoveLayers: false, isMapped: true };

describe("memory", () => {
  test("is read device by device; other lines are left out", () => {
    expect(target[0]).toEqual({ device: "CUDA0", modelMib: 17_904, contextMib: 384, computeMib: 898 });
    expect(parseMemory("ggml_cuda_init: found 1 CUDA devices:\nHost 1 2 3 \r\n")).toHaveLength(1);
  });

  test("of both models is added up", () => {
    expect(sumMemory([...target, ...draft], devices)).toEqual([
      { device: "CUDA0", needsMib: 19_186, freeMib: 23_000, totalMib: 24_077 },
      { device: "CUDA1", needsMib: 25_584, freeMib: 24_000, totalMib: 24_077 },
      { device: "Host", needsMib: 58_373, freeMib: 64_000, totalMib: 128_000 },
    ]);
  });

  test("exceeding a device is an error, exceeding its free memory a warning; movable layers make it a note", () => {
    const [, full] = sumMemory([...target, ...draft], devices);
    const short = { device: "CUDA0", needsMib: 24_000, freeMib: 10_000, totalMib: 24_077 };
    if (full === undefined) throw new Error("no second device");
    expect(judgeMemory([full, short], fixed)).toMatchObject([
      { rank: "error", message: "CUDA1: the models take 26.8 GB, 25.2 GB of 25.2 GB are free" },
      { rank: "warning", fix: expect.stringContaining("stop what uses it") },
    ]);
    expect(judgeMemory([full, short], { ...fixed, canMoveLayers: true }).map(({ rank }) => rank)).toEqual([
      "note",
      "note",
    ]);
  });

  test("of the machine: mapped memory is read again from disk, too much other memory ends the server", () => {
    const host = { device: "Host", needsMib: 200_000, freeMib: 64_000, totalMib: 128_000 };
    expect(judgeMemory([host], fixed)).toMatchObject([
      { rank: "warning", message: expect.stringContaining("read from disk again") },
    ]);
    expect(judgeMemory([host], { ...fixed, isMapped: false })).toMatchObject([
      { message: expect.stringContaining("end the server") },
    ]);
    expect(judgeMemory([{ ...host, needsMib: 100_000 }], fixed)).toMatchObject([{ rank: "note" }]);
    expect(formatMemoryUse(host)).toBe("RAM 209.7 GB of 134.2 GB");
  });
});

describe("the question", () => {
  test("has only the flags that change a model's memory", () => {
    const profile = makeProfile({
      ctx_size: 4096,
      gpu_layers: 10,
      threads: 3,
      alias: "a",
      sampling: { temp: 1 },
      args: ["--n-cpu-moe", "4"],
    });
    const catalogue = readCatalogue("v0.5.0");
    const { flags } = renderServer(profile, { target: "/m" }, catalogue);
    expect(fitArguments(flags, catalogue)).toEqual([
      "--model",
      "/m",
      "--ctx-size",
      "4096",
      "--gpu-layers",
      "10",
      "--n-cpu-moe",
      "4",
    ]);
  });
});
