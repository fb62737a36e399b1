// Loaded before a program (`NODE_OPTIONS=--import=…`). While the file that FAIL_WHEN names exists, the synchronous
// system calls of a supervisor's timers and callbacks fail. Other means cannot make them fail.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";

const { existsSync } = fs;
const mayFail = () => existsSync(process.env.FAIL_WHEN ?? "");

function refuse(object, name, code, isMeant = () => true) {
  const real = object[name];
  object[name] = (...args) => {
    if (!mayFail() || !isMeant(args)) return real(...args);
    throw Object.assign(new Error(`${code}: refused, ${name}`), { code, errno: -1, syscall: name });
  };
}

for (const name of ["fstatSync", "statSync", "statfsSync", "ftruncateSync", "copyFileSync", "mkdirSync"])
  refuse(fs, name, "EIO");
// Node's own readFileSync reads without a position.
refuse(fs, "readSync", "EIO", (args) => args.length === 5);
refuse(fs, "watch", "EMFILE");
refuse(os, "uptime", "ERR_SYSTEM_ERROR");
refuse(process, "kill", "EPERM");
syncBuiltinESMExports();
