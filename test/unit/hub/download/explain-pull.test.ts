import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { explainPull } from "../../../../src/hub/download/explain-pull.ts";
import { TransientError } from "../../../../src/hub/http/retry.ts";
import type { RemoteModelRef } from "../../../../src/profiles/schema/schema.ts";

const ofHub: RemoteModelRef = { hf: "o/r", quant: "Q8_0" };
const ofUrl: RemoteModelRef = { url: "https://models.example/m.gguf?signature=secret" };
const again = (before?: string) => ({
  run: ["pull", "tiny"],
  ...(before === undefined ? {} : { before }),
  after: "again; it goes on from what is on disk",
});

function explain(error: unknown, ref = ofHub, signal = new AbortController().signal): unknown {
  return explainPull(error, ref, {
    signal,
    profile: "tiny",
    hub: { endpoint: "https://me:secret@hub.example", offline: false },
    hubCache: "/cache",
    urlFolder: "/models",
  });
}

const systemError = (code: string) => Object.assign(new Error(`${code}: no`), { code, errno: -1, syscall: "write" });

describe("a failure of a pull", () => {
  test.each([
    [ofHub, "https://…@hub.example", '"o/r" (Q8_0)'],
    [ofUrl, "https://models.example/m.gguf", '"https://models.example/m.gguf"'],
  ])("of the network tells what could not be fetched, and from where: %j", (ref, at, what) => {
    const cause = new TransientError("read ECONNRESET");
    expect(explain(cause, ref)).toMatchObject({
      code: "hub-unreachable",
      message: `${what} could not be fetched: read ECONNRESET`,
      exit: "unavailable",
      at,
      fix: again("check the network, then run"),
      cause,
    });
  });

  test("after an interruption is the interruption, whatever it was", () => {
    const signal = AbortSignal.abort();
    for (const error of [new TransientError("reset"), systemError("ENOSPC"), signal.reason])
      expect(explain(error, ofHub, signal)).toMatchObject({
        code: "interrupted",
        message: 'the pull of "o/r" (Q8_0) was interrupted',
        exit: "interrupted",
        fix: again(),
      });
  });

  test.each(["ENOSPC", "EDQUOT"])("is a full disk for %s", (code) => {
    const full = {
      code: "no-space",
      message: "the disk is full",
      exit: "io",
      fix: again("free some space, then run"),
      cause: { code },
    };
    expect(explain(systemError(code))).toMatchObject({ ...full, at: "/cache" });
    expect(explain(systemError(code), ofUrl)).toMatchObject({ ...full, at: "/models" });
  });

  test.each(["EACCES", "EPERM", "EROFS"])("is a lack of permission for %s", (code) => {
    expect(explain(systemError(code))).toMatchObject({
      code: "permission-denied",
      message: "no permission to write into the Hugging Face cache",
      exit: "permission",
      at: "/cache",
      fix: "check the folder's permissions, or set HF_HUB_CACHE to another one",
      cause: { code },
    });
  });

  test("of the disk for another reason names the reason", () => {
    expect(explain(systemError("EIO"), ofUrl)).toMatchObject({
      code: "store-failed",
      message: "llmctl's data folder cannot be written: EIO",
      exit: "io",
      at: "/models",
      fix: again("see what is wrong with that folder, or set XDG_DATA_HOME to another one, then run"),
      cause: { code: "EIO" },
    });
  });

  test("that is known, or a bug of llmctl, stays what it is", () => {
    const known = new LlmctlError("hub-denied", "no", { exit: "permission" });
    expect(explain(known, ofHub, AbortSignal.abort())).toBe(known);
    const bug = new TypeError("undefined is not a function");
    expect(explain(bug)).toBe(bug);
  });
});
