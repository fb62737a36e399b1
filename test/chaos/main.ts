import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { ensureLlamaBuild } from "../support/llama-builds.ts";
import { asOrdinaryUser, withSmallDisk } from "../support/namespaces.ts";
import { runChaos } from "./run-chaos.ts";

/*
 * `npm run test:chaos [-- --seconds N] [--seed N]`: disturbs several profiles at once, some with real servers, and
 * checks the invariants after each step. The same seed gives the same steps, but not the same timing of the processes.
 */
const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" }, seed: { type: "string" } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const isOnSmallDisk = "LLMCTL_CHAOS_DISK" in process.env;

process.exitCode = isOnSmallDisk ? await runChaos({ seed, seconds: Number(values.seconds) }) : await runOnSmallDisk();

/**
 * The disk that is filled is a separate mount, which only this process and its children see. They run as another user
 * than root, since root has its own folders whatever its login is.
 */
async function runOnSmallDisk(): Promise<number> {
  await ensureLlamaBuild("v0.5.0");
  const folder = await mkdtemp(join(tmpdir(), "llmctl-chaos-"));
  const script = fileURLToPath(import.meta.url);
  const options = ["--seconds", values.seconds, "--seed", String(seed)];
  const [file = "", ...args] = [
    ...withSmallDisk(folder, "24m"),
    ...asOrdinaryUser(),
    process.execPath,
    ...process.execArgv,
    script,
    ...options,
  ];
  try {
    const { exitCode } = await execa(file, args, {
      stdio: "inherit",
      reject: false,
      env: { TMPDIR: folder, LLMCTL_CHAOS_DISK: folder },
    });
    return exitCode ?? 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
