import { expect, test } from "vitest";
import { describeStrayConfig, describeStrayVariables } from "../../../../src/llama/render/stray-flags.ts";
import { readCatalogue } from "../../../support/llama-help.ts";

const v050 = readCatalogue("v0.5.0");
const b7698 = readCatalogue("b7698");

test("variables that are flags to the build are told, with the key to set instead", () => {
  const own = {
    PATH: "/bin",
    LLAMA_ARG_CTX_SIZE: "1",
    LLAMA_ARG_POLL: "1",
    LLAMA_API_KEY: "k",
    HF_TOKEN: "t",
    LLAMA_ARG_X: undefined,
  };
  expect(describeStrayVariables(own, { PATH: "/bin" }, v050)).toEqual([
    "flags in your environment do not reach the server, set keys or args instead: LLAMA_API_KEY, " +
      "LLAMA_ARG_CTX_SIZE (ctx_size), LLAMA_ARG_POLL",
  ]);
});

test("names that only an older build reads are told of that build", () => {
  const own = { LLAMA_CHAT_TEMPLATE_KWARGS: "{}" };
  expect(describeStrayVariables(own, {}, b7698)).toEqual([
    expect.stringContaining("LLAMA_CHAT_TEMPLATE_KWARGS (chat_template_kwargs)"),
  ]);
  expect(describeStrayVariables(own, {}, v050)).toEqual([]);
  expect(describeStrayVariables({ PATH: "/bin" }, {}, v050)).toEqual([]);
});

test("a config file: what the command line says wins, the rest applies", () => {
  const config = {
    path: "/etc/llama.cpp/config.ini",
    settings: ["ctx-size", "ngl", "LLAMA_ARG_THREADS", "no-such-flag"],
  };
  expect(describeStrayConfig([config], ["-c", "1", "--threads", "2"], v050)).toEqual([
    "llama.cpp itself reads /etc/llama.cpp/config.ini: ngl, no-such-flag in it applies too; flags of the " +
      "profile win over ctx-size, LLAMA_ARG_THREADS",
  ]);
  expect(describeStrayConfig([{ ...config, settings: ["jinja"] }], ["--no-jinja"], v050)).toEqual([
    "llama.cpp itself reads /etc/llama.cpp/config.ini: nothing in it applies; flags of the profile win over jinja",
  ]);
  expect(describeStrayConfig([], [], v050)).toEqual([]);
});
