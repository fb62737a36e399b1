import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LlmctlError } from "../../src/base/errors.ts";
import { findPaths } from "../../src/base/files/paths.ts";
import type { AskedBuild } from "../../src/llama/ask/asked-build.ts";
import type { Device } from "../../src/llama/ask/devices.ts";
import { FlagCatalogue } from "../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../src/llama/ask/help-text.ts";
import type { LlamaConfigFile } from "../../src/llama/ask/llama-config-files.ts";
import { PlanSession } from "../../src/llama/plan/plan-session.ts";
import type { Program } from "../../src/llama/render/flag-rule.ts";
import type { Profile } from "../../src/profiles/schema/schema.ts";
import { FakeBuild } from "./fake-build.ts";
import { buildGguf, type GgufParts, modelKeys, type Part } from "./gguf-builder.ts";
import { oldHelp, readCatalogue, readCliCatalogue } from "./llama-help.ts";

const servers = {
  "v0.5.0": readCatalogue("v0.5.0"),
  b8390: readCatalogue("b8390"),
  old: new FlagCatalogue("old", parseHelp(oldHelp)),
} as const;
const cli = readCliCatalogue("v0.5.0");

/**
 * A session on a machine of its own: a build with the flags of a real one whose programs are scripts, the given
 * devices, and model files in the build's folder. Everything else is asked as in any session.
 */
export class FakeSession extends PlanSession implements Disposable {
  readonly build: FakeBuild;
  /** Whose flags the llama-server has. */
  server: keyof typeof servers = "v0.5.0";
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
    if (program === "llama-server")
      return { file: this.build.server, label: "a build", catalogue: servers[this.server] };
    return { file: join(this.build.folder, program), label: "a build", catalogue: cli };
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
