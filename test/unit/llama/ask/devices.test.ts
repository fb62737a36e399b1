import { describe, expect, test } from "vitest";
import { findMissingDevices, namedDevices, parseDevices } from "../../../../src/llama/ask/devices.ts";
import { makeProfile } from "../../../support/llama-help.ts";

/** As builds with CUDA print it; the driver's earlier lines go to stderr. */
const cuda = `Available devices:
  CUDA0: NVIDIA GeForce RTX 4090 (24077 MiB, 23500 MiB free)
  CUDA1: NVIDIA RTX 6000 Ada Generation (48508 MiB, 48000 MiB free)
`;
const mixed = `load_backend: loaded RPC backend from /x/libggml-rpc.so
Available devices:
  RPC0: 192.168.0.7:50052 (64136 MiB, 64136 MiB free)
  RPC[10.0.0.1:50052]: RPC[10.0.0.1:50052] (8192 MiB, 8000 MiB free)
  Vulkan0: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 24000 MiB free)
`;

describe("parseDevices", () => {
  test("reads GPUs with their memory", () => {
    expect(parseDevices(cuda)).toEqual([
      { name: "CUDA0", description: "NVIDIA GeForce RTX 4090", totalMib: 24077, freeMib: 23500 },
      { name: "CUDA1", description: "NVIDIA RTX 6000 Ada Generation", totalMib: 48508, freeMib: 48000 },
    ]);
  });

  test("reads addresses and names with brackets", () => {
    expect(parseDevices(mixed).map(({ name, description }) => [name, description])).toEqual([
      ["RPC0", "192.168.0.7:50052"],
      ["RPC[10.0.0.1:50052]", "RPC[10.0.0.1:50052]"],
      ["Vulkan0", "AMD Radeon RX 7900 XTX (RADV NAVI31)"],
    ]);
  });

  test.each(["Available devices:\n", "Available devices:\n  (none)\n", ""])("finds none in %j", (text) => {
    expect(parseDevices(text)).toEqual([]);
  });
});

describe("the devices of a profile", () => {
  const profile = makeProfile({ devices: ["cuda0", "CUDA7"], draft: { model: "/d", devices: ["none", "Vulkan0"] } });
  const missing = (text: string) =>
    namedDevices(profile.values).flatMap((key) => findMissingDevices(profile, key, parseDevices(text)));

  test("an error names each missing device at its place, and the devices that the build has", () => {
    expect(missing(cuda)).toEqual([
      {
        name: "CUDA7",
        message:
          'this build has no device "CUDA7" here: it has CUDA0 (NVIDIA GeForce RTX 4090), ' +
          "CUDA1 (NVIDIA RTX 6000 Ada Generation)",
        at: "p.yaml:devices.1",
        fix: "name one of these devices",
      },
      expect.objectContaining({
        at: "p.yaml:draft.devices.1",
        fix: expect.objectContaining({ run: ["build", "--backend", "vulkan"] }),
      }),
    ]);
  });

  test('a CPU build has no device but "none"', () => {
    expect(missing("Available devices:\n").map(({ at }) => at)).toEqual([
      "p.yaml:devices.0",
      "p.yaml:devices.1",
      "p.yaml:draft.devices.1",
    ]);
  });
});

describe("hostile output", () => {
  test.each(["a: ", ": (", " (1 MiB, 1 MiB free) ", " ("])("of %j on one line takes linear time", (words) => {
    expect(parseDevices(`  ${words.repeat(300_000)}`)).toEqual([]);
  });

  test("is read up to a limit of lines, and lines with impossible numbers are skipped", () => {
    expect(parseDevices("  A: b (1 MiB, 1 MiB free)\n".repeat(30_000)).length).toBeLessThan(5000);
    expect(parseDevices(`  A: b (${"9".repeat(400)} MiB, 1 MiB free)`)).toEqual([]);
  });
});
