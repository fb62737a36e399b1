import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { childEnvironment } from "../../../../src/llama/ask/child-env.ts";

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
