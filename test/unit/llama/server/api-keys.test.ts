import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeFix } from "../../../../src/base/fix.ts";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { hasKeyComments, readApiKey, readApiKeys } from "../../../../src/llama/server/api-keys.ts";
import { readCatalogue } from "../../../support/llama-help.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-keys-"));
  path = join(folder, "keys");
});
afterEach(() => rmSync(folder, { recursive: true }));

function read(hasComments = true): readonly string[] {
  return readApiKeys(path, { at: "p.yaml:3:3", hasComments });
}

function refuse(hasComments = true): LlmctlError {
  try {
    read(hasComments);
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
  throw new Error("the file was accepted");
}

describe("the keys of a file", () => {
  test.each([
    ["sesame\n", ["sesame"]],
    ["sesame", ["sesame"]],
    ["\n\nsesame\n\nother", ["sesame", "other"]],
    ["# of ada\nsesame\n#of bob\r\nother\n", ["sesame", "other"]],
    ["a b!\"$&'()*+,-./:;<=>?@[\\]^_`{|}~%\n", ["a b!\"$&'()*+,-./:;<=>?@[\\]^_`{|}~%"]],
    [`${"k".repeat(8000)}\n`, ["k".repeat(8000)]],
  ])("%j", (text, keys) => {
    writeFileSync(path, text);
    expect(read()).toEqual(keys);
    expect(readApiKey(path)).toBe(keys[0]);
  });

  test.each(["", "\n", "\n\n\n", "# none yet\n", "#\n\n"])("%j has no key, and would open the server", (text) => {
    writeFileSync(path, text);
    const error = refuse();
    expect(error).toMatchObject({ code: "api-keys-unusable", exit: "config", at: "p.yaml:3:3" });
    expect(error.message).toContain("holds no key");
    expect(error.fix).toContain(`openssl rand -hex 32 > ${path}; chmod 600 ${path}`);
    expect(readApiKey(path)).toBeUndefined();
  });

  const secret = "s3cret";
  test.each([
    ["carriage return", `other\n${secret}\r\n`, 2],
    ["carriage return", `\n\n${secret}\r`, 3],
    ["carriage return", "\r\n", 1],
    ["byte order mark", `\u00ef\u00bb\u00bf${secret}\n`, 1],
    ["byte order mark", "\u00ef\u00bb\u00bf", 1],
    ["byte order mark", "\u00ef\u00bb\u00bf# comment\nkey\n", 1],
    ["UTF-16", `\u00ff\u00fe${secret.split("").join("\0")}\0`, 1],
    ["UTF-16", `\u00fe\u00ff\0${secret.split("").join("\0")}`, 1],
    ["control character", `${secret.split("").join("\0")}\0\n\0`, 1],
    ["control character", `key\n${secret}\u0007\n`, 2],
    ["control character", `${secret}\t${secret}\n`, 1],
    ["control character", `${secret}\u007f\n`, 1],
    ["control character", `${secret}\rx\n`, 1],
    ["blank at the start", ` ${secret}\n`, 1],
    ["blank at the start or the end", `key\n\n${secret} \n`, 3],
    ["blank at the start or the end", `${secret}\t\n`, 1],
    ["blank at the start or the end", "key\n   \n", 2],
    ["comment after the key", `${secret} # of ada\n`, 1],
    ["quotes", `"${secret}"\n`, 1],
    ["quotes", `'${secret}'\n`, 1],
    ["Bearer", `key\nBearer ${secret}\n`, 2],
    ["non-ASCII", `${secret}\u00c3\u00a4\n`, 1],
    ["percent sign", `${secret}%2F\n`, 1],
    ["8000 bytes", `key\n${secret.repeat(2000)}\n`, 2],
  ])("%s in %j, line %i", (what, text, line) => {
    writeFileSync(path, text, "latin1");
    const error = refuse();
    expect(error).toMatchObject({ code: "api-keys-unusable", exit: "config", at: `${path}:${line}` });
    expect(error.message).toContain(what);
    expect(error.message).toMatch(new RegExp(`line ${line}\\b`));
    expect(JSON.stringify(error.problems)).not.toContain(secret);
  });

  test.each([
    ["\u00ff\u00fes\0", "save it as plain ASCII or UTF-8 text"],
    ["\u00ef\u00bb\u00bfkey\n", "save it without one"],
    ["key\r\n", String.raw`save it with line feeds alone: sed -i 's/\r$//' PATH`],
    ["key \n", "remove it: it would be part of the key, and no client can send it"],
    ["k\u0007\n", "remove it: no client can send it"],
    ["key # of ada\n", "write the comment on a separate line that begins with the hash"],
    ['"key"\n', "remove the quotes"],
    ["bearer key\n", "write only the key"],
    ["k\u00e4\n", "use letters, digits and ASCII signs: each client sends other characters differently"],
    ["k%2f\n", "use another key"],
    [`${"k".repeat(8001)}\n`, "use a shorter key: llama-server refuses requests with a key of that length"],
  ])("the fault of %j has a fix of its own", (text, fix) => {
    writeFileSync(path, text, "latin1");
    expect(refuse().problems.map((problem) => problem.fix)).toEqual([fix.replace("PATH", path)]);
  });

  test.each(["k%2", "k%zz", "k#x", "'key", "\"key'", "bearerkey", "k\u007e"])("%j is a key like any other", (key) => {
    writeFileSync(path, `${key}\n`);
    expect(read()).toEqual([key]);
  });

  test("all lines of one fault are counted, up to five by number", () => {
    const linesOf = (count: number) => {
      writeFileSync(path, "a \n".repeat(count));
      return refuse().message.split(" of line ")[1];
    };
    expect([5, 6].map(linesOf)).toEqual(["1, 2, 3, 4, 5", "1, 2, 3, 4, 5 and 1 more"]);
  });

  test("a byte order mark and what follows it are separate faults", () => {
    writeFileSync(path, "\u00ef\u00bb\u00bfkey \nother\n", "latin1");
    expect(refuse().problems.map(({ message }) => message)).toEqual([
      expect.stringContaining("begins with a byte order mark") as string,
      expect.stringContaining("a blank at the start or the end of line 1") as string,
    ]);
  });

  test("a file of a megabyte is read, and no larger one", () => {
    writeFileSync(path, `${"k".repeat(1023)}\n`.repeat(1024));
    expect(read()).toHaveLength(1024);
    writeFileSync(path, "\n", { flag: "a" });
    expect(refuse()).toMatchObject({
      code: "api-keys-unusable",
      exit: "config",
      at: "p.yaml:3:3",
      fix: "name a file with one key per line",
    });
  });

  test("our own requests use the first key that a client can send", () => {
    writeFileSync(path, "# of ada\n\n k\u0007y\nk\u00e4y\n  sesame \nother\n", "latin1");
    expect(readApiKey(path)).toBe("sesame");
    expect(readApiKey(undefined)).toBeUndefined();
  });

  test("several kinds of faults are reported at once, each with its lines", () => {
    writeFileSync(path, `a\r\n b\n${"c\r\n".repeat(7)}`);
    expect(refuse().problems.map(({ message }) => message)).toEqual([
      '"server.api_key_file" has a carriage return (CR) at the end of line 1, 3, 4, 5, 6 and 3 more',
      '"server.api_key_file" has a blank at the start or the end of line 2',
    ]);
  });

  test("builds without comments read them as keys", () => {
    expect(["b7698", "b8390", "b10068", "v0.5.0"].map((build) => hasKeyComments(readCatalogue(build)))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    writeFileSync(path, "key\n# of ada\n");
    expect(refuse(false).message).toMatch(/comment, which this build of llama.cpp reads as a key, on line 2$/);
  });
});

describe("a key file that cannot be read", () => {
  test.each<[string, () => void, string, string]>([
    ["is missing", () => undefined, "missingFile", "does not exist"],
    ["is a link to nowhere", () => symlinkSync("nowhere", path), "missingFile", "does not exist"],
    ["is a link to itself", () => symlinkSync("keys", path), "missingFile", "does not exist"],
    ["is below a file", () => (writeFileSync(path, ""), (path = join(path, "keys"))), "missingFile", "does not exist"],
    ["is a folder", () => mkdirSync(path), "missingFile", "is a folder"],
    ["is a pipe without a writer", () => execFileSync("mkfifo", [path]), "missingFile", "is a pipe"],
    ["is a device", () => (path = "/dev/zero"), "missingFile", "is not a regular file"],
    ["is too large", () => writeFileSync(path, Buffer.alloc(2 << 20, "k")), "config", "has 2097152 bytes"],
  ])("%s", (_how, make, exit, message) => {
    make();
    const error = refuse();
    expect(error).toMatchObject({ exit, at: "p.yaml:3:3" });
    expect(error.message).toContain(message);
    const example = message === "is a folder" ? `${path}/api-keys` : message === "does not exist" ? path : "FILE";
    const howTo = `openssl rand -hex 32 > ${example}; chmod 600 ${example}`;
    expect(error.fix).toBe(
      exit === "config"
        ? "name a file with one key per line"
        : message === "does not exist"
          ? `make one: ${howTo}`
          : `name a file with one key per line; to make one: ${howTo}`,
    );
    expect(readApiKey(path)).toBeUndefined();
  });

  test("can be created with the command of the fix", () => {
    path = join(folder, "my keys");
    execFileSync("sh", ["-c", describeFix(refuse().fix ?? "").replace("make one: ", "")]);
    expect(read()).toEqual([expect.stringMatching(/^[\da-f]{64}$/)]);
  });
});
