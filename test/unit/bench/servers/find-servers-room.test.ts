import { afterEach, beforeEach, expect, test } from "vitest";
import { findWhyInTurns } from "../../../../src/bench/servers/find-servers-room.ts";
import { type BenchSetting, planSetting } from "../../../../src/bench/servers/plan-setting.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
});
afterEach(() => session[Symbol.dispose]());

async function plan(values: Readonly<Record<string, unknown>> = {}): Promise<BenchSetting> {
  const profile = makeProfile({ model: session.writeModel("target.gguf"), ...values });
  return planSetting(profile, undefined, { label: "none", session });
}

const gpu = { name: "CUDA0", description: "a GPU", totalMib: 8000, freeMib: 7000 };

test("on a machine without devices, servers run beside each other", async () => {
  const setting = await plan();
  expect(await findWhyInTurns([setting, setting], session)).toBeUndefined();
});

// The fake build has no llama-fit-params.
test("on a GPU whose use the build does not tell, servers take turns", async () => {
  session.devices = [gpu];
  const setting = await plan();
  expect(await findWhyInTurns([setting, setting], session)).toBe(
    "the build does not tell how much memory its models take",
  );
});

test("a model that leaves the GPU alone does not need its memory", async () => {
  session.devices = [gpu];
  const setting = await plan({ gpu_layers: 0 });
  expect(await findWhyInTurns([setting, setting], session)).toBeUndefined();
});

test("servers with a worker take turns", async () => {
  const setting = await plan();
  const launch = { ...setting.launch, rpcWorkers: ["10.0.0.2:50052"] };
  expect(await findWhyInTurns([setting, { ...setting, launch }], session)).toBe("a worker serves one server at a time");
});

test("where not even one server has room, the error says which memory, and what to do", async () => {
  session.devices = [gpu];
  const setting = await plan({ gpu_layers: 99 });
  const help = ["-m, --model FNAME", "-ngl, --gpu-layers N", "--fit-print [on|off]"];
  session.build.put("llama-fit-params", [
    {
      when: "--help",
      stdout: `----- common params -----\n\n${help.map((head) => `${head.padEnd(40)}help\n`).join("")}`,
    },
    { when: "--version", stdout: "version: 1" },
    { when: "--model", stdout: "CUDA0 7500 400 100 \n" },
  ]);
  await expect(findWhyInTurns([setting], session)).rejects.toMatchObject({
    code: "bench-no-memory",
    message: "there is no room for a server to measure: CUDA0 has 7000 MiB free, 8000 MiB are needed",
    fix: "stop what uses CUDA0, or measure a profile with a smaller ctx_size",
  });
});
