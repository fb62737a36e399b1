import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkKeyFile, findKeyFileFault, findOpenAccess } from "../../../../src/llama/server/api-key-checks.ts";
import { makeProfile } from "../../../support/llama-help.ts";
import { makeLaunch } from "../../../support/make-launch.ts";

let folder: string;
let keys: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-keys-"));
  keys = join(folder, "keys");
  writeFileSync(keys, "sesame\n", { mode: 0o600 });
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("a server without keys", () => {
  test.each(["0.0.0.0", "::", "192.168.1.2", "10.0.0.2", "2001:db8::1", "gpu-box"])(
    "on %s is open to the network",
    (host) => {
      const [opening, ...more] = findOpenAccess(makeProfile({ server: { host } }));
      expect(more).toEqual([]);
      expect(opening).toMatchObject({ code: "no-api-key", at: "p.yaml:server.host" });
      expect(opening?.message).toBe(`whoever reaches ${host} can use the server: it asks for no API key`);
      expect(opening?.fix).toContain("openssl rand -hex 32");
      expect(findOpenAccess(makeProfile({ server: { host, api_key_file: keys } }))).toEqual([]);
    },
  );

  test.each(["127.0.0.1", "127.0.0.2", "::1", "localhost", "/run/coder.sock"])(
    "on %s is open to this machine only",
    (host) => {
      expect(findOpenAccess(makeProfile({ server: { host } }))).toEqual([]);
    },
  );
});

test.each([
  [0o600, []],
  [0o400, []],
  [0o644, ["api-key-file-open"]],
  [0o640, ["api-key-file-open"]],
  [0o602, ["api-key-file-open"]],
])("the user's own key file with mode %o: %j", (mode, codes) => {
  chmodSync(keys, mode);
  expect(findOpenAccess(makeProfile({ server: { api_key_file: keys } })).map(({ code }) => code)).toEqual(codes);
});

test("a key file that others can read is told with the command that closes it", () => {
  const path = join(folder, "my keys");
  writeFileSync(path, "sesame\n");
  chmodSync(path, 0o644);
  expect(findOpenAccess(makeProfile({ server: { api_key_file: path, host: "0.0.0.0" } }))).toEqual([
    {
      code: "api-key-file-open",
      message: `other users of this machine can read or change the API keys: ${path}`,
      at: "p.yaml:server.api_key_file",
      fix: `chmod 600 '${path}'`,
    },
  ]);
});

test("the fault of a key file has the place of its key; without a file there is none", () => {
  const fault = (hasComments: boolean) =>
    findKeyFileFault(makeProfile({ server: { api_key_file: keys } }), hasComments);
  expect([fault(true), findKeyFileFault(makeProfile({}), true)]).toEqual([undefined, undefined]);
  writeFileSync(keys, "# of ada\nsesame\n");
  expect(fault(true)).toBeUndefined();
  expect(fault(false)).toMatchObject({ code: "api-keys-unusable", at: `${keys}:1` });
  writeFileSync(keys, "");
  expect(fault(true)).toMatchObject({ code: "api-keys-unusable", at: "p.yaml:server.api_key_file" });
});

test("a key file without access is reported by another check", () => {
  symlinkSync("loop", join(folder, "loop"));
  for (const path of [join(folder, "loop"), join(keys, "below"), join(folder, "missing")]) {
    expect(findOpenAccess(makeProfile({ server: { api_key_file: path } }))).toEqual([]);
  }
});

test("the key file is checked before each start", () => {
  const launch = makeLaunch({ apiKeyFile: keys });
  expect(checkKeyFile(launch)).toBeUndefined();
  writeFileSync(keys, "\n");
  expect(checkKeyFile(launch)).toMatchObject({ kind: "api-keys-unusable", permanent: false, exit: "config" });
  rmSync(keys);
  expect(checkKeyFile(launch)).toEqual({
    kind: "api-key-file-missing",
    message: `"server.api_key_file" does not exist: ${keys}`,
    fix: `make one: openssl rand -hex 32 > ${keys}; chmod 600 ${keys}`,
    permanent: false,
    exit: "missingFile",
  });
  expect(checkKeyFile(makeLaunch())).toBeUndefined();
});
