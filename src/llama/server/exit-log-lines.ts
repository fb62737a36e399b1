import type { ExitName } from "../../base/exit-codes.ts";
import type { Fix } from "../../base/fix.ts";

/** What to do about a cause; a function where the fix names the profile. */
export type FixFor = Fix | ((name: string) => Fix);

export interface KnownLogLine {
  /** Matches one line of the log; a group named `what`, `what2` or `what3` is quoted in the message. */
  readonly line: RegExp;
  readonly kind: string;
  readonly message: string;
  readonly fix?: FixFor;
  readonly permanent: boolean;
  readonly mayCome?: true;
  readonly exit: ExitName;
}

/** Matches what any of the patterns matches. */
function anyOf(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => source).join("|"));
}

/**
 * The log lines that explain an exit with code 1, which llama-server uses for nearly every failure. One failure logs
 * several of them: the most telling row comes first.
 * @see llama.cpp common/arg.cpp, src/llama-model-loader.cpp, tools/server/server.cpp (b7698 to v0.5.0)
 */
export const knownLogLines: readonly KnownLogLine[] = [
  {
    line: /error while handling argument "[^"]+": invalid device: (?<what>\S+)/,
    kind: "device-missing",
    message: "the server does not know a device",
    fix: (name) => ({ before: "see", run: ["check", name], after: "for the devices of this machine" }),
    permanent: true,
    mayCome: true,
    exit: "unavailable",
  },
  {
    line: anyOf(
      /error while handling argument "[^"]+": error: failed to open file '(?<what>[^']+)'/,
      /error while handling argument "[^"]+": not a directory: (?<what2>.+)/,
    ),
    kind: "file-missing",
    message: "a file or folder that a flag names is missing",
    fix: "check the path and its permissions in the profile",
    permanent: true,
    mayCome: true,
    exit: "missingFile",
  },
  {
    line: /error: invalid argument: (?<what>\S+)|error while handling argument "(?<what2>[^"]+)"/,
    kind: "bad-flag",
    message: "the server does not understand a flag",
    fix: (name) => ({ before: "see", run: ["plan", name], after: "for the key that the flag comes from" }),
    permanent: true,
    exit: "config",
  },
  {
    line: /error: (?:unknown|invalid) device: (?<what>\S+)/,
    kind: "bad-flag",
    message: "the worker does not know a device",
    fix: (name) => ({ before: "see", run: ["check", name], after: "for the devices of this machine" }),
    permanent: true,
    mayCome: true,
    exit: "config",
  },
  {
    line: anyOf(
      /Remote RPC server crashed or returned malformed response/,
      /Failed to connect to (?<what>\S+:\d+)/,
      /RPC server version mismatch/,
    ),
    kind: "rpc-worker-lost",
    message: "the connection to a worker of rpc.workers is lost",
    fix: 'run "llmctl ps" on the worker\'s machine to see why; this server starts again when all its workers answer',
    permanent: false,
    exit: "unavailable",
  },
  {
    line: /couldn't bind HTTP server socket, hostname: .*\.sock, port/,
    kind: "port-in-use",
    message: "the server could not listen on its unix socket",
    fix: "make sure that nothing else listens on server.host, and that its folder is writable",
    permanent: true,
    exit: "unavailable",
  },
  {
    line: anyOf(/couldn't bind HTTP server socket/, /couldn't bind to server socket/, /Failed to create server socket/),
    kind: "port-in-use",
    message: "the server could not listen on its port",
    fix: 'set server.port to a free one, or to "auto"',
    permanent: true,
    mayCome: true,
    exit: "unavailable",
  },
  {
    line: /error while loading shared libraries: (?<what>[^:]+)/,
    kind: "library-missing",
    message: "a shared library is missing",
    fix: { before: "install the package that has it, or build llama.cpp on this machine:", run: ["build"] },
    permanent: true,
    mayCome: true,
    exit: "missingFile",
  },
  {
    line: anyOf(
      /cudaMalloc failed: out of memory/,
      /CUDA error: out of memory/,
      /unable to allocate (?<what>CUDA\d+|Vulkan\d+|Metal) buffer/,
      /ErrorOutOfDeviceMemory/,
    ),
    kind: "gpu-out-of-memory",
    message: "the GPU has too little memory",
    fix: "lower ctx_size or gpu_layers, set fit: true, or free the GPU (nvidia-smi shows who uses it)",
    permanent: false,
    exit: "diedBeforeReady",
  },
  {
    line: /failed to allocate buffer|unable to allocate|std::bad_alloc|failed to mmap|cannot allocate memory/i,
    kind: "out-of-memory",
    message: "the machine has too little memory",
    fix: "lower ctx_size, use a smaller quant, or stop other programs that use the memory",
    permanent: false,
    exit: "diedBeforeReady",
  },
  {
    line: anyOf(
      /unknown model architecture: '(?<what>[^']+)'/,
      /unknown pre-tokenizer type: '(?<what2>[^']+)'/,
      /unknown tokenizer: '(?<what3>[^']+)'/,
    ),
    kind: "model-unsupported",
    message: "this build of llama.cpp does not know the model",
    fix: { before: "build a newer llama.cpp:", run: ["build"] },
    permanent: true,
    exit: "config",
  },
  {
    line: /failed to open GGUF file '(?<what>[^']+)' \(Permission denied\)/,
    kind: "model-unreadable",
    message: "this user has no permission to read a model file",
    fix: "check its permissions and those of its folders",
    permanent: true,
    exit: "permission",
  },
  {
    line: /failed to open GGUF file '(?<what>[^']+)'|failed to open '?(?<what2>\S+\.gguf)/,
    kind: "model-missing",
    message: "a model file cannot be opened",
    fix: "check the path and its permissions in the profile",
    permanent: true,
    mayCome: true,
    exit: "missingFile",
  },
  {
    line: anyOf(
      /invalid magic characters/,
      /failed to read magic/,
      /bad GGUF version/,
      /is not within the file bounds/,
      /model is corrupted/,
      /tensors expected but/,
    ),
    kind: "model-corrupt",
    message: "a model file is damaged or incomplete",
    fix: (name) => ({ before: "fetch it again:", run: ["pull", name] }),
    permanent: true,
    exit: "missingFile",
  },
  {
    // The answers of a driver that is still being loaded. A machine with NVLink answers "system not yet initialized"
    // until its fabric manager runs.
    line: /CUDA error: (?<what>no CUDA-capable device is detected|system not yet initialized|initialization error)/,
    kind: "gpu-not-ready",
    message: "the GPU driver is not ready",
    fix: "see nvidia-smi; machines with NVLink need nvidia-fabricmanager to run",
    permanent: false,
    mayCome: true,
    exit: "diedBeforeReady",
  },
  {
    line: /CUDA error: (?<what>.+)/,
    kind: "gpu-error",
    message: "the GPU driver reported an error",
    fix: "look at dmesg for Xid messages; a driver update or a reboot may be needed",
    permanent: false,
    exit: "diedBeforeReady",
  },
  {
    line: /failed to load (?:draft )?model, '(?<what>[^']+)'|error loading model: (?<what2>.+)/,
    kind: "model-not-loaded",
    message: "a model could not be loaded",
    permanent: false,
    exit: "diedBeforeReady",
  },
];
