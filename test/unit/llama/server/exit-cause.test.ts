import { describe, expect, test } from "vitest";
import { exitCodes } from "../../../../src/base/exit-codes.ts";
import { explainExit } from "../../../../src/llama/server/exit-cause.ts";
import { knownLogLines } from "../../../../src/llama/server/exit-log-lines.ts";
import type { ServerExit } from "../../../../src/supervisor/launch.ts";

function ended(lastLines: readonly string[], more: Partial<ServerExit> = {}): ServerExit {
  return { name: "coder", code: 1, signal: null, lastLines, oomKills: 0, wasReady: false, ...more };
}

describe("the last lines of llama-server", () => {
  // As b7698 and v0.5.0 log it, with the lines after the explaining one.
  test.each([
    [
      "a flag that it does not know",
      ["error: invalid argument: --ctx-size-draft"],
      "bad-flag",
      "config",
      "--ctx-size-draft",
    ],
    [
      "a flag's wrong value",
      ['error while handling argument "--port": stoi', "", "usage:"],
      "bad-flag",
      "config",
      "--port",
    ],
    [
      "a busy port",
      [
        "0.00.012.345 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
        "0.00.012.400 E srv  llama_server: exiting due to HTTP server error",
      ],
      "port-in-use",
      "unavailable",
      "",
    ],
    [
      "a missing library",
      [
        "/opt/llama-server: error while loading shared libraries: libcublas.so.12: cannot open shared object " +
          "file: No such file or directory",
      ],
      "library-missing",
      "missingFile",
      "libcublas.so.12",
    ],
    [
      "a missing file, b7698",
      [
        "gguf_init_from_file: failed to open GGUF file '/m/x.gguf'",
        "llama_model_load: error loading model: llama_model_loader: failed to load model from /m/x.gguf",
        "srv    load_model: failed to load model, '/m/x.gguf'",
        "main: exiting due to model loading error",
      ],
      "model-missing",
      "missingFile",
      "/m/x.gguf",
    ],
    [
      "a missing file, v0.5.0",
      [
        "0.00.005.026 E gguf_init_from_file: failed to open GGUF file '/m/x.gguf' (No such file or directory)",
        "0.00.005.100 E srv    load_model: failed to load model, '/m/x.gguf'",
      ],
      "model-missing",
      "missingFile",
      "/m/x.gguf",
    ],
    [
      "no GGUF",
      [
        "gguf_init_from_file_impl: invalid magic characters: 'PK??', expected 'GGUF'",
        "srv    load_model: failed to load model, '/m/x.gguf'",
      ],
      "model-corrupt",
      "missingFile",
      "",
    ],
    ["an empty file", ["gguf_init_from_file_impl: failed to read magic"], "model-corrupt", "missingFile", ""],
    ["another GGUF version", ["gguf_init_from_file_impl: bad GGUF version: 99"], "model-corrupt", "missingFile", ""],
    [
      "a truncated file",
      [
        "llama_model_load: error loading model: tensor 'blk.0.ffn_up.weight' data is not within the file bounds, " +
          "model is corrupted or incomplete",
        "srv    load_model: failed to load model, '/m/x.gguf'",
      ],
      "model-corrupt",
      "missingFile",
      "",
    ],
    ["a missing shard", ["corrupted model: 803 tensors expected but 402 found"], "model-corrupt", "missingFile", ""],
    [
      "an unknown architecture",
      [
        "llama_model_load: error loading model: unknown model architecture: 'glm9moe'",
        "main: exiting due to model loading error",
      ],
      "model-unsupported",
      "config",
      "glm9moe",
    ],
    [
      "a device that a worker has not",
      ["error: unknown device: CUDA7", "available devices:"],
      "bad-flag",
      "config",
      "CUDA7",
    ],
    ["a worker's port", ["Failed to create server socket"], "port-in-use", "unavailable", ""],
    ["an unknown pre-tokenizer", ["unknown pre-tokenizer type: 'glm9'"], "model-unsupported", "config", "glm9"],
  ])("%s is permanent: the server is not started again", (_, lines, kind, exit, what) => {
    const cause = explainExit(ended(lines));
    expect(cause).toMatchObject({ kind, exit, permanent: true });
    expect(cause.message).toContain(what);
    expect(cause.fix).toBeTruthy();
  });

  test.each([
    [
      "a device",
      'error while handling argument "--device": invalid device: CUDA0',
      "device-missing",
      "unavailable",
      "CUDA0",
    ],
    [
      "a file of a flag",
      `error while handling argument "--api-key-file": error: failed to open file '/k'`,
      "file-missing",
      "missingFile",
      "/k",
    ],
    [
      "a folder of a flag",
      'error while handling argument "--slot-save-path": not a directory: /s',
      "file-missing",
      "missingFile",
      "/s",
    ],
    [
      "a model",
      "gguf_init_from_file: failed to open GGUF file '/m.gguf' (No such file or directory)",
      "model-missing",
      "missingFile",
      "/m",
    ],
    [
      "an adapter",
      "llama_adapter_lora_init: failed to open '/a.gguf': No such file or directory",
      "model-missing",
      "missingFile",
      "/a",
    ],
    [
      "a port",
      "start: couldn't bind HTTP server socket, hostname: 10.0.0.2, port: 80",
      "port-in-use",
      "unavailable",
      "",
    ],
    [
      "a library",
      "x: error while loading shared libraries: libcuda.so.1: cannot open",
      "library-missing",
      "missingFile",
      "libcuda",
    ],
    ["a worker's device", "error: unknown device: CUDA7", "bad-flag", "config", "CUDA7"],
  ])("%s that is missing may appear later", (_, line, kind, exit, what) => {
    const cause = explainExit(ended([line]));
    expect(cause).toMatchObject({ kind, exit, permanent: true, mayCome: true });
    expect(cause.message).toContain(what);
  });

  test.each(["no CUDA-capable device is detected", "system not yet initialized"])(
    "a driver that says %j may still be loading",
    (what) => {
      expect(explainExit(ended([`CUDA error: ${what}`]))).toMatchObject({
        kind: "gpu-not-ready",
        permanent: false,
        mayCome: true,
      });
    },
  );

  test.each([
    ["a model that may not be read", "gguf_init_from_file: failed to open GGUF file '/m.gguf' (Permission denied)"],
    ["a damaged model", "gguf_init_from_file_impl: failed to read magic"],
    ["a flag", "error: invalid argument: --what"],
    ["a value", 'error while handling argument "--port": stoi'],
  ])("%s stays until somebody changes something", (_, line) => {
    const cause = explainExit(ended([line]));
    expect(cause.permanent).toBe(true);
    expect(cause.mayCome).toBeUndefined();
  });

  test.each([
    [
      "a full GPU",
      [
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000.00 MiB on device 0: cudaMalloc failed: out " +
          "of memory",
      ],
      "gpu-out-of-memory",
    ],
    [
      "a full second GPU",
      ["llama_model_load: error loading model: unable to allocate CUDA1 buffer"],
      "gpu-out-of-memory",
    ],
    [
      "no memory for the KV cache",
      [
        "alloc_tensor_range: failed to allocate CPU buffer of size 400",
        "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99",
        "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
      ],
      "out-of-memory",
    ],
    ["no memory at all", ["terminate called after throwing an instance of 'std::bad_alloc'"], "out-of-memory"],
    ["a GPU error", ["CUDA error: an illegal memory access was encountered"], "gpu-error"],
    ["a draft that does not load", ["srv    load_model: failed to load draft model, '/m/d.gguf'"], "model-not-loaded"],
  ])("%s may pass: the server is started again", (_, lines, kind) => {
    expect(explainExit(ended(lines))).toMatchObject({ kind, permanent: false, exit: "diedBeforeReady" });
  });

  test.each([
    ["gone", "ggml-rpc.cpp:353: Remote RPC server crashed or returned malformed response"],
    ["not there", "ggml-rpc.cpp:1200: Failed to connect to 10.0.0.2:50052"],
    ["of another release", "RPC server version mismatch: 3.6.0"],
  ])("a worker that is %s may come back", (_, line) => {
    const exit = explainExit(ended([line], { code: null, signal: "SIGABRT" }));
    expect(exit).toMatchObject({ kind: "rpc-worker-lost", permanent: false, exit: "unavailable" });
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

describe("with no line that explains it", () => {
  test.each([
    [{ code: null, signal: "SIGKILL" }, "killed", "the server was killed (SIGKILL)"],
    [
      { code: null, signal: "SIGKILL", oomKills: 1 },
      "host-out-of-memory",
      "the kernel killed the server because the memory ran out",
    ],
    [{ code: null, signal: "SIGTERM", oomKills: 1 }, "killed", "the server was ended by SIGTERM"],
    [{ code: null, signal: "SIGSEGV" }, "crashed", "the server crashed (SIGSEGV)"],
    [{ code: null, signal: "SIGILL" }, "crashed", "an instruction that this CPU does not have"],
    [{ code: null, signal: "SIGABRT" }, "aborted", "the server aborted itself (SIGABRT)"],
    [{ code: null, signal: "SIGHUP" }, "killed", "the server was ended by SIGHUP"],
    [{ code: 7 }, "exited", "the server exited with code 7"],
    [{ code: 0 }, "exited", "the server exited with code 0"],
  ])("%j is %s", (more, kind, message) => {
    const cause = explainExit(ended(["all is well"], more));
    expect(cause).toMatchObject({
      kind,
      permanent: false,
      exit: "diedBeforeReady",
      message: expect.stringContaining(message),
    });
    expect(explainExit(ended([], { ...more, wasReady: true })).exit).toBe("failed");
    expect(exitCodes[cause.exit]).toBeDefined();
  });
});

test("the exit code of an adopted server is unknown, but its log may explain the end", () => {
  expect(explainExit(ended([], { code: null }))).toMatchObject({
    kind: "exited",
    message: "the server is gone; its exit code is unknown because this supervisor did not start it",
    permanent: false,
  });
  expect(explainExit(ended(["CUDA error: an illegal memory access was encountered"], { code: null })).kind).toBe(
    "gpu-error",
  );
});

test.each<[string, readonly string[], Partial<ServerExit>, readonly string[]]>([
  ["a bad flag", ["error: invalid argument: --nope"], {}, ["plan", "coder"]],
  ["a worker's device", ["error: unknown device: CUDA7"], {}, ["check", "coder"]],
  [
    "a broken model",
    ["tensor 'x' data is not within the file bounds, model is corrupted or incomplete"],
    {},
    ["pull", "coder"],
  ],
  ["an abort", [], { code: null, signal: "SIGABRT" }, ["logs", "coder"]],
  ["an exit code", [], { code: 7 }, ["logs", "coder"]],
])("the fix for %s is a command with the profile's name", (_, lines, more, run) => {
  expect(explainExit(ended(lines, more)).fix).toMatchObject({ run });
});

// The recipe for a new exit cause: a row in `knownLogLines`, and here a line as the server logs it.
test("every row of the table is the first to match its own example", () => {
  const examples = [
    'error while handling argument "--device": invalid device: CUDA7',
    `error while handling argument "--grammar-file": error: failed to open file '/g.gbnf'`,
    "error: invalid argument: --nope",
    "error: unknown device: CUDA7",
    "ggml-rpc.cpp:1200: Failed to connect to 10.0.0.2:50052",
    "srv start: couldn't bind HTTP server socket, hostname: /run/a.sock, port: 8080",
    "srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
    "x: error while loading shared libraries: libcuda.so.1: cannot open",
    "CUDA error: out of memory",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "error loading model: unknown model architecture: 'new'",
    "gguf_init_from_file: failed to open GGUF file '/m.gguf' (Permission denied)",
    "gguf_init_from_file: failed to open GGUF file '/m.gguf'",
    "gguf_init_from_file_impl: failed to read magic",
    "CUDA error: system not yet initialized",
    "CUDA error: an illegal memory access was encountered",
    "srv    load_model: failed to load model, '/m/x.gguf'",
  ];
  const matched = examples.map((line) => knownLogLines.findIndex((row) => row.line.test(line)));
  expect(matched).toEqual([...knownLogLines.keys()]);
});
