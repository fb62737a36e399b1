import { describe, expect, test } from "vitest";
import { explainExit } from "../../../../src/llama/server/exit-cause.ts";
import { knownLogLines } from "../../../../src/llama/server/exit-log-lines.ts";
import type { ExitCause, ServerExit } from "../../../../src/supervisor/launch.ts";

function ended(lastLines: readonly string[], more: Partial<ServerExit> = {}): ServerExit {
  return { name: "coder", code: 1, signal: null, lastLines, oomKills: 0, wasReady: false, ...more };
}

type Row = readonly [line: string, cause: ExitCause];

/** A cause that stays until somebody changes something. */
const lasting = { permanent: true } as const;
/** A cause outside the server that may end by itself: a service waits for it. */
const absent = { permanent: true, mayCome: true } as const;
/** The server is started again. */
const passing = { permanent: false } as const;

const device = 'error while handling argument "--device": invalid device: CUDA7';
const deviceFix = { before: "see", run: ["check", "coder"], after: "for the devices of this machine" };
const flagFix = { before: "see", run: ["plan", "coder"], after: "for the key that the flag comes from" };
const missing = {
  ...absent,
  kind: "file-missing",
  exit: "missingFile",
  fix: "check the path and its permissions in the profile",
} as const;
const workerLost = {
  ...passing,
  kind: "rpc-worker-lost",
  message: "the connection to a worker of rpc.workers is lost",
  fix: 'run "llmctl ps" on the worker\'s machine to see why; this server starts again when all its workers answer',
  exit: "unavailable",
} as const;
const portInUse = {
  ...absent,
  kind: "port-in-use",
  message: "the server could not listen on its port",
  fix: 'set server.port to a free one, or to "auto"',
  exit: "unavailable",
} as const;
const gpuMemory = {
  ...passing,
  kind: "gpu-out-of-memory",
  message: "the GPU has too little memory",
  fix: "lower ctx_size or gpu_layers, set fit: true, or free the GPU (nvidia-smi shows who uses it)",
  exit: "diedBeforeReady",
} as const;
const memory = {
  ...passing,
  kind: "out-of-memory",
  message: "the machine has too little memory",
  fix: "lower ctx_size, use a smaller quant, or stop other programs that use the memory",
  exit: "diedBeforeReady",
} as const;
const unsupported = {
  ...lasting,
  kind: "model-unsupported",
  fix: { before: "build a newer llama.cpp:", run: ["build"] },
  exit: "config",
} as const;
const noModel = {
  ...absent,
  kind: "model-missing",
  fix: "check the path and its permissions in the profile",
  exit: "missingFile",
} as const;
const corrupt = {
  ...lasting,
  kind: "model-corrupt",
  message: "a model file is damaged or incomplete",
  fix: { before: "fetch it again:", run: ["pull", "coder"] },
  exit: "missingFile",
} as const;
const notReady = {
  ...absent,
  ...passing,
  kind: "gpu-not-ready",
  fix: "see nvidia-smi; machines with NVLink need nvidia-fabricmanager to run",
  exit: "diedBeforeReady",
} as const;
const notLoaded = { ...passing, kind: "model-not-loaded", exit: "diedBeforeReady" } as const;
const notOpened = (path: string) => ({ ...noModel, message: `a model file cannot be opened: ${path}` });
const notUnderstood = (flag: string) =>
  ({
    ...lasting,
    kind: "bad-flag",
    message: `the server does not understand a flag: ${flag}`,
    fix: flagFix,
    exit: "config",
  }) as const;
const unknownDevice = (name: string) =>
  ({
    ...absent,
    kind: "bad-flag",
    message: `the worker does not know a device: ${name}`,
    fix: deviceFix,
    exit: "config",
  }) as const;

/** Every line as b7698, v0.5.0 or the RPC server logs it, in the order of the table. */
const rows: readonly Row[] = [
  [
    device,
    {
      ...absent,
      kind: "device-missing",
      message: "the server does not know a device: CUDA7",
      fix: deviceFix,
      exit: "unavailable",
    },
  ],
  [
    `error while handling argument "--api-key-file": error: failed to open file '/a b'`,
    { ...missing, message: "a file or folder that a flag names is missing: /a b" },
  ],
  [
    'error while handling argument "--slot-save-path": not a directory: /a b',
    { ...missing, message: "a file or folder that a flag names is missing: /a b" },
  ],
  ["error: invalid argument: --ctx-size-draft", notUnderstood("--ctx-size-draft")],
  ['error while handling argument "--port": stoi', notUnderstood("--port")],
  ["error: unknown device: CUDA7", unknownDevice("CUDA7")],
  ["error: invalid device: CUDA7", unknownDevice("CUDA7")],
  ["ggml-rpc.cpp:353: Remote RPC server crashed or returned malformed response", workerLost],
  [
    "ggml-rpc.cpp:1200: Failed to connect to 10.0.0.2:50052",
    { ...workerLost, message: `${workerLost.message}: 10.0.0.2:50052` },
  ],
  ["RPC server version mismatch: 3.6.0", workerLost],
  [
    "srv start: couldn't bind HTTP server socket, hostname: /run/a.sock, port: 8080",
    {
      ...lasting,
      kind: "port-in-use",
      message: "the server could not listen on its unix socket",
      fix: "make sure that nothing else listens on server.host, and that its folder is writable",
      exit: "unavailable",
    },
  ],
  ["0.00.012.345 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080", portInUse],
  ["couldn't bind to server socket", portInUse],
  ["Failed to create server socket", portInUse],
  [
    "/opt/llama-server: error while loading shared libraries: libcublas.so.12: cannot open shared object file",
    {
      ...absent,
      kind: "library-missing",
      message: "a shared library is missing: libcublas.so.12",
      fix: { before: "install the package that has it, or build llama.cpp on this machine:", run: ["build"] },
      exit: "missingFile",
    },
  ],
  ["allocating 9000.00 MiB on device 0: cudaMalloc failed: out of memory", gpuMemory],
  ["CUDA error: out of memory", gpuMemory],
  ...["CUDA1", "CUDA12", "Vulkan0", "Metal"].map((name): Row => [
    `llama_model_load: error loading model: unable to allocate ${name} buffer`,
    { ...gpuMemory, message: `${gpuMemory.message}: ${name}` },
  ]),
  ["ggml_vulkan: ErrorOutOfDeviceMemory", gpuMemory],
  ["ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99", memory],
  ["error loading model: unable to allocate CPU buffer", memory],
  ["terminate called after throwing an instance of 'std::bad_alloc'", memory],
  ["error loading model: failed to mmap", memory],
  ["fork: Cannot allocate memory", memory],
  [
    "llama_model_load: error loading model: unknown model architecture: 'glm9moe'",
    { ...unsupported, message: "this build of llama.cpp does not know the model: glm9moe" },
  ],
  [
    "error loading model vocabulary: unknown pre-tokenizer type: 'glm9'",
    { ...unsupported, message: "this build of llama.cpp does not know the model: glm9" },
  ],
  ["unknown tokenizer: 'x'", { ...unsupported, message: "this build of llama.cpp does not know the model: x" }],
  [
    "gguf_init_from_file: failed to open GGUF file '/a b.gguf' (Permission denied)",
    {
      ...lasting,
      kind: "model-unreadable",
      message: "this user has no permission to read a model file: /a b.gguf",
      fix: "check its permissions and those of its folders",
      exit: "permission",
    },
  ],
  ["gguf_init_from_file: failed to open GGUF file '/a b.gguf' (No such file or directory)", notOpened("/a b.gguf")],
  ["gguf_init_from_file: failed to open GGUF file '/a b.gguf'", notOpened("/a b.gguf")],
  ["llama_adapter_lora_init: failed to open '/a.gguf': No such file or directory", notOpened("/a.gguf")],
  ["clip_init: failed to open /a.gguf", notOpened("/a.gguf")],
  ["gguf_init_from_file_impl: invalid magic characters: 'PK??', expected 'GGUF'", corrupt],
  ["gguf_init_from_file_impl: failed to read magic", corrupt],
  ["gguf_init_from_file_impl: bad GGUF version: 99", corrupt],
  ["error loading model: tensor 'blk.0.ffn_up.weight' data is not within the file bounds", corrupt],
  ["error loading model: model is corrupted or incomplete", corrupt],
  ["corrupted model: 803 tensors expected but 402 found", corrupt],
  ...["no CUDA-capable device is detected", "system not yet initialized", "initialization error"].map((what): Row => [
    `CUDA error: ${what}`,
    { ...notReady, message: `the GPU driver is not ready: ${what}` },
  ]),
  [
    "CUDA error: an illegal memory access was encountered",
    {
      ...passing,
      kind: "gpu-error",
      message: "the GPU driver reported an error: an illegal memory access was encountered",
      fix: "look at dmesg for Xid messages; a driver update or a reboot may be needed",
      exit: "diedBeforeReady",
    },
  ],
  [
    "srv    load_model: failed to load model, '/a b.gguf'",
    { ...notLoaded, message: "a model could not be loaded: /a b.gguf" },
  ],
  [
    "srv    load_model: failed to load draft model, '/a b.gguf'",
    { ...notLoaded, message: "a model could not be loaded: /a b.gguf" },
  ],
  [
    "llama_model_load: error loading model: out of order",
    { ...notLoaded, message: "a model could not be loaded: out of order" },
  ],
];

describe("the last lines of llama-server", () => {
  test.each(rows)("%s", (line, cause) => {
    expect(explainExit(ended([line]))).toEqual(cause);
    // Whether it was ready before changes nothing where a line explains the end.
    expect(explainExit(ended(["before it", line, "", "usage:"], { wasReady: true }))).toEqual(cause);
  });

  // The recipe for a new exit cause: a row in `knownLogLines`, and above a line as the server logs it.
  test("have an example for every row of the table, in its order", () => {
    const matched = rows.map(([line]) => knownLogLines.findIndex((row) => row.line.test(line)));
    expect(matched).toEqual(matched.toSorted((a, b) => a - b));
    expect([...new Set(matched)]).toEqual([...knownLogLines.keys()]);
  });

  test("quote at most a thousand characters", () => {
    const path = `/${"a".repeat(2000)}.gguf`;
    const { message } = explainExit(ended([`failed to open GGUF file '${path}'`]));
    expect(message).toBe(`a model file cannot be opened: ${path.slice(0, 1000)}`);
  });

  test("the most telling of several lines counts, wherever it stands", () => {
    const lines = [
      "srv    load_model: failed to load model, '/m/x.gguf'",
      "cudaMalloc failed: out of memory",
      "failed to allocate buffer of size 1",
    ];
    expect(explainExit(ended(lines)).kind).toBe("gpu-out-of-memory");
    expect(explainExit(ended(lines.toReversed())).kind).toBe("gpu-out-of-memory");
  });

  test.each(["SIGABRT", "SIGSEGV"])("explains a %s too: out of memory ends some builds like that", (signal) => {
    expect(explainExit(ended(["failed to allocate buffer of size 1"], { code: null, signal })).kind).toBe(
      "out-of-memory",
    );
  });

  test.each(["SIGKILL", "SIGTERM"])("does not explain a %s from outside", (signal) => {
    expect(explainExit(ended(["failed to allocate buffer of size 1"], { code: null, signal })).kind).toBe("killed");
  });
});

const bySignal = {
  SIGKILL: {
    kind: "killed",
    message: "the server was killed (SIGKILL)",
    fix:
      'if nobody did that, the kernel ran out of memory: see "dmesg | grep -i oom"; ' +
      "lower ctx_size or use a smaller quant",
  },
  SIGSEGV: {
    kind: "crashed",
    message: "the server crashed (SIGSEGV)",
    fix: { before: "a native build may not suit this CPU; make a portable one:", run: ["build", "--portable"] },
  },
  SIGILL: {
    kind: "crashed",
    message: "the server used an instruction that this CPU does not have (SIGILL)",
    fix: { before: "make a build that runs on any CPU:", run: ["build", "--portable"] },
  },
  SIGABRT: {
    kind: "aborted",
    message: "the server aborted itself (SIGABRT)",
    fix: { before: "the end of its log says why:", run: ["logs", "coder"] },
  },
  SIGTERM: { kind: "killed", message: "the server was ended by SIGTERM" },
  SIGHUP: { kind: "killed", message: "the server was ended by SIGHUP" },
};
const seeLog = { before: "see the end of its log:", run: ["logs", "coder"] };

describe("with no line that explains it", () => {
  type End = [Partial<ServerExit>, Omit<ExitCause, "permanent" | "exit">];
  test.each<End>([
    ...Object.entries(bySignal).map(([signal, cause]): End => [{ code: null, signal }, cause]),
    [{ code: null, signal: "SIGTERM", oomKills: 1 }, bySignal.SIGTERM],
    [
      { code: null, signal: "SIGKILL", oomKills: 1 },
      {
        kind: "host-out-of-memory",
        message: "the kernel killed the server because the memory ran out",
        fix:
          "lower ctx_size, use a smaller quant, or stop other programs that use the memory; " +
          "a container or service may have a limit of its own",
      },
    ],
    [{ code: 7 }, { kind: "exited", message: "the server exited with code 7", fix: seeLog }],
    [{ code: 0 }, { kind: "exited", message: "the server exited with code 0", fix: seeLog }],
    [
      { code: null },
      {
        kind: "exited",
        message: "the server is gone; its exit code is unknown because this supervisor did not start it",
        fix: seeLog,
      },
    ],
  ])("an end with %j is told as it is, and the server is started again", (more, cause) => {
    expect(explainExit(ended(["all is well"], more))).toEqual({ ...cause, permanent: false, exit: "diedBeforeReady" });
    expect(explainExit(ended([], { ...more, wasReady: true }))).toEqual({ ...cause, permanent: false, exit: "failed" });
  });
});

test("the exit code of an adopted server is unknown, but its log may explain the end", () => {
  expect(explainExit(ended(["CUDA error: an illegal memory access was encountered"], { code: null })).kind).toBe(
    "gpu-error",
  );
});
