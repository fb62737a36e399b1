import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { judge } from "./measure.ts";

/** The limits for any foreign input. */
const mostSeconds = 1;
const mostMb = 200;

const emptyNodeMb = 45;

interface Cost {
  readonly seconds: number;
  readonly rssMb: number;
  /** `read`, or the code of the error. */
  readonly outcome: string;
}

/**
 * The cost of hostile input at or beyond its limit, in the worst known form of each kind. A separate process
 * makes each input, then measures CPU time and peak memory, including the 45 MB of Node itself, and the input
 * if it is in memory.
 */
export async function benchHostileInput(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "llmctl-hostile-"));
  try {
    const child = [join(import.meta.dirname, "hostile-input-child.ts"), folder];
    const names = (await run([...child, "--list"])).trim().split("\n");
    // The child loads TypeScript, unlike llmctl: its cost is replaced with that of an empty Node process.
    const spareMb = (JSON.parse(await run([...child, "--nothing"])) as Cost).rssMb - emptyNodeMb;
    console.log("hostile input at its limit, a process each:");
    const verdicts: boolean[] = [];
    for (const name of names) {
      const cost = JSON.parse(await run([...child, name])) as Cost;
      verdicts.push(report(name, { ...cost, rssMb: cost.rssMb - spareMb }));
    }
    return verdicts.every(Boolean);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function run([file = "", ...args]: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", "--import", "tsx", file, ...args], {
    maxBuffer: 1 << 20,
  });
  return stdout;
}

function report(name: string, { seconds, rssMb, outcome }: Cost): boolean {
  const what = `${name} (${outcome})`;
  const isQuick = judge({ what: `${what}, CPU`, value: seconds, limit: mostSeconds, unit: " s" });
  const isSmall = judge({ what: `${what}, peak memory`, value: rssMb, limit: mostMb, unit: " MB" });
  return isQuick && isSmall;
}
