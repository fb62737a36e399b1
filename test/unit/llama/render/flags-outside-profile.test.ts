import { expect, test } from "vitest";
import { describeConfigFiles, describeDroppedVariables } from "../../../../src/llama/render/flags-outside-profile.ts";
import { readCatalogue } from "../../../support/llama-help.ts";

const v050 = readCatalogue("v0.5.0");
const b7698 = readCatalogue("b7698");

test("a note lists variables that the build reads as flags, with the key to set instead", () => {
  const own = {
    PATH: "/bin",
    LLAMA_ARG_CTX_SIZE: "1",
    LLAMA_ARG_POLL: "1",
    LLAMA_API_KEY: "k",
    HF_TOKEN: "t",
    LLAMA_ARG_X: undefined,
  };
  expect(describeDroppedVariables(own, { PATH: "/bin" }, v050)).toEqual([
    "the server does not inherit these flags from your environment: " +
      "LLAMA_API_KEY, LLAMA_ARG_CTX_SIZE (ctx_size), LLAMA_ARG_POLL; set keys or args instead",
  ]);
});

test("a variable that the profile sets itself is not reported", () => {
  const own = { LLAMA_ARG_CTX_SIZE: "1", LLAMA_ARG_POLL: "1" };
  expect(describeDroppedVariables(own, { LLAMA_ARG_CTX_SIZE: "2" }, v050)).toEqual([
    "the server does not inherit these flags from your environment: LLAMA_ARG_POLL; set keys or args instead",
  ]);
});

test("a name that only an older build reads is listed for that build", () => {
  const own = { LLAMA_CHAT_TEMPLATE_KWARGS: "{}" };
  expect(describeDroppedVariables(own, {}, b7698)).toEqual([
    expect.stringContaining("LLAMA_CHAT_TEMPLATE_KWARGS (chat_template_kwargs)"),
  ]);
  expect(describeDroppedVariables(own, {}, v050)).toEqual([]);
  expect(describeDroppedVariables({ PATH: "/bin" }, {}, v050)).toEqual([]);
});

test("a config file: the command line overrides its settings, the others apply", () => {
  const config = {
    path: "/etc/llama.cpp/config.ini",
    settings: ["ctx-size", "ngl", "LLAMA_ARG_THREADS", "no-such-flag"],
  };
  expect(describeConfigFiles([config], ["-c", "1", "--threads", "2"], v050)).toEqual([
    "llama.cpp itself reads /etc/llama.cpp/config.ini: it also sets ngl, no-such-flag; " +
      "flags of the profile override ctx-size, LLAMA_ARG_THREADS",
  ]);
  expect(describeConfigFiles([{ ...config, settings: ["jinja"] }], ["--no-jinja"], v050)).toEqual([
    "llama.cpp itself reads /etc/llama.cpp/config.ini: none of its settings applies; flags of the profile " +
      "override jinja",
  ]);
  expect(describeConfigFiles([{ ...config, settings: ["ngl"] }], ["-ngl", "1"], v050)).toEqual([
    "llama.cpp itself reads /etc/llama.cpp/config.ini: none of its settings applies; flags of the profile override ngl",
  ]);
  expect(describeConfigFiles([{ ...config, settings: ["ngl"] }], [], v050)).toEqual([
    "llama.cpp itself reads /etc/llama.cpp/config.ini: it also sets ngl",
  ]);
  expect(describeConfigFiles([], [], v050)).toEqual([]);
});
