import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { childEnvironment } from "../../../../src/llama/ask/child-env.ts";

const at = (name: string) => `p.yaml:env.${name}`;

describe("the server's environment", () => {
  test("keeps the variables that a program and its GPU libraries need", () => {
    const system = "PATH HOME USER LOGNAME LANG LC_ALL TZ TMPDIR LD_LIBRARY_PATH DYLD_LIBRARY_PATH".split(" ");
    const compute = "CUDA NVIDIA HIP HSA ROCR ROCM VK GGML OMP GOMP KMP ONEAPI SYCL ZE".split(" ");
    const names = [...system, ...compute.map((prefix) => `${prefix}_VISIBLE_DEVICES`)];
    const own = Object.fromEntries(names.map((name) => [name, name.toLowerCase()]));
    expect(childEnvironment(own, {}, at)).toEqual({ ...own, GGML_NO_BACKTRACE: "1" });
  });

  test("drops variables that are flags, systemd's variables, tokens and everything unknown", () => {
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
      MY_PATH: "/x",
      PATHS: "/x",
      LC_: "C",
      CUDA: "1",
      MY_CUDA_X: "1",
      EMPTY: undefined,
    };
    expect(childEnvironment(own, {}, at)).toEqual({ GGML_NO_BACKTRACE: "1" });
  });

  test("the profile's own variables win", () => {
    const own = { PATH: "/bin", CUDA_VISIBLE_DEVICES: "0" };
    const profile = { CUDA_VISIBLE_DEVICES: "1", GGML_NO_BACKTRACE: "0", HF_TOKEN: "mine" };
    expect(childEnvironment(own, profile, at)).toEqual({ PATH: "/bin", ...profile });
  });

  test.each(["LLAMA_ARG_PORT", "LLAMA_LOG_FILE", "LLAMA_OFFLINE", "LLAMA_CHAT_TEMPLATE_KWARGS"])(
    "%s in the profile's env is a flag, which is refused",
    (name) => {
      expect(() => childEnvironment({}, { [name]: "1" }, at)).toThrow(`"${name}" in env is a flag of llama-server`);
    },
  );

  test.each(["LLAMA_OFFLINE_X", "MY_LLAMA_ARG_PORT", "LLAMA_CACHE"])("%s in the profile's env is none", (name) => {
    expect(childEnvironment({}, { [name]: "1" }, at)).toMatchObject({ [name]: "1" });
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
