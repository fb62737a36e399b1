import { appendFile, mkdir, readdir, truncate, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, llmctlCommand, startLlmctl } from "../support/llmctl.ts";
import { readServerLog, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { Terminal } from "../support/terminal.ts";
import { until } from "../support/until.ts";

let home: TempHome;
let log: string;

beforeEach(async () => {
  home = await TempHome.create();
  log = home.join("state", "p", "server.log");
  await mkdir(home.join("state", "p"), { recursive: true });
});
afterEach(() => home[Symbol.asyncDispose]());

function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => `line ${from + i}\n`).join("");
}

describe("logs", () => {
  test("prints the last lines, without a supervisor too", async () => {
    await writeFile(log, lines(0, 500));
    expect((await llmctl(["logs", "p", "-n", "3"], { home })).stdout).toBe("line 497\nline 498\nline 499");
    expect((await llmctl(["logs", "p"], { home })).stdout.split("\n")).toHaveLength(100);
    expect((await llmctl(["logs", "p", "-n", "0"], { home })).stdout).toBe("");
  });

  test("of a profile that has never run is an error", async () => {
    const { exitCode, stderr } = await llmctl(["logs", "q"], { home });
    expect(exitCode).toBe(66);
    expect(stderr).toContain('"q" has no log');
    expect(stderr).toContain("llmctl up q");
  });

  test("to a closed pipe ends without an error", async () => {
    await writeFile(log, lines(0, 5000));
    const { exitCode, stderr } = await llmctl(["logs", "p", "-n", "5000"], {
      home,
      via: ["sh", "-c", '"$@" | head -n 1', "sh"],
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  });

  test("escapes control bytes on a terminal, and passes them on elsewhere", async () => {
    await writeFile(log, "a\u001b[31mred\u0007 \u009b2J\ttab\n");
    expect((await llmctl(["logs", "p"], { home })).stdout).toBe("a\u001b[31mred\u0007 \u009b2J\ttab");
    const terminal = new Terminal(llmctlCommand(["logs", "p"]), home);
    const { exitCode, output } = await terminal.ended;
    expect(exitCode).toBe(0);
    expect(output.trimEnd()).toBe(String.raw`a\x1b[31mred\x07 \x9b2J` + "\ttab");
  });
});

describe("logs -f", () => {
  test("prints new whole lines, and goes on after a truncation", async () => {
    await writeFile(log, lines(0, 2));
    await using follower = startLlmctl(["logs", "p", "-f"], { home });
    await follower.waitForLine(/^line 1$/);
    await appendFile(log, "line 2 in p");
    await appendFile(log, "arts ö");
    const umlaut = Buffer.from("ü");
    await appendFile(log, umlaut.subarray(0, 1));
    await appendFile(log, umlaut.subarray(1));
    await appendFile(log, "\n");
    await follower.waitForLine(/^line 2 in parts öü$/);
    await truncate(log, 0);
    await appendFile(log, "new 1\nnew 2\n");
    await follower.waitForLine(/^new 2$/);
    expect(follower.lines).toEqual(["line 0", "line 1", "line 2 in parts öü", "new 1", "new 2"]);
    const { exitCode } = await follower.stop("SIGINT");
    expect(exitCode).toBe(0);
  });

  test("loses no line when the log is rotated, and neither do the rotated files", async () => {
    const keep = 40;
    await home.writeFakeProfile("p", {}, { log: { max_size: "20KB", keep }, health: { interval: "50ms" } });
    await upDetached(home, "p");
    await using follower = startLlmctl(["logs", "p", "-f"], { home });
    await follower.waitForLine(/listening on/);
    for (let round = 0; round < 3; round += 1) {
      await appendFile(log, lines(round * 3000, (round + 1) * 3000));
      const last = `line ${(round + 1) * 3000 - 1}`;
      await follower.waitForLine(new RegExp(`^${last}$`));
      await until("the log is rotated", async () => !(await readServerLog(home, "p")).includes(last));
    }
    const seen = follower.lines.filter((line) => /^line \d+$/.test(line)).map((line) => Number(line.slice(5)));
    expect(seen).toEqual(Array.from({ length: 9000 }, (_, i) => i));
    expect(
      (await readdir(home.join("state", "p"))).filter((name) => name.startsWith("server.log.")).toSorted(),
    ).toEqual(["server.log.1", "server.log.2", "server.log.3"]);
    await follower.stop("SIGINT");
    await llmctl(["down", "p"], { home });
  });
});

describe("parts of a log", () => {
  const marker = (time: string) => `--- llmctl: run 1, ${time}: /bin/llama-server --port 0\n`;

  /** Three runs, the first one in a rotated file; the lines have times since the start of their run. */
  async function writeRuns(): Promise<void> {
    await writeFile(
      `${log}.1`,
      `${marker("2026-01-01T10:00:00.000Z")}0.00.001.000 I first a\nfirst b\n${marker("2026-01-01T11:00:00.000Z")}`,
    );
    await writeFile(
      log,
      `0.00.002.000 I second a\n30.00.000.000 I second b\nplain\n${marker("2026-01-01T12:00:00.000Z")}third, no time\n`,
    );
  }

  async function read(...options: readonly string[]): Promise<readonly string[]> {
    const { exitCode, stdout } = await llmctl(["logs", "p", ...options], { home });
    expect(exitCode).toBe(0);
    return stdout.split("\n").map((line) => line.replace(/^[\d.]+ I /, "").replace(/^---.*(T\d\d).*/, "run $1"));
  }

  test("--previous prints the run before the newest, from its start in a rotated file", async () => {
    await writeRuns();
    expect(await read("--previous")).toEqual(["run T11", "second a", "second b", "plain"]);
    expect(await read("--previous", "-n", "2")).toEqual(["second b", "plain"]);
  });

  test("--previous says when there is none", async () => {
    await writeFile(log, `${marker("2026-01-01T10:00:00.000Z")}only\n`);
    const { exitCode, stderr } = await llmctl(["logs", "p", "--previous"], { home });
    expect(exitCode).toBe(66);
    expect(stderr).toContain('the log of "p" holds no run before the newest one');
  });

  test("--since uses the times of runs and lines, and prints whole runs of a build that logs no times", async () => {
    await writeRuns();
    expect(await read("--since", "2026-01-01T11:15:00Z")).toEqual(["second b", "plain", "run T12", "third, no time"]);
    expect(await read("--since", "2026-01-01T12:30:00Z")).toEqual(["run T12", "third, no time"]);
    expect(await read("--since", "1000000d")).toHaveLength(9);
    await appendFile(log, `${marker(new Date().toISOString())}0.00.000.001 I now\n`);
    // The third run went on until then, and its lines have no known time.
    expect((await read("--since", "10m")).filter((line) => !line.startsWith("run"))).toEqual(["third, no time", "now"]);
  });

  test("a time that cannot be read is wrong usage", async () => {
    const { exitCode, stderr } = await llmctl(["logs", "p", "--since", "yesterday"], { home });
    expect(exitCode).toBe(2);
    expect(stderr).toContain("Write how long ago, such as 10m");
  });
});
