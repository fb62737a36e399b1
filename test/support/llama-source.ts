import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";

export interface FakeSource {
  /** What a native build's server does at a request for a completion; a portable build always answers. */
  readonly nativeCompletion?: "answers" | "dies";
  /** What the compiler does; see {@link waitingSteps} for "waits". */
  readonly compile?: "works" | "fails" | "hangs" | "waits";
  /** Text that makes this source differ from another. */
  readonly note?: string;
  /** Whether there is a llama-fit-params, too. */
  readonly fitParams?: boolean;
  /** The program that replaces the server which answers the build script's smoke test. */
  readonly server?: string;
}

const compileCommands = {
  works: "COMMAND ${CMAKE_COMMAND} -E echo compiled",
  fails:
    'COMMAND ${CMAKE_COMMAND} -E echo "nvcc: error: unsupported GNU version! gcc versions later than 12 are not ' +
    'supported!" COMMAND false',
  hangs: "COMMAND ${CMAKE_COMMAND} -E sleep 300",
  waits: "DEPENDS second.o",
} as const;

/**
 * A source that real cmake and ninja build at once: its "llama-server" is a script that answers as the real one does.
 */
export async function writeFakeSource(folder: string, { compile = "works", note = "", ...source }: FakeSource = {}) {
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, "CMakeLists.txt"),
    cmakeLists(compile, note) + (source.fitParams === true ? fitParams : ""),
  );
  if (source.fitParams === true) await mkdir(join(folder, "tools/fit-params"), { recursive: true });
  await writeFile(join(folder, "llama-server"), source.server ?? serverText(source.nativeCompletion ?? "answers"));
  await writeFile(join(folder, "llama-cli"), "#!/bin/sh\n");
  if (compile === "waits")
    for (const [name, text] of Object.entries(waitingScripts)) await writeFile(join(folder, name), text);
  for (const name of ["llama-server", "llama-cli"]) await chmod(join(folder, name), 0o755);
  return folder;
}

const fitParams = `configure_file(llama-cli \${CMAKE_BINARY_DIR}/bin/llama-fit-params COPYONLY)
add_custom_target(llama-fit-params)
`;

/**
 * Two steps. The first notes in `~/first-runs` that it ran. The second waits for the file `~/go`, and fails if what the
 * first step made is empty.
 */
const waitingSteps = `add_custom_command(OUTPUT first.o COMMAND sh \${CMAKE_SOURCE_DIR}/first.sh)
add_custom_command(OUTPUT second.o DEPENDS first.o COMMAND sh \${CMAKE_SOURCE_DIR}/second.sh)
`;
const waitingScripts = {
  "first.sh": 'echo ran >>"$HOME/first-runs"; echo object >first.o',
  "second.sh": 'until test -e "$HOME/go"; do sleep 0.05; done; test -s first.o && touch second.o',
} as const;

function cmakeLists(compile: keyof typeof compileCommands, note: string): string {
  return `# ${note}
cmake_minimum_required(VERSION 3.14)
project(fake NONE)
option(GGML_NATIVE "" ON)
option(LLAMA_BUILD_UI "" ON)
configure_file(llama-server \${CMAKE_BINARY_DIR}/bin/llama-server @ONLY)
configure_file(llama-cli \${CMAKE_BINARY_DIR}/bin/llama-cli @ONLY)
add_custom_target(first-step COMMAND \${CMAKE_COMMAND} -E true)
${compile === "waits" ? waitingSteps : ""}add_custom_target(llama-server ${compileCommands[compile]})
add_dependencies(llama-server first-step)
add_custom_target(llama-cli)
`;
}

function serverText(nativeCompletion: "answers" | "dies"): string {
  return `#!/usr/bin/env node
const dies = "@GGML_NATIVE@" === "ON" && "${nativeCompletion}" === "dies";
const args = process.argv.slice(2);
if (args.includes("--version")) console.error("version: 0.0.1 (fake)");
else if (args.includes("--help")) console.log("--spec-type none,draft-simple");
else {
  const server = require("node:http").createServer((request, response) => {
    if (dies) process.kill(process.pid, "SIGILL");
    else {
      const timings = args.includes("draft-simple") ? { draft_n: 5, draft_n_accepted: 4 } : {};
      response.end(JSON.stringify({ tokens_predicted: 8, timings }));
    }
  });
  server.listen(0, "127.0.0.1", () => console.error("listening on http://127.0.0.1:" + server.address().port));
}
`;
}

/** Makes the folder a git repository with one commit and the tag `v0.0.1`. */
export async function commitSource(folder: string): Promise<void> {
  const git = async (...args: string[]) =>
    execa("git", ["-C", folder, "-c", "user.name=test", "-c", "user.email=test@localhost", ...args]);
  await git("init", "--quiet", "--initial-branch", "main");
  await git("add", "--all");
  await git("commit", "--quiet", "--message", "fake");
  await git("tag", "v0.0.1");
}
