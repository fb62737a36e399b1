import { expect, test } from "vitest";
import { hasLogin, hideValues, isSecret, maskAddress, maySecretBe } from "../../../../src/base/text/secrets.ts";

test.each([
  ["https://models.example/m.gguf", "https://models.example/m.gguf"],
  ["https://user:s3cret@models.example/m.gguf", "https://…@models.example/m.gguf"],
  ["https://user:s3/c@r?t@models.example/m.gguf", "https://…@models.example/m.gguf"],
  ["https://user:s3cr et@mod els.example", "https://…@mod els.example"],
  ["https://models.example/m.gguf?X-Amz-Signature=s3cret", "https://models.example/m.gguf?…"],
  ["https://models.example/m.gguf#s3cret", "https://models.example/m.gguf?…"],
])("an address is shown without its secrets: %s", (address, shown) => {
  expect(maskAddress(address)).toBe(shown);
});

test("a long address without a login takes linear time", () => {
  const address = `https:${"/".repeat(300_000)}`;
  expect(maskAddress(address)).toBe(address);
});

test.each([
  ["HF_TOKEN", true, true],
  ["OPENAI_API_KEYS", true, true],
  ["db_password", true, true],
  ["API_KEY_FILE", true, false],
  ["CUDA_VISIBLE_DEVICES", false, false],
])("a variable's name shows whether it may be, and whether it is, a secret: %s", (name, may, is) => {
  expect([maySecretBe(name), isSecret(name)]).toEqual([may, is]);
});

test("an environment is shown by its names", () => {
  expect(hideValues({ PATH: "/bin", A: "s3cret" })).toEqual({ PATH: "(hidden)", A: "(hidden)" });
});

test.each([
  ["postgres://me:s3cret@db/x", true],
  ["redis://:s3cret@db", true],
  ["https://models.example/@v1", false],
  ["ada@models.example", false],
])("%s holds a login: %s", (text, expected) => expect(hasLogin(text)).toBe(expected));
