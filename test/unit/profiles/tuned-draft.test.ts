import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { createProfile, replaceText } from "../../../src/profiles/change-profile.ts";
import { type DraftKeys, planTunedDraft, tunedComment, writeTunedDraft } from "../../../src/profiles/tuned-draft.ts";
import { makeSource, type SourceText } from "../../../src/profiles/yaml/located.ts";
import { ProfileFolder } from "../../support/profile-folder.ts";

const source = makeSource("p", "/work/p.yaml", "/work");
const comment = tunedComment(new Date("2026-11-29T10:00:00Z"), "v0.5.0", "1.31 × (1.24 to 1.38) against no draft");
const line = "# tuned 2026-11-29 on v0.5.0: 1.31 × (1.24 to 1.38) against no draft; llmctl tune";
const old = "# tuned 2025-01-02 on b7698: loses: 0.81 ×; llmctl tune";

const defaults: DraftKeys = { type: "draft-simple", on_mismatch: "disable", on_loss: "warn" };

/** Writes into a profile that extends none. */
function write(text: string, draft: DraftKeys | undefined): string {
  const own = (parse(text) as { draft?: DraftKeys }).draft;
  const present = own === undefined ? undefined : { ...defaults, ...own };
  return writeTunedDraft(text, source, { draft, present, inherited: undefined, comment });
}

describe("a profile with a draft of its own gets the values that differ, and one comment", () => {
  const d = { ...defaults, model: "d" };
  test.each<[string, string, DraftKeys | undefined, string]>([
    [
      "a value, and a new key",
      "model: m\ndraft:\n  model: d # small\n  n_max: 16  # much\nend: 1\n",
      { ...d, n_max: 4, p_min: 0 },
      `model: m\n${line}\ndraft:\n  model: d # small\n  n_max: 4  # much\n  p_min: 0\nend: 1\n`,
    ],
    ["nothing but the date", `${old}\ndraft:\n  model: d\n`, d, `${line}\ndraft:\n  model: d\n`],
    [
      "an old comment of ours elsewhere",
      `# mine\n${old}\nmodel: m\ndraft: { model: d } # his\n`,
      { ...d, n_max: 2 },
      `# mine\nmodel: m\n${line}\ndraft: { model: d, n_max: 2 } # his\n`,
    ],
    ["a removed key", "draft:\n  model: d\n  p_min: 0.5 # c\n", d, `${line}\ndraft:\n  model: d\n`],
    [
      "another type without a model",
      "draft:\n  model: d\n",
      { ...defaults, type: "ngram-mod" },
      `${line}\ndraft:\n  type: ngram-mod\n`,
    ],
    [
      "other devices, in place of a list of lines",
      "draft:\n  model: d\n  devices: # c\n    - CUDA0\n    - CUDA1\n",
      { ...d, devices: ["CUDA1"] },
      `${line}\ndraft:\n  model: d\n  devices: [CUDA1] # c\n`,
    ],
    [
      "another model",
      "draft:\n  model: { hf: a/b, quant: Q8_0 }\n",
      { ...d, model: { hf: "c/d", quant: "Q4_0" } },
      `${line}\ndraft:\n  model: { hf: c/d, quant: Q4_0 }\n`,
    ],
    ["no draft yet", "model: m # c", { ...d, n_max: 3 }, `model: m # c\n${line}\ndraft:\n  model: d\n  n_max: 3\n`],
    [
      "line ends of Windows",
      "model: m\r\ndraft:\r\n  model: d\r\n",
      { ...d, n_max: 3 },
      `model: m\r\n${line}\r\ndraft:\r\n  model: d\r\n  n_max: 3\r\n`,
    ],
    ["a byte order mark", "\uFEFFdraft: { model: d }\n", d, `\uFEFF${line}\ndraft: { model: d }\n`],
    [
      "a file that is one map",
      "{ model: m, draft: { model: d } }\n",
      d,
      `${line}\n{ model: m, draft: { model: d } }\n`,
    ],
    [
      "a key on a line that begins within a text",
      '{ description: "one\n  two", draft: { model: d } }\n',
      d,
      `${line}\n{ description: "one\n  two", draft: { model: d } }\n`,
    ],
    [
      "an anchor that nothing uses",
      "draft: &x { model: d }\n",
      { ...d, n_max: 1 },
      `${line}\ndraft: &x { model: d, n_max: 1 }\n`,
    ],
    ["an indented file", "  model: m\n  draft: { model: d }\n", d, `  model: m\n  ${line}\n  draft: { model: d }\n`],
    [
      "a text that looks like our comment",
      `description: |\n  ${old}\ndraft: { model: d }\n`,
      d,
      `description: |\n  ${old}\n${line}\ndraft: { model: d }\n`,
    ],
    [
      "no draft any more",
      "model: m\n# why\ndraft: # c\n  model: d\n\n  # d\n  n_max: 4\n  # about the end\nend: 1\n",
      undefined,
      `model: m\n# why\n${line}\n# draft: # c\n#   model: d\n\n#   # d\n#   n_max: 4\n  # about the end\nend: 1\n`,
    ],
    ["no draft any more, on one line", "draft: { model: d }", undefined, `${line}\n# draft: { model: d }`],
    ["no draft any more, in one map", "{ model: m, draft: { model: d } }\n", undefined, `${line}\n{ model: m }\n`],
    ["still no draft", `model: m\n${old}\n# draft:\n`, undefined, `model: m\n${line}\n# draft:\n`],
    ["never a draft", "model: m\n", undefined, "model: m\n"],
  ])("%s", (_, text, draft, wanted) => {
    expect(write(text, draft)).toBe(wanted);
  });

  test("a draft that another key refers to is refused, and the file can be edited by hand", () => {
    expect(() => write("draft: &x { model: d }\nother: *x\n", { ...defaults, model: "d", n_max: 2 })).toThrow(
      expect.objectContaining({ code: "profile-uneditable", fix: { run: ["profile", "edit", "p"] } }),
    );
  });
});

describe("a profile that extends another", () => {
  const base = "model: /m\ndraft:\n  model: { hf: a/b, quant: Q8_0, revision: x }\n  n_max: 16\n";
  const hf = { hf: "a/b", quant: "Q8_0", revision: "x" };

  async function tune(own: string, draft: DraftKeys | undefined): Promise<string> {
    await using folder = await ProfileFolder.create({ "near/base.yaml": base, "near/p.yaml": own });
    const file: SourceText = makeSource("p", join(folder.cwd, "near/p.yaml"), folder.cwd);
    const { before, after } = await planTunedDraft(file, { draft, comment }, folder.options());
    expect(before).toBe(own);
    await replaceText(file, before, after);
    const loaded = (await folder.load("p")).values.draft;
    expect(loaded).toEqual(draft === undefined ? undefined : { ...defaults, ...draft });
    return await readFile(file.path, "utf8");
  }

  test.each<[string, string, DraftKeys | undefined, string]>([
    [
      "gets only what differs",
      "extends: base\n",
      { model: hf, n_max: 4 },
      `extends: base\n${line}\ndraft:\n  n_max: 4\n`,
    ],
    ["stays as it is when it inherits the best", "extends: base\n", { model: hf, n_max: 16 }, "extends: base\n"],
    ["switches the inherited draft off", "extends: base\n", undefined, `extends: base\n${line}\ndraft: null\n`],
    [
      "keeps its own keys as comments when it switches the draft off",
      "extends: base\ndraft:\n  n_max: 8\nparallel: 1\n",
      undefined,
      `extends: base\n${line}\ndraft: null\n# draft:\n#   n_max: 8\nparallel: 1\n`,
    ],
    [
      "switches it off again with a new date",
      `extends: base\n${old}\ndraft: null\n`,
      undefined,
      `extends: base\n${line}\ndraft: null\n`,
    ],
    [
      "switches it on again",
      "extends: base\ndraft: ~ # off\n",
      { model: hf, n_max: 2 },
      `extends: base\n${line}\ndraft: { n_max: 2 } # off\n`,
    ],
    [
      "goes back to the inherited draft",
      `extends: base\n${old}\ndraft: null\n`,
      { model: hf, n_max: 16 },
      "extends: base\n",
    ],
    [
      "takes an inherited key away",
      "extends: base\n",
      { type: "ngram-mod", n_max: 8 },
      `extends: base\n${line}\ndraft:\n  type: ngram-mod\n  n_max: 8\n  model: null\n`,
    ],
    [
      "takes a key of an inherited model away",
      "extends: base\ndraft: { n_max: 3 }\n",
      { model: { hf: "c/d", quant: "Q4_0" }, n_max: 3 },
      `extends: base\n${line}\ndraft: { n_max: 3, model: { hf: c/d, quant: Q4_0, revision: null } }\n`,
    ],
  ])("%s", async (_, own, draft, wanted) => {
    expect(await tune(own, draft)).toBe(wanted);
  });
});

test("a profile that is not there yet begins with a given text", async () => {
  await using folder = await ProfileFolder.create({ "far/p.yaml": "model: /m\ndraft: { model: /d }\n" });
  const file = makeSource("p", join(folder.cwd, "near/p.yaml"), folder.cwd);
  const draft = { model: "/d", n_max: 4 };
  const { before, after } = await planTunedDraft(file, { draft, comment, from: "extends: p\n" }, folder.options());
  expect(before).toBe("extends: p\n");
  expect(after).toBe(`extends: p\n${line}\ndraft:\n  n_max: 4\n`);
  await createProfile(file, after, folder.options());
  expect((await folder.load("p")).values.draft).toEqual({ ...defaults, ...draft });
});

test("a draft that the profile cannot have is refused", async () => {
  await using folder = await ProfileFolder.create({ "near/p.yaml": "model: /m\n" });
  const file = makeSource("p", join(folder.cwd, "near/p.yaml"), folder.cwd);
  const wanted = { draft: { model: "relative.gguf" }, comment };
  await expect(planTunedDraft(file, wanted, folder.options())).rejects.toMatchObject({
    code: "profile-uneditable",
    message: 'the draft of profile "p" cannot be set by llmctl',
    fix: { run: ["profile", "edit", "p"] },
  });
});

describe("in any style of YAML", () => {
  const gap = fc.constantFrom("", "\n", "# mine\n", "\n  # odd\n", `${old}\n`);
  const tail = fc.constantFrom("", " # c", "  # it's: {");
  const block = fc
    .tuple(tail, gap, tail, gap)
    .map(([a, b, c, d]) => `draft:${a}\n${b}  model: d${c}\n${d}  n_max: 0x10\n`);
  const flow = fc.tuple(fc.constantFrom("{model: d,  n_max: 16}", "{ n_max: 16,\n  model: 'd' }"), tail);
  const anyText = fc
    .record({
      mark: fc.constantFrom("", "\uFEFF"),
      head: gap,
      draft: fc.oneof(
        block,
        flow.map(([map, comments]) => `draft: ${map}${comments}\n`),
        fc.constant(""),
      ),
      next: gap,
      end: fc.constantFrom("end: 1\n", "end: 1", "end: |\n  text\n", `end: |\n  ${old}\n  x\n`, ""),
      eol: fc.constantFrom("\n", "\r\n"),
    })
    .map(({ mark, head, draft, next, end, eol }) =>
      `${mark}${head}model: m\n${draft}${next}${end}`.replaceAll("\n", eol),
    );
  const anyDraft = fc.option(
    fc
      .record({ n_max: fc.integer({ min: 1, max: 16 }), p_min: fc.option(fc.constantFrom(0, 0.5), { nil: undefined }) })
      .map((keys): DraftKeys => ({ ...defaults, model: "d", ...keys })),
    { nil: undefined },
  );

  test("the draft is what was wanted, nothing else changes, and a second time only the date changes", () => {
    fc.assert(
      fc.property(anyText, anyDraft, (text, draft) => {
        const edited = write(text, draft);
        const { draft: was, ...others } = parse(text) as { draft?: unknown };
        const { draft: is, ...same } = parse(edited) as { draft?: unknown };
        expect(same).toEqual(others);
        const plain =
          draft &&
          (JSON.parse(
            JSON.stringify({ ...draft, type: undefined, on_mismatch: undefined, on_loss: undefined }),
          ) as unknown);
        expect(is).toEqual(plain);
        const newer = edited.replaceAll(line, old);
        if (newer !== edited) expect(write(newer, draft)).toBe(edited);
        else expect([was, draft, edited]).toEqual([undefined, undefined, text]);
        const comments = (one: string) => one.match(/# (?:mine|odd|c|it's: \{)/g) ?? [];
        // A comment behind a value goes with its line.
        expect(comments(edited)).toEqual(comments(text));
      }),
      { numRuns: 300 },
    );
  });
});
