import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { containerPort, drainCommand } from "../../src/export/container.ts";
import { noteCommand } from "../support/commands-of-test.ts";
import { sha256, startHubServer } from "../support/hub-server.ts";
import { llmctl } from "../support/llmctl.ts";
import { readShippedSpec } from "../support/shipped-specs.ts";
import { demoDraft, demoTarget, TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

afterEach(() => home[Symbol.asyncDispose]());

describe("export", () => {
  test("needs no build of llama.cpp, and mounts the models from their folders", async () => {
    const { stdout, exitCode } = await llmctl(["export", "compose", "demo"], { home });
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`source: ${demoTarget}`);
    expect(stdout).toContain(`source: ${demoDraft}`);
    const quadlet = await llmctl(["export", "quadlet", "demo"], { home });
    expect(quadlet.stdout).toContain(`Volume=${demoTarget}:/models/demo-target.gguf:ro`);
  });

  test("leaves out a draft that cannot speed up its target, as a start does", async () => {
    await home.writeProfile("p", { model: demoTarget, draft: { model: demoTarget, type: "draft-mtp" } });
    const { stdout, exitCode } = await llmctl(["export", "kubernetes", "p", "--replicas", "2", "--models", "weights"], {
      home,
    });
    expect(exitCode).toBe(0);
    expect(stdout).not.toContain("--spec-draft-model");
    expect(stdout).toContain("replicas: 2");
    expect(stdout).toContain("claimName: weights");
  });

  test("asks the Hub for the names of missing files, and does not mount them", async () => {
    const server = await startHubServer();
    try {
      const content = Buffer.from("GGUF");
      server.repos.set("o/r", { commit: sha256(content).slice(0, 40), files: { "Q8_0/m-Q8_0.gguf": { content } } });
      await home.writeProfile("p", { model: { hf: "o/r", quant: "Q8_0" } });
      const options = { home, env: { HF_ENDPOINT: server.url, HF_HUB_CACHE: home.join("hub") } };
      expect((await llmctl(["export", "kubernetes", "p"], options)).stdout).toContain("- /models/o/r/m-Q8_0.gguf");
      const refused = await llmctl(["export", "compose", "p"], options);
      expect(refused.exitCode).toBe(66);
      expect(refused.stderr).toContain('"o/r/m-Q8_0.gguf" is not on this machine');
      expect((await llmctl(["export", "compose", "p", "--models", "/data"], options)).stdout).toContain(
        "source: /data",
      );
    } finally {
      await server.close();
    }
  });

  test("refuses a release with unknown flags", async () => {
    const { exitCode, stderr } = await llmctl(["export", "compose", "demo", "--release", "b1"], { home });
    expect(exitCode).toBe(66);
    expect(stderr).toContain('run "llmctl build --ref b1"');
  });
});

/** The command that runs before a stop, with a server that reports its slots. */
describe("the drain before a stop", () => {
  let server: Server;
  const asked: string[] = [];
  let busyAnswers = 0;
  let isSleeping = false;

  beforeEach(async () => {
    asked.length = 0;
    isSleeping = false;
    server = createServer((request, response) => {
      asked.push(request.url ?? "");
      if (request.url === "/props") return response.end(`{"is_sleeping":${isSleeping}}`);
      busyAnswers -= 1;
      response.end(`[{"id":0,"is_processing":false},{"id":1,"is_processing":${busyAnswers >= 0}}]`);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });

  afterEach(async () => {
    server.close();
    await once(server, "close");
  });

  async function drain(): Promise<number | undefined> {
    const { port } = server.address() as AddressInfo;
    const spec = await readShippedSpec("demo");
    const [file = "", ...args] = drainCommand(spec, 0).map((word) => word.replaceAll(`:${containerPort}`, `:${port}`));
    const draining = execa(file, args, { reject: false });
    noteCommand([file, ...args], draining);
    return (await draining).exitCode;
  }

  test("waits while a slot is busy", async () => {
    busyAnswers = 2;
    expect(await drain()).toBe(0);
    expect(asked.filter((path) => path === "/slots")).toHaveLength(3);
  });

  test("does not wake a sleeping server", async () => {
    isSleeping = true;
    expect(await drain()).toBe(0);
    expect(asked).toEqual(["/props"]);
  });
});
