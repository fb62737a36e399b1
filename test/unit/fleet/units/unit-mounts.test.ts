import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listMounts } from "../../../../src/fleet/units/unit-mounts.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let machine: FakeSession;
beforeEach(() => {
  machine = new FakeSession();
});
afterEach(() => machine[Symbol.dispose]());

const mounts = (values: Readonly<Record<string, unknown>>) => listMounts(makeProfile(values), machine.paths);

test("a server of plain files needs the folders of its profile, files and build", async () => {
  expect(
    await mounts({
      model: "/a/m.gguf",
      draft: { model: "/b/d.gguf" },
      lora: ["/c/l.gguf", "/a/l.gguf"],
      server: { api_key_file: "/d/keys" },
      llama: { binary: "/e/llama-server" },
      model_dirs: ["/f"],
    }),
  ).toEqual(["/profiles", "/a", "/b", "/c", "/d", "/e"]);
});

test("models of the Hub and of addresses need the folders in which they are found, a build those of all", async () => {
  const builds = join(machine.paths.data, "llama.cpp");
  expect(await mounts({ model: { hf: "o/r-GGUF", quant: "Q8_0" }, model_dirs: ["/f"] })).toEqual([
    "/profiles",
    machine.paths.hub,
    "/f",
    builds,
  ]);
  expect(await mounts({ model: { url: "https://example.org/m.gguf" } })).toEqual([
    "/profiles",
    join(machine.paths.data, "models"),
    builds,
  ]);
});

test("links need both the folder in which they are and the one that they lead to", async () => {
  const { folder } = machine.build;
  mkdirSync(join(folder, "real"));
  mkdirSync(join(folder, "named"));
  writeFileSync(join(folder, "real/m.gguf"), "");
  symlinkSync("../real/m.gguf", join(folder, "named/m.gguf"));
  symlinkSync("real", join(folder, "dirs"));
  expect(
    await mounts({
      model: join(folder, "named/m.gguf"),
      draft: { model: { hf: "o/r-GGUF", quant: "Q8_0" } },
      model_dirs: [join(folder, "dirs")],
      llama: { binary: "/e/llama-server" },
    }),
  ).toEqual(["/profiles", join(folder, "named"), join(folder, "real"), "/e", machine.paths.hub, join(folder, "dirs")]);
});
