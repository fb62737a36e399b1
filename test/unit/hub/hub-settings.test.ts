import { describe, expect, test } from "vitest";
import { readHubSettings } from "../../../src/hub/hub-settings.ts";

describe("readHubSettings", () => {
  test("goes to huggingface.co without a token unless told", () => {
    expect(readHubSettings({})).toEqual({ endpoint: "https://huggingface.co", offline: false });
  });

  test("takes a mirror without its last slash, and a token without blanks around it", () => {
    const settings = readHubSettings({ HF_ENDPOINT: "https://mirror.example/hf/", HF_TOKEN: " hf_abc\n" });
    expect(settings).toEqual({ endpoint: "https://mirror.example/hf", token: "hf_abc", offline: false });
  });

  test("counts an empty token as none", () => {
    expect(readHubSettings({ HF_TOKEN: "" })).not.toHaveProperty("token");
  });

  test.each([
    ["1", true],
    ["true", true],
    ["ON", true],
    ["0", false],
    ["", false],
  ])("reads HF_HUB_OFFLINE=%s as %s", (value, offline) => {
    expect(readHubSettings({ HF_HUB_OFFLINE: value }).offline).toBe(offline);
  });

  test.each(["mirror.example", "ftp://mirror.example"])("refuses the endpoint %s", (endpoint) => {
    expect(() => readHubSettings({ HF_ENDPOINT: endpoint })).toThrow(`HF_ENDPOINT is "${endpoint}"`);
  });

  test("refuses a token that no header can carry, without showing it", () => {
    expect(() => readHubSettings({ HF_TOKEN: "hf_a\nb" })).toThrow("HF_TOKEN holds characters that no token has");
  });
});
