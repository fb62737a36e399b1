import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readHubSettings } from "../../../../src/hub/http/hub-settings.ts";

describe("readHubSettings", () => {
  test("uses huggingface.co without a token by default", () => {
    expect(readHubSettings({ HOME: "/none" })).toEqual({ endpoint: "https://huggingface.co", offline: false });
  });

  test("takes a mirror without its last slash, and a token without blanks around it", () => {
    const settings = readHubSettings({ HF_ENDPOINT: "https://mirror.example/hf/", HF_TOKEN: " hf_abc\n" });
    expect(settings).toEqual({ endpoint: "https://mirror.example/hf", token: "hf_abc", offline: false });
  });

  test("treats an empty token as missing", () => {
    expect(readHubSettings({ HOME: "/none", HF_TOKEN: "" })).not.toHaveProperty("token");
  });

  test.each([
    ["1", true],
    ["true", true],
    ["ON", true],
    ["yes", true],
    ["2", false],
    ["offline", false],
    [undefined, false],
    ["0", false],
    ["", false],
  ])("reads HF_HUB_OFFLINE=%s as %s", (value: string | undefined, offline) => {
    expect(readHubSettings({ HF_HUB_OFFLINE: value }).offline).toBe(offline);
  });

  test.each([
    ["mirror.example", "mirror.example"],
    ["ftp://mirror.example", "ftp://mirror.example"],
    ["xhttps://mirror.example", "xhttps://mirror.example"],
    ["httpx://mirror.example", "httpx://mirror.example"],
    ["ftp://me:secret@mirror.example", "ftp://…@mirror.example"],
  ])("refuses the endpoint %s, and hides its password", (endpoint, shown) => {
    expect(() => readHubSettings({ HF_ENDPOINT: endpoint })).toThrow(
      expect.objectContaining({
        code: "bad-setting",
        message: `HF_ENDPOINT is "${shown}", which is not an http or https address`,
        exit: "config",
        fix: "unset HF_ENDPOINT, or give an address such as https://huggingface.co",
      }),
    );
  });

  test("takes a plain http mirror, and the default for an empty one", () => {
    expect(readHubSettings({ HF_ENDPOINT: "http://mirror.example" }).endpoint).toBe("http://mirror.example");
    expect(readHubSettings({ HF_ENDPOINT: "" }).endpoint).toBe("https://huggingface.co");
  });

  test("takes the token under its older name, too", () => {
    expect(readHubSettings({ HUGGING_FACE_HUB_TOKEN: "hf_old" }).token).toBe("hf_old");
    expect(readHubSettings({ HUGGING_FACE_HUB_TOKEN: "hf_old", HF_TOKEN: "hf_new" }).token).toBe("hf_new");
    expect(readHubSettings({ HF_TOKEN: "hf_a", HF_HUB_DISABLE_IMPLICIT_TOKEN: "yes" })).not.toHaveProperty("token");
  });

  test("refuses a token that no header can carry, without showing it", () => {
    for (const token of ["hf_a\nb", "hf_a b", "hf_\u007f", "é"])
      expect(() => readHubSettings({ HF_TOKEN: token })).toThrow(
        expect.objectContaining({
          code: "bad-setting",
          message: "HF_TOKEN holds characters that a token cannot have",
          exit: "config",
          fix: "set HF_TOKEN again",
        }),
      );
  });
});

describe("the token that the Python client keeps", () => {
  let home: string;

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), "llmctl-token-"));
    const put = async (path: string, text: string) => {
      await mkdir(join(home, path, ".."), { recursive: true });
      await writeFile(join(home, path), text);
    };
    await put(".cache/huggingface/token", "hf_home\n");
    await put("hf/token", "hf_hf_home");
    await put("elsewhere", " hf_elsewhere ");
    await put("broken", "hf_a\u0000b");
    await put("huge", `${"h".repeat(70_000)}`);
    await put("blank", " \n");
    await put("cache/huggingface/token", "hf_xdg");
  });

  afterAll(async () => {
    await rm(home, { recursive: true, force: true });
  });

  test.each([
    [{}, "hf_home"],
    [{ HF_HOME: "hf" }, "hf_hf_home"],
    [{ HF_HOME: "hf", HF_TOKEN_PATH: "elsewhere" }, "hf_elsewhere"],
    [{ HF_TOKEN: "hf_given", HF_TOKEN_PATH: "elsewhere" }, "hf_given"],
    [{ HF_TOKEN_PATH: "missing" }, undefined],
    [{ HF_TOKEN_PATH: "huge" }, undefined],
    [{ HF_TOKEN_PATH: "blank" }, undefined],
    [{ XDG_CACHE_HOME: "cache" }, "hf_xdg"],
    [{ XDG_CACHE_HOME: "cache", HF_HOME: "hf" }, "hf_hf_home"],
    [{ HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }, undefined],
  ])("is taken with %j: %s", (env: Record<string, string>, token) => {
    const placed = Object.entries(env).map(([key, value]) => [key, /PATH|HOME/.test(key) ? join(home, value) : value]);
    expect(readHubSettings({ HOME: home, ...(Object.fromEntries(placed) as Record<string, string>) }).token).toBe(
      token,
    );
  });

  test("is refused when no header can carry it, without showing it", () => {
    const path = join(home, "broken");
    expect(() => readHubSettings({ HF_TOKEN_PATH: path })).toThrow(
      `"${path}" holds characters that a token cannot have`,
    );
  });
});
