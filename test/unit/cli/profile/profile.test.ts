import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { profileList, profileSchemaText, profileShow } from "../../../../src/cli/profile/profile.ts";
import { profileSchema } from "../../../../src/profiles/schema/schema.ts";
import { ProfileFolder } from "../../../support/profile-folder.ts";

const files = {
  "near/coder.yaml":
    "description: Writes code\nextends: base\ndraft: { model: /d.gguf, devices: [CUDA0] }\n" +
    'env: { HF_TOKEN: hf_abc, LANG: C }\nargs: ["a\\nb"]\n',
  "far/base.yaml": "model: /m.gguf\nsampling:\n  temp: 0.5\n",
  "far/coder.yaml": "model: m",
};

describe("profile list", () => {
  test("shows a table as wide as the terminal", async () => {
    await using folder = await ProfileFolder.create(files);
    const text = await profileList(folder.options().folders, { width: 200 });
    expect(text.replaceAll(folder.cwd, "").replace(/ {2,}/g, "  ")).toBe(
      "NAME  FILE  DESCRIPTION\nbase  /far/base.yaml\ncoder  /near/coder.yaml  Writes code\ncoder  " +
        "/far/coder.yaml  hidden by /near/coder.yaml\n",
    );
  });

  test("gives JSON", async () => {
    await using folder = await ProfileFolder.create(files);
    const listed: unknown = JSON.parse(await profileList(folder.options().folders, { json: true, width: 80 }));
    expect(listed).toMatchObject([
      { name: "base" },
      { name: "coder", description: "Writes code" },
      { name: "coder", shadowedBy: expect.any(String) },
    ]);
  });

  test("lists the searched folders when there is no profile", async () => {
    expect(await profileList(["/gone/profiles"], { width: 80 })).toBe("no profiles in /gone/profiles\n");
  });
});

describe("profile show", () => {
  test("is YAML of an equal profile, with the origin of each value", async () => {
    await using folder = await ProfileFolder.create(files);
    const text = await profileShow("coder", folder.options(), {});
    const { extends: _, ...values } = (await folder.load("coder")).values;
    expect(profileSchema.parse(parse(text))).toEqual({ ...values, env: { HF_TOKEN: "(hidden)", LANG: "C" } });
    expect(text).toMatch(/^ {2}temp: 0\.5 +# far\/base\.yaml:3:3$/m);
    expect(text).toMatch(/^ {2}devices: \[CUDA0\] +# near\/coder\.yaml:3:26$/m);
    expect(text).toMatch(/^ {2}host: 127\.0\.0\.1 +# default$/m);
  });

  test("gives JSON with the origins of written values", async () => {
    await using folder = await ProfileFolder.create(files);
    const text = await profileShow("coder", folder.options(), { json: true });
    expect(JSON.parse(text)).toMatchObject({
      name: "coder",
      values: { model: "/m.gguf", env: { HF_TOKEN: "(hidden)" } },
      origins: { model: "far/base.yaml:1:1", "draft.devices": "near/coder.yaml:3:26" },
    });
    expect(text).not.toContain('default"');
    expect(text).not.toContain("hf_abc");
  });
});

test("profile show --resolved is a standalone profile with the same values", async () => {
  await using folder = await ProfileFolder.create(files);
  const text = await profileShow("coder", folder.options(), { resolved: true });
  expect(text).not.toMatch(/extends:|default|hf_abc/);
  await folder.write("near/alone.yaml", text);
  const { extends: _, ...values } = (await folder.load("coder")).values;
  expect((await folder.load("alone")).values).toEqual({ ...values, env: { HF_TOKEN: "(hidden)", LANG: "C" } });
});

test("profile schema is JSON", () => {
  expect(JSON.parse(profileSchemaText())).toMatchObject({ title: "llmctl profile" });
});
