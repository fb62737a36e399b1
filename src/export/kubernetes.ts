import type { IDeployment } from "kubernetes-models/apps/v1";
import type { IContainer, IService } from "kubernetes-models/v1";
import { writeYaml } from "../base/text/yaml-text.ts";
import {
  apiKeysPath,
  containerEnv,
  containerPort,
  type ContainerSpec,
  drainCommand,
  headLines,
  modelsFolder,
  scratchFolder,
  type Probes,
  seconds,
  startupSeconds,
  stopMarginSeconds,
} from "./container.ts";

interface KubernetesOptions {
  readonly replicas: number;
  /** Name of the PersistentVolumeClaim that holds the models. */
  readonly claim: string;
}

/** Time for a stopping pod to leave the endpoints of the Service on every node. */
const endpointsSeconds = 5;
/** Time to pull the image, which has several GB with CUDA, and to schedule the pod. */
const pullSeconds = 900;
const startupPeriodSeconds = 10;
const livenessPeriodSeconds = 30;
const gpuResources = { cuda: "nvidia.com/gpu", rocm: "amd.com/gpu", vulkan: undefined } as const;

/** The YAML of a Deployment and its Service; each replica loads the model by itself. */
export function renderKubernetes(spec: ContainerSpec, options: KubernetesOptions): string {
  const head = headLines(spec, [
    `The claim "${options.claim}" holds, as its users may read them:`,
    ...spec.files.map(({ name }) => `  ${name}`),
    ...describeSecrets(spec),
    ...describeLimits(spec),
  ]);
  const documents = [deployment(spec, options), service(spec)].map((one) => writeYaml(one));
  return `${head.map((line) => `${line}\n`).join("")}${documents.map((text) => `---\n${text}`).join("")}`;
}

function describeSecrets(spec: ContainerSpec): string[] {
  const name = objectName(spec);
  const keys =
    spec.apiKeyFile === undefined ? [] : [`kubectl create secret generic ${name}-api-keys --from-file=api-keys=FILE`];
  const literals = spec.secretEnv.map((key) => `--from-literal=${key}=…`).join(" ");
  const env = spec.secretEnv.length === 0 ? [] : [`kubectl create secret generic ${name}-env ${literals}`];
  return [...keys, ...env].map((command) => `Needs: ${command}`);
}

function describeLimits({ gpu, mlock }: ContainerSpec): string[] {
  return [
    ...(gpu.kind === "vulkan"
      ? ["Note: add the resource of your device plugin; Kubernetes knows none for Vulkan"]
      : []),
    ...(mlock ? ["Note: memory can be locked only on nodes whose container runtime sets no limit to it"] : []),
  ];
}

/** The name of the profile as a DNS label. */
function objectName({ name }: ContainerSpec): string {
  const label = name.replaceAll(/[._]/g, "-").slice(0, 50);
  return `llmctl-${label.replace(/-+$/, "")}`;
}

function labels(spec: ContainerSpec): Record<string, string> {
  return { "app.kubernetes.io/name": "llama-server", "app.kubernetes.io/instance": objectName(spec) };
}

function deployment(spec: ContainerSpec, { replicas, claim }: KubernetesOptions): IDeployment {
  const keys = `${objectName(spec)}-api-keys`;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: objectName(spec), labels: labels(spec) },
    spec: {
      replicas,
      // A second pod beside the first would find no free GPU.
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
      // The default of ten minutes would count a longer load as a failed rollout.
      progressDeadlineSeconds: startupSeconds(spec.probes) + pullSeconds,
      selector: { matchLabels: labels(spec) },
      template: {
        metadata: { labels: labels(spec) },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: endpointsSeconds + seconds(spec.stopTimeoutMs) + stopMarginSeconds,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 1000,
            runAsGroup: 1000,
            fsGroup: 1000,
            fsGroupChangePolicy: "OnRootMismatch",
            seccompProfile: { type: "RuntimeDefault" },
          },
          containers: [container(spec)],
          volumes: [
            { name: "models", persistentVolumeClaim: { claimName: claim, readOnly: true } },
            { name: "tmp", emptyDir: {} },
            ...(spec.apiKeyFile === undefined
              ? []
              : [{ name: "api-keys", secret: { secretName: keys, defaultMode: 0o440 } }]),
          ],
        },
      },
    },
  };
}

function container(spec: ContainerSpec): IContainer {
  const { apiKeyFile, args, image, secretEnv } = spec;
  return {
    name: "llama-server",
    image,
    args: args.map(escapeReferences),
    ports: [{ name: "http", containerPort }],
    env: [
      ...Object.entries(containerEnv(spec)).map(([name, value]) => ({ name, value: escapeReferences(value) })),
      ...secretEnv.map((name) => ({
        name,
        valueFrom: { secretKeyRef: { name: `${objectName(spec)}-env`, key: name } },
      })),
    ],
    resources: resources(spec),
    ...probes(spec.probes),
    lifecycle: { preStop: { exec: { command: drainCommand(spec, endpointsSeconds) } } },
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
    volumeMounts: [
      { name: "models", mountPath: modelsFolder, readOnly: true },
      { name: "tmp", mountPath: scratchFolder },
      ...(apiKeyFile === undefined
        ? []
        : [{ name: "api-keys", mountPath: apiKeysPath, subPath: "api-keys", readOnly: true }]),
    ],
  };
}

/**
 * Kubernetes replaces `$(NAME)` in arguments and variables, and reads two dollars as one. Every dollar is doubled:
 * after a single one Kubernetes copies the next byte as a character, which breaks a character of several bytes.
 */
function escapeReferences(text: string): string {
  return text.replaceAll("$", "$$$$");
}

/**
 * A model on the CPU stays in memory as a whole, so the pod requests that much. There is no limit, since the context
 * comes on top.
 */
function resources({ gpu, files }: ContainerSpec): NonNullable<IContainer["resources"]> {
  if (gpu.kind === "none") {
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { requests: { memory: `${Math.max(1, Math.ceil(bytes / 2 ** 20))}Mi` } };
  }
  const name = gpuResources[gpu.kind];
  return name === undefined ? {} : { limits: { [name]: gpu.count } };
}

/**
 * `/health` is 503 while the model loads, so only the startup probe may see that: it has the long timeout, and the
 * others begin after it. Readiness takes a server out of the Service. Liveness restarts it, which costs a whole load,
 * and so waits for `health.hang_timeout`.
 */
function probes(patience: Probes): Pick<IContainer, "startupProbe" | "readinessProbe" | "livenessProbe"> {
  const { intervalMs, timeoutMs, failures, hangTimeoutMs } = patience;
  const httpGet = { path: "/health", port: "http" };
  const timeoutSeconds = seconds(timeoutMs);
  const liveness = {
    httpGet,
    periodSeconds: livenessPeriodSeconds,
    timeoutSeconds,
    failureThreshold: Math.max(1, Math.ceil(seconds(hangTimeoutMs) / livenessPeriodSeconds)),
  };
  return {
    startupProbe: {
      httpGet,
      periodSeconds: startupPeriodSeconds,
      timeoutSeconds,
      failureThreshold: Math.ceil(startupSeconds(patience) / startupPeriodSeconds),
    },
    readinessProbe: { httpGet, periodSeconds: seconds(intervalMs), timeoutSeconds, failureThreshold: failures },
    ...(hangTimeoutMs === 0 ? {} : { livenessProbe: liveness }),
  };
}

function service(spec: ContainerSpec): IService {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: objectName(spec), labels: labels(spec) },
    spec: {
      selector: labels(spec),
      ports: [{ name: "http", port: spec.publish.port, targetPort: "http" }],
    },
  };
}
