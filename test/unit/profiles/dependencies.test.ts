import { expect, test } from "vitest";
import { LlmctlError } from "../../../src/base/errors.ts";
import { loadInOrder } from "../../../src/profiles/dependencies.ts";
import { ProfileFolder } from "../../support/profile-folder.ts";

async function order(files: Readonly<Record<string, string>>, names: readonly string[]): Promise<readonly string[]> {
  await using folder = await ProfileFolder.create(files);
  return (await loadInOrder(names, folder.options())).map(({ name }) => name);
}

async function refuse(files: Readonly<Record<string, string>>, names: readonly string[]): Promise<LlmctlError> {
  try {
    await order(files, names);
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

function profile(...dependsOn: readonly string[]): string {
  return `model: m.gguf\ndepends_on: [${dependsOn.join(", ")}]\n`;
}

test("dependencies come before their profile, each once, otherwise in the given order", async () => {
  const files = {
    "near/chat.yaml": profile("embed", "rerank"),
    "near/rerank.yaml": profile("embed"),
    "far/embed.yaml": profile(),
    "near/other.yaml": profile(),
  };
  expect(await order(files, ["other", "chat"])).toEqual(["other", "embed", "rerank", "chat"]);
  expect(await order(files, ["chat", "embed", "chat"])).toEqual(["embed", "rerank", "chat"]);
});

test("a dependency is searched beside a profile that is given by path", async () => {
  const files = { "here/chat.yaml": profile("embed"), "here/embed.yaml": profile() };
  expect(await order(files, ["./here/chat.yaml"])).toEqual(["embed", "chat"]);
});

test("a named file wins over one on the search path", async () => {
  await using folder = await ProfileFolder.create({
    "near/chat.yaml": profile("embed"),
    "near/embed.yaml": profile(),
    "here/embed.yaml": profile(),
  });
  const [embed] = await loadInOrder(["chat", "./here/embed.yaml"], folder.options());
  expect(embed?.path).toBe(`${folder.cwd}/here/embed.yaml`);
});

test("a cycle is refused at the key that closes it", async () => {
  const files = {
    "near/a.yaml": profile("b"),
    "near/b.yaml": "model: m.gguf\ndepends_on:\n  - c\n  - a\n",
    "near/c.yaml": profile(),
  };
  expect(await refuse(files, ["a"])).toMatchObject({
    code: "dependency-cycle",
    exit: "config",
    message: 'profile "a" depends on itself: a -> b -> a',
    at: "near/b.yaml:4:5",
    fix: "take one of these names out of its depends_on",
  });
  expect(await refuse({ "near/a.yaml": profile("a") }, ["a"])).toMatchObject({
    message: 'profile "a" depends on itself: a -> a',
  });
});

test("a missing dependency is refused at the key that names it", async () => {
  const files = { "near/chat.yaml": profile("embd"), "near/embed.yaml": profile() };
  expect(await refuse(files, ["chat"])).toMatchObject({
    code: "dependency-unknown",
    message: 'profile "chat" depends on "embd", which does not exist',
    at: "near/chat.yaml:2:14",
    fix: 'did you mean "embed"? there are: chat, embed',
  });
});

test("two files of one profile name are refused", async () => {
  const files = { "near/a.yaml": profile(), "far/a.yaml": profile() };
  expect(await refuse(files, ["./near/a.yaml", "./far/a.yaml"])).toMatchObject({ code: "profile-twice" });
});
