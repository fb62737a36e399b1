import { expect, test } from "vitest";
import { parseRefusal } from "../../../../src/llama/ask/refusal-text.ts";

const start = "0.00.000.264 I srv  llama_server: initializing ...\n";

test.each([
  [
    "an unknown flag",
    `${start}error: invalid argument: --foo\n`,
    { message: "invalid argument: --foo", flag: "--foo" },
  ],
  [
    "a bad value",
    `${start}error while handling argument "--temp": stof\n\nusage:\n--temp N   temperature\n\n\n` +
      "to show complete usage, run with -h\n",
    { message: "--temp: not a number, or out of range (stof)", flag: "--temp" },
  ],
  [
    "a missing device",
    'error while handling argument "--device": invalid device: CUDA9\n\nusage:\n',
    { message: "--device: invalid device: CUDA9", flag: "--device" },
  ],
  [
    "a variable",
    'error while handling environment variable "LLAMA_ARG_CTX_SIZE": stoi\n\n',
    { message: "environment variable LLAMA_ARG_CTX_SIZE: not a number, or out of range (stoi)" },
  ],
  [
    "a config file",
    `${start}0.00.002.452 I using config file: /etc/llama.cpp/config.ini\nstoi\n`,
    {
      message: "not a number, or out of range (stoi)",
      fix: 'look at "/etc/llama.cpp/config.ini", which llama.cpp reads before its command line',
    },
  ],
  ["anything else", "a\nlast words\n", { message: "last words" }],
  ["nothing", " \n", undefined],
])("%s", (_, stderr, expected) => {
  expect(parseRefusal(stderr)).toEqual(expected);
});
