import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LlmctlError } from "../../src/base/errors.ts";
import { findPaths } from "../../src/base/files/paths.ts";
import type { AskedBuild } from "../../src/llama/ask/asked-build.ts";
import type { Device } from "../../src/llama/ask/devices.ts";
import type { LlamaConfigFile } from "../../src/llama/ask/llama-config-files.ts";
import { PlanSession } from "../../src/llama/plan/plan-session.ts";
import type { Program } from "../../src/llama/render/flag-rule.ts";
import type { Profile } from "../../src/profiles/schema/schema.ts";
import { FakeBuild } from "./fake-build.ts";
import { buildGguf, type GgufParts, modelKeys, type Part } from "./gguf-builder.ts";
import { readCatalogue, readCliCatalogue } from "./llama-help.ts";

const catalogues = { "llama-server": readCatalogue("v0.5.0"), "llama-cli": readCliCatalogue("v0.5.0") } as const;

/**
 * A session on a machine of its own: a build whose flags are those of v0.5.0 and whose programs are scripts, the given
 * devices, and model files in the build's folder. Everything else is asked as in any session.
 */
export class FakeSession extends PlanSession implements Disposable {
  readonly build: FakeBuild;
  /** What finding the build ends with; the build itself when undefined. */
  buildFault: LlmctlError | undefined;
  devices: readonly Device[] | LlmctlError = [];
  configFiles: readonly LlamaConfigFile[] = [];

  constructor(env: NodeJS.ProcessEnv = {}, build = new FakeBuild()) {
    super(findPaths({ HOME: build.folder, LLMCTL_HOME: join(build.folder, "home") }, 1000), env);
    this.build = build;
  }

  /** Writes a file into the build's folder. @returns its path. */
  write(name: string, content: string | Uint8Array, mode = 0o600): string {
    const path = join(this.build.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content, { mode });
    return path;
  }

  /** Writes a small model. @returns its path. */
  writeModel(name: string, metadata: Readonly<Record<string, Part>> = {}, parts: GgufParts = {}): string {
    const width = name.includes("draft") ? 32 : 64;
    const tensors = [{ name: "token_embd.weight", ne: [width, 32] }];
    return this.write(name, buildGguf({ metadata: modelKeys(metadata), tensors, ...parts }));
  }

  override async findBuild(_profile: Profile, program: Program): Promise<AskedBuild> {
    if (this.buildFault !== undefined) throw this.buildFault;
    const file = program === "llama-server" ? this.build.server : join(this.build.folder, program);
    return { file, label: "a build", catalogue: catalogues[program] };
  }

  override async listDevices(): Promise<Device[]> {
    if (this.devices instanceof LlmctlError) throw this.devices;
    return [...this.devices];
  }

  override async findConfigFiles(): Promise<LlamaConfigFile[]> {
    return [...this.configFiles];
  }

  [Symbol.dispose](): void {
    this.build[Symbol.dispose]();
  }
}
