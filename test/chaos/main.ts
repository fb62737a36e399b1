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
 * `npm run test:chaos [-- --seconds N] [--seed N]`: does random things to several profiles at once, real servers among
 * them, and after each step looks whether what must always hold still holds. The same seed gives the same steps; what
 * processes make of them is their own affair.
 */
const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" }, seed: { type: "string" } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const isOnSmallDisk = "LLMCTL_CHAOS_DISK" in process.env;

process.exitCode = isOnSmallDisk ? await runChaos({ seed, seconds: Number(values.seconds) }) : await runOnSmallDisk();

/**
 * A disk that can be filled is a mount of its own, which only this process and its children see. Root has folders of
 * its own, whatever its login is, so they are another user.
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
