import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bundleSources } from "../support/bundle-sources.ts";
import { TempHome } from "../support/temp-home.ts";
import { judge, median, program } from "./measure.ts";

const digestFile = "hub/download/running-digest.ts";
const sizeBytes = 2e9;
const runs = 3;
/** Shares of the other program's speed. */
const leastOfCurl = 0.85;
const leastOfSha256sum = 0.9;

/**
 * Writes the peak memory of the process that loads it. `resourceUsage` is wrong for this: Linux includes the parent's
 * memory at the fork.
 */
const notePeak = `data:text/javascript,${encodeURIComponent(`
  import { readFileSync, writeFileSync } from "node:fs";
  process.on("exit", () => {
    const [, peak] = /VmHWM:\\s+(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
    writeFileSync(process.env.PEAK_FILE, peak);
  });
`)}`;

/**
 * `llmctl pull` of 2 GB over loopback, compared with `curl` to a file and then `sha256sum`; the digest of those 2 GB on
 * disk, compared with `sha256sum`. The files are in the folder for temporary files (`TMPDIR`), and only `llmctl` waits
 * until they are on disk.
 */
export async function benchFetch(): Promise<boolean> {
  await using home = await TempHome.create();
  await home.writeProfile("large", { model: { hf: "bench/Large-GGUF", quant: "Q8_0" } });
  const built = await bundleSources([digestFile], home.join("built"));
  const digestModule = built(digestFile);
  const hub = await startHub();
  try {
    const results: Run[] = [];
    for (let run = 0; run < runs; run += 1) results.push(await measure(home, hub, digestModule));
    return report(results);
  } finally {
    await hub.stop();
  }
}

interface Hub {
  readonly url: string;
  readonly digest: string;
  readonly stop: () => Promise<void>;
}

interface Run {
  readonly curlMs: number;
  readonly sha256sumMs: number;
  readonly pullMs: number;
  readonly peakMb: number;
  readonly verifyMs: number;
}

/** In turns, so that whatever else the machine does falls on both. */
async function measure(home: TempHome, hub: Hub, digestModule: string): Promise<Run> {
  const file = home.join("curl.gguf");
  const curlMs = time("curl", [
    "--silent",
    "--fail",
    "--output",
    file,
    `${hub.url}/bench/Large-GGUF/resolve/main/Large-Q8_0.gguf`,
  ]);
  const sha256sumMs = time("sha256sum", [file]);
  await rm(file);
  const cache = home.join("hub");
  await mkdir(cache);
  const env = {
    PATH: process.env["PATH"],
    LLMCTL_HOME: home.path,
    HF_HUB_CACHE: cache,
    HF_ENDPOINT: hub.url,
    PEAK_FILE: home.join("peak"),
  };
  const pullMs = time(process.execPath, ["--import", notePeak, program, "pull", "large"], env);
  const peakMb = (Number(await readFile(home.join("peak"), "utf8")) * 1024) / 1e6;
  const blob = home.join("hub", "models--bench--Large-GGUF", "blobs", hub.digest);
  const verifyMs = time(process.execPath, ["--input-type=module", "-e", verifyScript(digestModule), blob, hub.digest]);
  await rm(cache, { recursive: true });
  return { curlMs, sha256sumMs, pullMs, peakMb, verifyMs };
}

const verifyScript = (module: string) => `
  import { open } from "node:fs/promises";
  import { RunningDigest } from ${JSON.stringify(module)};
  const [path, digest] = process.argv.slice(1);
  const file = await open(path);
  const running = new RunningDigest(file, { digest, sizeBytes: ${sizeBytes} });
  running.advance(${sizeBytes});
  if ((await running.finish()) !== digest) throw new Error("the digest is wrong");
  await file.close();
`;

function time(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): number {
  const startMs = performance.now();
  const { status, error, stderr } = spawnSync(file, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  const endMs = performance.now();
  if (status !== 0) throw error ?? new Error(`${file} ended with ${status}: ${stderr.toString()}`);
  return endMs - startMs;
}

async function startHub(): Promise<Hub> {
  const script = fileURLToPath(new URL("large-hub.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script, String(sizeBytes)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const { url, digest } = JSON.parse(line) as Omit<Hub, "stop">;
  return {
    url,
    digest,
    stop: async () => {
      child.stdin.end();
      await once(child, "exit");
    },
  };
}

function report(results: readonly Run[]): boolean {
  const rate = (ms: number) => `${(sizeBytes / 1e3 / ms).toFixed(0)} MB/s`;
  const of = (pick: (run: Run) => number) => median(results.map(pick));
  console.log(`2 GB over loopback, ${runs} runs of each in turns, medians:`);
  console.log(
    `  curl: ${rate(of((run) => run.curlMs))}, and sha256sum after it: ` +
      `${rate(of((run) => run.curlMs + run.sha256sumMs))}`,
  );
  console.log(`  llmctl pull, start and sync to the disk included: ${rate(of((run) => run.pullMs))}`);
  console.log(
    `  sha256sum: ${rate(of((run) => run.sha256sumMs))}; our digest of a file: ${rate(of((run) => run.verifyMs))}`,
  );
  const limits = [
    {
      what: "time of pull beside that of curl and sha256sum",
      value: of((run) => run.pullMs / (run.curlMs + run.sha256sumMs)),
      limit: 1 / leastOfCurl,
      unit: "",
    },
    {
      what: "time of our digest beside that of sha256sum",
      value: of((run) => run.verifyMs / run.sha256sumMs),
      limit: 1 / leastOfSha256sum,
      unit: "",
    },
    { what: "peak memory of pull", value: Math.max(...results.map(({ peakMb }) => peakMb)), limit: 120, unit: " MB" },
  ];
  return limits.map(judge).every(Boolean);
}
