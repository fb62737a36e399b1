import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { childEnvironment, findLlamaConfigFiles } from "../../../../src/llama/ask/child-env.ts";

const at = (name: string) => `p.yaml:env.${name}`;

describe("the server's environment", () => {
  test("keeps what a program and its GPU libraries need", () => {
    const own = {
      PATH: "/bin",
      HOME: "/home/u",
      LANG: "C",
      LC_ALL: "C",
      TZ: "UTC",
      TMPDIR: "/t",
      LD_LIBRARY_PATH: "/l",
      CUDA_VISIBLE_DEVICES: "0",
      NVIDIA_VISIBLE_DEVICES: "all",
      HIP_VISIBLE_DEVICES: "1",
      GGML_CUDA_P2P: "1",
      OMP_NUM_THREADS: "4",
    };
    expect(childEnvironment(own, {}, at)).toEqual({ ...own, GGML_NO_BACKTRACE: "1" });
  });

  test("drops flags in disguise, systemd's variables, tokens and everything unknown", () => {
    const own = {
      LLAMA_ARG_TEMPERATURE: "0.1",
      LLAMA_LOG_FILE: "/x",
      LLAMA_API_KEY: "k",
      NOTIFY_SOCKET: "/run/n",
      WATCHDOG_USEC: "1",
      WATCHDOG_PID: "1",
      LISTEN_FDS: "1",
      INVOCATION_ID: "i",
      JOURNAL_STREAM: "j",
      HF_TOKEN: "t",
      AWS_SECRET_ACCESS_KEY: "s",
      XDG_CONFIG_HOME: "/c",
      NODE_OPTIONS: "--inspect",
      EMPTY: undefined,
    };
    expect(childEnvironment(own, {}, at)).toEqual({ GGML_NO_BACKTRACE: "1" });
  });

  test("the profile's own variables win", () => {
    const own = { PATH: "/bin", CUDA_VISIBLE_DEVICES: "0" };
    const profile = { CUDA_VISIBLE_DEVICES: "1", GGML_NO_BACKTRACE: "0", HF_TOKEN: "mine" };
    expect(childEnvironment(own, profile, at)).toEqual({ PATH: "/bin", ...profile });
  });

  test("flags in the profile's env are refused, all at once", () => {
    const make = () => childEnvironment({}, { LLAMA_ARG_PORT: "1", A: "b", LLAMA_API_KEY: "s3cret" }, at);
    expect(make).toThrow(LlmctlError);
    expect(make).toThrow(
      expect.objectContaining({
        code: "env-refused",
        exit: "config",
        problems: [
          expect.objectContaining({ at: "p.yaml:env.LLAMA_ARG_PORT", fix: expect.stringContaining("args") }),
          expect.objectContaining({
            at: "p.yaml:env.LLAMA_API_KEY",
            fix: expect.stringContaining("server.api_key_file"),
          }),
        ],
      }),
    );
  });
});

describe("config files of llama.cpp", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "llmctl-config-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function write(where: string, text: string): Promise<string> {
    const path = join(folder, where, "llama.cpp", "config.ini");
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, text);
    return path;
  }

  test("none", async () => {
    expect(await findLlamaConfigFiles({ HOME: join(folder, "home") }, join(folder, "etc"))).toEqual([]);
  });

  test("of the system and of the user, with the names of what they set", async () => {
    const etc = await write(
      "etc",
      "; all\nctx-size = 1\n# x = y\n[*]\ntemp=0.3\n[default]\r\napi-key = s3cret\n[some-model]\nseed = 3\n",
    );
    const user = await write("home/.config", "temp = 1\n");
    expect(await findLlamaConfigFiles({ HOME: join(folder, "home") }, join(folder, "etc"))).toEqual([
      { path: etc, settings: ["ctx-size", "temp", "api-key"] },
      { path: user, settings: ["temp"] },
    ]);
  });

  test("XDG_CONFIG_HOME comes before HOME, and counts only when the child has it", async () => {
    const user = await write("xdg", "temp = 1\n");
    const found = await findLlamaConfigFiles(
      { HOME: join(folder, "home"), XDG_CONFIG_HOME: join(folder, "xdg") },
      join(folder, "etc"),
    );
    expect(found.map(({ path }) => path)).toEqual([user]);
  });
});

describe("a hostile config file of llama.cpp", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "llmctl-config-"));
    await mkdir(join(folder, "llama.cpp"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("with lines of blanks takes linear time", async () => {
    await writeFile(
      join(folder, "llama.cpp", "config.ini"),
      `x${" ".repeat(500_000)}y\n${" ".repeat(400_000)}\nctx-size = 5\n`,
    );
    expect((await findLlamaConfigFiles({}, folder))[0]?.settings).toEqual(["ctx-size"]);
  });

  test("that is too large is told, and not read", async () => {
    await writeFile(join(folder, "llama.cpp", "config.ini"), "a = 1\n".repeat(1_000_000));
    expect((await findLlamaConfigFiles({}, folder))[0]?.settings).toEqual(["(too large to be read)"]);
  });
});
