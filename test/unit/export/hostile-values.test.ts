import { basename } from "node:path";
import fc from "fast-check";
import { Deployment } from "kubernetes-models/apps/v1";
import { parse as parsePlist } from "plist";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { LlmctlError } from "../../../src/base/errors.ts";
import { type ContainerModels, planContainer } from "../../../src/export/plan-container.ts";
import { loadProfile } from "../../../src/profiles/load.ts";
import { listSidecars } from "../../../src/profiles/model-refs.ts";
import type { ModelRef, Profile } from "../../../src/profiles/schema/schema.ts";
import { targetModel } from "../../../src/profiles/target.ts";
import { renderCompose } from "../../../src/export/compose.ts";
import { containerEnv, type ContainerFile, type ContainerSpec } from "../../../src/export/container.ts";
import { renderKubernetes } from "../../../src/export/kubernetes.ts";
import { renderLaunchd } from "../../../src/services/launchd-plist.ts";
import { renderQuadlet } from "../../../src/export/quadlet.ts";
import { readCommand, readEnvironment, renderUnit, type UnitOptions } from "../../../src/services/unit.ts";
import { hostilePath, hostileText, textKeys } from "../../support/hostile-values.ts";
import { readCatalogue } from "../../support/llama-help.ts";
import {
  expandSpecifiers,
  readEnvironmentLines,
  readExec,
  readUnitFile,
  runContainerFile,
  splitUnitWords,
  type UnitLine,
  valuesOf,
} from "../../support/unit-file.ts";

const owner = { uid: 1000, gid: 1000 };
const catalogue = readCatalogue("v0.5.0");

/** @returns undefined when it is refused as an invalid profile; any other error fails the test. */
function unlessRefused<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof LlmctlError && error.exit === "config") return undefined;
    throw error;
  }
}

async function loadValues(values: object): Promise<Profile | undefined> {
  const path = "/profiles/p.yaml";
  try {
    return await loadProfile(path, { folders: [], env: {}, cwd: "/", instead: { path, text: JSON.stringify(values) } });
  } catch (error) {
    if (error instanceof LlmctlError && error.exit === "config") return undefined;
    throw error;
  }
}

function place(ref: ModelRef): ContainerFile[] {
  if (typeof ref === "string") return [{ name: basename(ref), source: ref, sizeBytes: 1 }];
  const name = "url" in ref ? basename(ref.url) : `${ref.hf}/${ref.file ?? `${ref.quant}.gguf`}`;
  return [{ name, source: `/hub/${name}`, sizeBytes: 1 }];
}

function planOf(profile: Profile): ContainerSpec {
  const draft = profile.values.draft?.model;
  const sidecars = listSidecars(profile.values).filter(({ ref }) => typeof ref !== "string");
  const models: ContainerModels = {
    target: place(targetModel(profile)),
    ...(draft === undefined ? {} : { draft: place(draft) }),
    sidecars: new Map(sidecars.map(({ key, ref }) => [key.join("."), place(ref)])),
  };
  return planContainer(profile, models, { catalogue, release: "v0.5.0" });
}

/**
 * What a file of the same container with harmless values reads as. Few containers differ in more than their values, and
 * most of the time here is for YAML.
 */
function readTame<T>(name: string, spec: ContainerSpec, read: (tame: ContainerSpec) => T): T {
  const harmless = tame(spec);
  const key = `${name} ${JSON.stringify(harmless)}`;
  if (!tameReadings.has(key)) tameReadings.set(key, read(harmless));
  return tameReadings.get(key) as T;
}

const tameReadings = new Map<string, unknown>();

function tame(spec: ContainerSpec): ContainerSpec {
  const { description: _, apiKeyFile, argKeys: _keys, places: _places, ...rest } = spec;
  return {
    ...rest,
    ...(apiKeyFile === undefined ? {} : { apiKeyFile: "/keys" }),
    args: spec.args.map(() => "x"),
    env: Object.fromEntries(Object.keys(spec.env).map((name) => [name, "x"])),
    files: spec.files.map(({ sizeBytes }, index) => ({ name: `m${index}`, source: `/m${index}`, sizeBytes })),
    notes: [],
  };
}

function keysOf(lines: readonly UnitLine[]): string[] {
  return lines.map(({ section, key }) => `${section}.${key === "Mount" ? "Volume" : key}`);
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/** The names of all keys in a value. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
}

function mountsOf(spec: ContainerSpec): [string, string][] {
  return spec.files.map(({ name, source = "" }) => [source, `/models/${name}`]);
}

function expectQuadlet(spec: ContainerSpec): void {
  const text = unlessRefused(() => renderQuadlet(spec, {}));
  if (text === undefined) return;
  const keys = readTame("quadlet", spec, (one) => keysOf(readUnitFile(renderQuadlet(one, {}))));
  expect(keysOf(readUnitFile(text))).toEqual(keys);
  expect(runContainerFile(text)).toEqual({
    image: spec.image,
    args: spec.args,
    env: containerEnv(spec),
    mounts: mountsOf(spec),
  });
}

/** Compose reads two dollars as one, and a single dollar as the start of a variable. */
function interpolate(text: unknown): string {
  if (/\$/.test(String(text).replaceAll("$$", ""))) throw new Error(`a variable: ${String(text)}`);
  return String(text).replaceAll("$$", "$");
}

interface ComposeProject {
  readonly services: {
    readonly "llama-server": {
      readonly command: readonly string[];
      readonly environment: Readonly<Record<string, string>>;
      readonly volumes: readonly { readonly source: string; readonly target: string }[];
    };
  };
  readonly secrets?: { readonly "api-keys": { readonly file: string } };
}

function expectCompose(spec: ContainerSpec): void {
  const text = renderCompose(spec, owner);
  expectPrintable(text);
  const read = (yaml: string) => parse(yaml, { version: "1.1" }) as ComposeProject;
  const project = read(text);
  const shape = readTame("compose", spec, (one) => shapeOf(read(renderCompose(one, owner))));
  expect(shapeOf(project)).toEqual(shape);
  const { command, environment, volumes } = project.services["llama-server"];
  expect(command.map(interpolate)).toEqual(spec.args);
  const plain = Object.entries(environment).filter(([name]) => !spec.secretEnv.includes(name));
  expect(Object.fromEntries(plain.map(([name, value]) => [name, interpolate(value)]))).toEqual(containerEnv(spec));
  expect(volumes.map(({ source, target }) => [interpolate(source), interpolate(target)])).toEqual(mountsOf(spec));
  if (spec.apiKeyFile !== undefined) expect(interpolate(project.secrets?.["api-keys"].file)).toBe(spec.apiKeyFile);
}

/** Kubernetes reads two dollars as one, and a dollar with a name in brackets as a variable. */
function expand(text: string): string {
  return text.replaceAll(/\$(\$|\([^)]*\))/g, (whole, next: string) => {
    if (next !== "$") throw new Error(`a variable: ${whole}`);
    return "$";
  });
}

function expectKubernetes(spec: ContainerSpec): void {
  const render = (one: ContainerSpec) => renderKubernetes(one, { replicas: 1, claim: "models" });
  const text = render(spec);
  expectPrintable(text);
  const read = (yaml: string) => parseAllDocuments(yaml, { version: "1.1" }).map((one) => one.toJS() as object);
  const documents = read(text);
  const shape = readTame("kubernetes", spec, (one) => read(render(one)).map(shapeOf));
  expect(documents.map(shapeOf)).toEqual(shape);
  const deployment = new Deployment(documents[0]);
  deployment.validate();
  const [container] = deployment.spec?.template.spec?.containers ?? [];
  expect(container?.args?.map(expand)).toEqual(spec.args);
  const env = container?.env?.filter(({ value }) => value !== undefined) ?? [];
  expect(Object.fromEntries(env.map(({ name, value = "" }) => [name, expand(value)]))).toEqual(containerEnv(spec));
}

/** Characters that every reader of YAML 1.1 accepts; half a surrogate pair is never written as text. */
function expectPrintable(text: string): void {
  expect(text).toMatch(/^[\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]*$/u);
  expect(text).not.toMatch(/[\u2028\u2029]/);
}

const unitOptions: UnitOptions = {
  name: "p",
  profilePath: "/p.yaml",
  dependsOn: [],
  nodePath: "/usr/bin/node",
  execPath: "/usr/lib/llmctl/main.js",
  scope: "system",
  stopTimeoutMs: 60_000,
  mounts: [],
  writable: [],
  environment: {},
};

function expectUnit(options: UnitOptions): void {
  const { description: _, mounts = [], ...rest } = options;
  const text = unlessRefused(() => renderUnit(options));
  if (text === undefined) return;
  const lines = readUnitFile(text);
  const sayable = mounts.filter((path) => !/[\p{Cc}\p{Zl}\p{Zp}\p{NChar}]/u.test(path));
  expect(keysOf(lines)).toEqual(keysOf(readUnitFile(renderUnit({ ...rest, mounts: sayable }))));
  const command = [options.nodePath, options.execPath, "up", "--no-fetch", options.profilePath];
  expect(readExec(valuesOf(lines, "Service", "ExecStart")[0] ?? "")).toEqual(command);
  expect(readEnvironmentLines(valuesOf(lines, "Service", "Environment"))).toEqual(options.environment);
  const paths = (section: string, key: string) =>
    valuesOf(lines, section, key).flatMap((value) => splitUnitWords(value, { isPathList: true }).map(expandSpecifiers));
  expect(paths("Unit", "RequiresMountsFor")).toEqual([...new Set(sayable)]);
  if (options.scope === "system")
    expect(paths("Service", "ReadWritePaths")).toEqual(options.writable.map((path) => `-${path}`));
  expect(expandSpecifiers(valuesOf(lines, "Unit", "Description")[0] ?? "")).toMatch(/^llmctl p/);
  expect(text).toMatch(/^[\n\P{Cc}]*$/u);
  // llmctl reads its own units.
  expect(readCommand(text)).toEqual(command);
  expect(readEnvironment(text)).toEqual(options.environment);
}

const formats = [expectQuadlet, expectCompose, expectKubernetes];

describe.each(textKeys())("any text in $name", ({ name, with: make }) => {
  let turn = 0;

  test("is refused, or appears only as that value in every exported file", async () => {
    await fc.assert(
      fc.asyncProperty(hostileText, async (text) => {
        const profile = await loadValues(make(text));
        if (profile === undefined) return;
        const { description } = profile.values;
        expectUnit({
          ...unitOptions,
          ...(description === undefined ? {} : { description }),
          dependsOn: profile.values.depends_on,
        });
        const spec = unlessRefused(() => planOf(profile));
        if (spec === undefined) return;
        // Every mounted file is named in the profile or is in the Hub's cache.
        const named = textsIn(profile.values);
        expect(spec.files.filter(({ source = "" }) => !source.startsWith("/hub/") && !named.includes(source))).toEqual(
          [],
        );
        // One format a text, in turn: each format is tried with every kind of value below.
        formats[(turn += 1) % formats.length]?.(spec);
      }),
      { numRuns: 15 },
    );
  });

  test("with a line break is refused with its key, its place and the character, unless it is prose", async () => {
    const path = "/profiles/p.yaml";
    const text = JSON.stringify(make("a\nb"));
    const problem = await loadProfile(path, { folders: [], env: {}, cwd: "/", instead: { path, text } }).catch(
      (error: unknown) => error,
    );
    const isProse = /^(?:description|env|args|chat_template|chat_template_kwargs)(?:\.|$)/.test(name);
    if (isProse) return expect(problem).not.toBeInstanceOf(Error);
    expect(problem).toMatchObject({ exit: "config", at: expect.stringMatching(/^profiles\/p\.yaml:1:\d+$/) });
    expect((problem as Error).message).toMatch(/\\n/);
    expect((problem as Error).message).toContain(
      `"${name.replaceAll(/\.(\d+)/g, "[$1]")}`.replace(/\.(?:hf|url|sha256.*)$/, ""),
    );
  });
});

/** None or many: most of the time is for YAML, and files of few shapes are read. */
const many = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof({ weight: 9, arbitrary: fc.array(one, { minLength: 8, maxLength: 8 }) }, fc.constant<T[]>([]));

const anySpec: fc.Arbitrary<ContainerSpec> = fc.record({
  name: fc.constant("coder"),
  description: hostileText,
  image: fc.constant("example.org/llama:1"),
  args: many(hostileText),
  env: fc.oneof(fc.record({ A: hostileText, B_2: hostileText }), fc.constant({})),
  secretEnv: fc.constant(["SOME_TOKEN"]),
  apiKeyFile: hostilePath,
  files: many(fc.record({ name: hostileText, source: hostilePath, sizeBytes: fc.constant(1) })),
  gpu: fc.constant({ kind: "none" }),
  publish: fc.constant({ host: "127.0.0.1", port: 8001 }),
  probes: fc.constant({
    stallTimeoutMs: 900_000,
    intervalMs: 5000,
    timeoutMs: 3000,
    failures: 3,
    hangTimeoutMs: 900_000,
  }),
  stopTimeoutMs: fc.constant(60_000),
  mlock: fc.constant(false),
  notes: many(hostileText),
});

test.each([
  ["Quadlet", expectQuadlet],
  ["Compose", expectCompose],
  ["Kubernetes", expectKubernetes],
] as const)("%s: every option of a container appears only as that value, as do names of files", (_, expectFormat) => {
  // One container holds some ten hostile values: to write and read a file costs more than to fill it.
  fc.assert(fc.property(anySpec, expectFormat), { numRuns: 150 });
});

test.each([
  ["Quadlet", (spec: ContainerSpec) => renderQuadlet(spec, {})],
  ["Compose", (spec: ContainerSpec) => renderCompose(spec, owner)],
  ["Kubernetes", (spec: ContainerSpec) => renderKubernetes(spec, { replicas: 1, claim: "models" })],
] as const)("%s: no comment ends with a backslash, which some readers would continue", (_, render) => {
  const [spec] = fc.sample(anySpec, { numRuns: 1, seed: 1 });
  const long = "\\".repeat(1 << 20);
  const text = render({
    ...(spec as ContainerSpec),
    args: [],
    env: {},
    files: [],
    description: "a=b \\ \\",
    notes: ["c=d\\", `${long}e${long}`],
  });
  expect(text.split("\n").filter((line) => /^#.*\\$/.test(line))).toEqual([]);
  expect(text).toContain("# llmctl profile coder: a=b\n");
});

test("in a unit the caller's paths and variables appear only as values", () => {
  const options = fc.record({
    description: hostileText,
    profilePath: hostilePath,
    nodePath: fc.oneof(hostilePath, fc.constant("/opt/node 22/bin/node")),
    execPath: hostilePath,
    mounts: fc.array(hostilePath, { maxLength: 3 }),
    writable: fc.array(hostilePath, { maxLength: 2 }),
    environment: fc.dictionary(fc.constantFrom("HF_HOME", "LLMCTL_HOME"), hostilePath),
    scope: fc.constantFrom("user" as const, "system" as const),
  });
  fc.assert(
    fc.property(options, (given) => expectUnit({ ...unitOptions, ...given })),
    { numRuns: 400 },
  );
});

test("in a property list the caller's paths and variables appear only as values", () => {
  const options = fc.record({
    name: fc.constant("p"),
    stopTimeoutMs: fc.constant(1000),
    profilePath: hostilePath,
    nodePath: hostilePath,
    execPath: hostilePath,
    logPath: hostilePath,
    environment: fc.dictionary(fc.constantFrom("PATH", "LLMCTL_HOME"), hostilePath),
  });
  fc.assert(
    fc.property(options, (given) => {
      const text = unlessRefused(() => renderLaunchd(given));
      if (text === undefined) return;
      expect(text).toMatch(/^[\n\P{Cc}]*$/u);
      expect(parsePlist(text)).toEqual({
        Label: "llmctl.p",
        ProgramArguments: [given.nodePath, given.execPath, "up", "--no-fetch", given.profilePath],
        EnvironmentVariables: given.environment,
        RunAtLoad: true,
        KeepAlive: { SuccessfulExit: false },
        ThrottleInterval: 30,
        ExitTimeOut: 46,
        ProcessType: "Interactive",
        StandardOutPath: given.logPath,
        StandardErrorPath: given.logPath,
      });
    }),
    { numRuns: 200 },
  );
});
