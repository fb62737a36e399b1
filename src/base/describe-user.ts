import { readFileSync } from "node:fs";
import type { Env } from "./environment.ts";
import { quoteForShell } from "./text/quote-for-shell.ts";

/** `"alice" (uid 1000)`, or `uid 1000` for a user that the passwd file does not know. */
export function describeUser(uid: number): string {
  const name = findUserName(uid);
  return name === undefined ? `uid ${uid}` : `"${name}" (uid ${uid})`;
}

/** Reads the passwd file. @returns undefined for a user that it does not know. */
export function findUserName(uid: number): string | undefined {
  const entries = readPasswd().map((line) => line.split(":"));
  return entries.find((fields) => fields[2] === String(uid))?.[0];
}

function readPasswd(): readonly string[] {
  try {
    return readFileSync("/etc/passwd", "utf8").split("\n");
  } catch {
    return []; // users are then shown by their id
  }
}

/** Variables that say where files are: the command needs them as another user, too. */
const passedOn = ["LLMCTL_HOME", "HF_HOME"] as const;

/**
 * The present command line, to run as another user: `sudo -u alice env LLMCTL_HOME=/srv/llm llmctl down p`.
 * @param user A name, or a number where there is no name.
 */
export function commandAs(user: string | number, env: Env = process.env): string {
  const who = typeof user === "string" ? user : (findUserName(user) ?? `#${user}`);
  const set = passedOn.flatMap((key) => (env[key] ? [`${key}=${env[key]}`] : []));
  const [command = "", ...rest] = process.argv.slice(2);
  // The internal command of a detached supervisor is never typed.
  const typed = command === "" || command.startsWith("__") ? [] : [command, ...rest];
  return ["sudo", "-u", who, ...(set.length === 0 ? [] : ["env", ...set]), "llmctl", ...typed]
    .map(quoteForShell)
    .join(" ");
}
