import { describe, expect, test } from "vitest";
import { commandLine } from "../../../src/llama/render/render-command.ts";
import { readCatalogue, readCliCatalogue } from "../../support/llama-help.ts";
import { planShipped, shippedPrograms, shippedProfiles, snapshotPath } from "../../support/shipped-plans.ts";

const builds = ["b7698", "v0.5.0"] as const;

const catalogueOf = { "llama-server": readCatalogue, "llama-cli": readCliCatalogue };

// After an intended change: npx vitest run --project unit test/unit/llama/shipped-plans.test.ts -u, and read the
// difference.
describe.each(builds)("the commands of shipped profiles on %s", (build) => {
  describe.each(shippedPrograms)("%s", (program) => {
    test.each(shippedProfiles)("%s", async (name) => {
      const { text } = await planShipped(name, program, catalogueOf[program](build));
      await expect(text).toMatchFileSnapshot(snapshotPath(name, program, build));
    });
  });
});

describe("the commands of the GLM-4.7 guide on their build", () => {
  const target = "--model /models/target.gguf";
  const common = "--threads -1 --fit on --prio 3 --temp 1.0 --top-p 0.95 --ctx-size 16384";

  test.each([
    ["glm47", "llama-cli", `${target} ${common} --jinja`],
    [
      "glm47-spec",
      "llama-cli",
      `${target} --model-draft /models/draft.gguf ${common} --ctx-size-draft 16384 --jinja --device CUDA0 ` +
        `--device-draft CUDA0,CUDA1`,
    ],
    // With the address, which llmctl always passes.
    ["glm47", "llama-server", `${target} --alias unsloth/GLM-4.7 ${common} --host 127.0.0.1 --port 8001 --jinja`],
    ["glm47-1bit", "llama-server", `${target} --alias unsloth/GLM-4.7 ${common} --host 127.0.0.1 --port 8001 --jinja`],
  ] as const)("%s with %s", async (name, program, expected) => {
    const { rendering } = await planShipped(name, program, catalogueOf[program]("b7698"));
    expect(rendering && commandLine(rendering).join(" ")).toBe(expected);
  });
});

test("a draft means the same on both builds", async () => {
  const newer = await planShipped("glm47-spec", "llama-server", readCatalogue("v0.5.0"));
  expect(newer.text).toContain("--spec-type draft-simple");
  expect(newer.text).toContain("--spec-draft-n-max 16");
  expect(newer.text).toContain("--spec-draft-p-min 0.75");
  const older = await planShipped("glm47-spec", "llama-server", readCatalogue("b7698"));
  expect(older.text).toContain("left out: draft.n_max: 16 is this build's default");
  expect(older.text).toContain("left out: draft.p_min: 0.75 is this build's default");
});
