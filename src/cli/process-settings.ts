import { setFlagsFromString } from "node:v8";

/*
 * Settings of this process. Importing this file makes them: `main.ts` imports it first, before other code allocates.
 */

// Download buffers die young, and the young generation never shrinks again: collect it every few MB, not every 30 MB,
// and free its buffers at once.
setFlagsFromString("--semi-space-growth-factor=1");
setFlagsFromString("--no-concurrent-array-buffer-sweeping");
// The report that Node writes of a crash (NODE_OPTIONS=--report-on-fatalerror) holds the environment, which may hold
// secrets. Older versions of Node cannot leave the environment out, so they write no report.
if (process.env["NODE_OPTIONS"]?.includes("--report") === true && process.report !== undefined) {
  if ("excludeEnv" in process.report) process.report.excludeEnv = true;
  else
    Object.assign(process.report, {
      reportOnFatalError: false,
      reportOnSignal: false,
      reportOnUncaughtException: false,
    });
}
// The umask may take rights from others, but not from the owner: llmctl must be able to read its own files.
process.umask(process.umask(0o077) & 0o077);
