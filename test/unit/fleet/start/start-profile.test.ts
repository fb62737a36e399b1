import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { StartEvent } from "../../../../src/fleet/start/start-event.ts";
import type { HereStart, StartHost } from "../../../../src/fleet/start/start-host.ts";
import { planPatiently, planService, unplannedHash } from "../../../../src/fleet/start/plan-start.ts";
import { startProfile } from "../../../../src/fleet/start/start-profile.ts";
import { launchSettings } from "../../../../src/llama/plan/launch-settings.ts";
import type { Profile } from "../../../../src/profiles/schema/schema.ts";
import type { ExitCause, Launch } from "../../../../src/supervisor/launch.ts";
import { FakeBuild } from "../../../support/fake-build.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { FakeSupervisor } from "../../../support/fake-supervisor.ts";
import { makeProfile, oldHelp } from "../../../support/llama-help.ts";
import { makeEvent, makeStatus } from "../../../support/make-status.ts";

/** Its folders and its build; every plan here is a real one. */
let machine: FakeSession;
let events: StartEvent[];
let slept: number[];
/** What happens while the start sleeps for the nth time. */
let whileAsleep: (time: number) => void | Promise<void>;
beforeEach(() => {
  const build = new FakeBuild([
    { when: "--help", stdout: oldHelp },
    { when: "--version", stderr: "version: 1 (abc)" },
  ]);
  machine = new FakeSession({}, build);
  events = [];
  slept = [];
  whileAsleep = () => undefined;
});
afterEach(() => machine[Symbol.dispose]());

const makeOwn = (values: Readonly<Record<string, unknown>> = {}): Profile =>
  makeProfile({ model: `${machine.build.folder}/target.gguf`, llama: { binary: machine.build.server }, ...values });

function options(host: Partial<StartHost> = {}, env: NodeJS.ProcessEnv = {}) {
  const sleep = async (ms: number) => {
    slept.push(ms);
    if (slept.length > 200) throw new Error("it sleeps for ever");
    await whileAsleep(slept.length);
  };
  return {
    paths: machine.paths,
    env,
    fetch: false,
    verify: false,
    timeoutMs: undefined,
    clock: { sleep, nowMs: () => 0, setTimer: () => () => undefined },
    host: { onEvent: (event: StartEvent) => void events.push(event), ...host },
  };
}

const kinds = () => events.map(({ kind }) => kind);
const alreadyRunning = () => new LlmctlError("already-running", "another was faster", { exit: "busy" });

describe("a start in the foreground", () => {
  test("plans, says so, and supervises the launch", async () => {
    machine.writeModel("target.gguf");
    let started: HereStart | undefined;
    const runHere = async (start: HereStart) => ((started = start), 12);
    expect(await startProfile(makeOwn(), options({ runHere }))).toBe(12);
    expect(kinds()).toEqual(["plan"]);
    expect(events[0]).toMatchObject({ plan: { launch: started?.launch } });
    expect(started).toEqual({
      launch: expect.objectContaining({ name: "p", file: machine.build.server }) as Launch,
      paths: machine.paths,
    });
  });

  test("of a profile that runs as planned waits for it, and starts nothing", async () => {
    machine.writeModel("target.gguf");
    const { hash } = await plannedLaunch();
    const ready = makeEvent({ status: makeStatus({ hash }) });
    await using _running = await FakeSupervisor.start(machine.paths, { state: "loading", hash }, [ready]);
    const runHere = () => expect.unreachable();
    expect(await startProfile(makeOwn(), options({ runHere }))).toBe(0);
    expect(kinds()).toEqual(["already-running", "status"]);
  });

  test("of a profile that runs with another configuration is refused", async () => {
    machine.writeModel("target.gguf");
    await using _running = await FakeSupervisor.start(machine.paths, { hash: "other" });
    await expect(startProfile(makeOwn(), options())).rejects.toMatchObject({
      code: "other-configuration",
      exit: "busy",
      at: "pid 12, /p.yaml",
      fix: { run: ["restart", "p"], after: "to take up the present one" },
    });
    expect(events).toEqual([]);
  });

  test("of a profile whose supervisor has not planned yet waits for it", async () => {
    machine.writeModel("target.gguf");
    const { hash } = await plannedLaunch();
    const ready = makeEvent({ status: makeStatus({ hash }) });
    await using _running = await FakeSupervisor.start(machine.paths, { state: "preflight", hash: unplannedHash }, [
      ready,
    ]);
    expect(await startProfile(makeOwn(), options())).toBe(0);
  });

  test.each(["stopping", "killing", "stuck"] as const)(
    "of a profile in the state %s waits for its end, and starts",
    async (state) => {
      machine.writeModel("target.gguf");
      const end = makeEvent({
        message: "stopped",
        end: { exit: "done", code: 0 },
        status: makeStatus({ state: "stopped" }),
      });
      await using _running = await FakeSupervisor.start(machine.paths, { state, hash: "other" }, [end]);
      expect(await startProfile(makeOwn(), options({ runHere: async () => 0 }))).toBe(0);
      expect(kinds()).toEqual(["being-stopped", "status", "plan"]);
    },
  );

  test("of a profile that is being restarted takes the server that comes back", async () => {
    machine.writeModel("target.gguf");
    const { hash } = await plannedLaunch();
    const ready = makeEvent({ status: makeStatus({ hash }) });
    await using _running = await FakeSupervisor.start(machine.paths, { state: "stopping", hash: "other" }, [ready]);
    expect(await startProfile(makeOwn(), options({ runHere: () => expect.unreachable() }))).toBe(0);
  });

  test("that another start overtakes joins the faster one, once its socket is there", async () => {
    machine.writeModel("target.gguf");
    const { hash } = await plannedLaunch();
    let running: FakeSupervisor | undefined;
    whileAsleep = async (time) => {
      if (time < 3) return;
      running = await FakeSupervisor.start(machine.paths, { hash }, [makeEvent({ status: makeStatus({ hash }) })]);
    };
    expect(await startProfile(makeOwn(), options({ runHere: () => Promise.reject(alreadyRunning()) }))).toBe(0);
    expect(slept).toEqual([50, 50, 50]);
    await running?.[Symbol.asyncDispose]();
  });

  test("that another start overtakes tries again where the faster one has failed, three times at most", async () => {
    machine.writeModel("target.gguf");
    let starts = 0;
    const lost = () => ((starts += 1), Promise.reject(alreadyRunning()));
    const lose = () => startProfile(makeOwn(), { ...options({ runHere: lost }), clock: patient });
    await expect(lose()).rejects.toMatchObject({ code: "already-running" });
    expect(starts).toBe(3);
  });

  test("that fails for another reason is not tried again", async () => {
    machine.writeModel("target.gguf");
    const bug = new LlmctlError("disk-full", "no room", { exit: "io" });
    await expect(startProfile(makeOwn(), options({ runHere: () => Promise.reject(bug) }))).rejects.toBe(bug);
    expect(slept).toEqual([]);
  });
});

/** Sleeps for no time, however often. */
const patient = { sleep: () => Promise.resolve(), nowMs: () => 0, setTimer: () => () => undefined };

async function plannedLaunch(): Promise<Launch> {
  const { launch } = await planService(makeOwn(), options());
  events = [];
  return launch;
}

const service = { NOTIFY_SOCKET: "/run/notify" };
const missing = { kind: "model-missing", permanent: true, mayCome: true, exit: "missingFile" };

describe("a service", () => {
  test("whose plan is complete is started with it", async () => {
    machine.writeModel("target.gguf");
    let started: HereStart | undefined;
    const runHere = async (start: HereStart) => ((started = start), 0);
    expect(await startProfile(makeOwn(), options({ runHere }, service))).toBe(0);
    expect([started?.launch.file, started?.plan, started?.isPlanning?.()]).toEqual([
      machine.build.server,
      undefined,
      false,
    ]);
    expect(kinds()).toEqual(["plan"]);
  });

  test("whose plan lacks what may come is started without one, and plans again", async () => {
    const profile = makeOwn();
    const { launch, plan, isPlanning } = await planService(profile, options());
    expect(launch).toEqual({
      ...launchSettings(profile),
      file: "",
      args: [],
      env: {},
      files: [],
      proof: { wanted: false, reason: "nothing is planned yet" },
      build: "",
      hash: "",
    });
    const again = async () => (await plan?.()) ?? expect.unreachable();
    expect(await again()).toMatchObject(missing); // known from the first plan
    expect(await again()).toMatchObject(missing);
    // A damaged file may still be copied: only the same cause twice is final.
    machine.write("target.gguf", "a part of a model");
    const damaged = { kind: "not-gguf", permanent: true };
    expect(await again()).toMatchObject({ ...damaged, mayCome: true });
    expect((await again()) as ExitCause).not.toHaveProperty("mayCome");
    machine.write("target.gguf", "");
    expect(await again()).toMatchObject({ kind: "model-empty", mayCome: true });
    machine.writeModel("target.gguf");
    const planning = again();
    expect(isPlanning()).toBe(true);
    expect(await planning).toMatchObject({ name: "p", file: machine.build.server });
    expect(isPlanning()).toBe(false);
    expect(kinds()).toEqual(["plan"]);
  });

  test("whose plan lacks what will not come is refused", async () => {
    machine.write("target.gguf", "no model");
    await expect(planService(makeOwn(), options())).rejects.toMatchObject({ code: "not-gguf" });
  });

  test("that runs elsewhere already is refused with the supervisor's pid", async () => {
    machine.writeModel("target.gguf");
    const runHere = () => expect.unreachable();
    await using _running = await FakeSupervisor.start(machine.paths);
    await expect(startProfile(makeOwn(), options({ runHere }, service))).rejects.toMatchObject({
      code: "already-running",
      exit: "busy",
      message: '"p" already runs, but not by this unit: its supervisor is pid 11',
      fix: { before: "stop it with", run: ["down", "p"], after: ", then start the unit" },
    });
  });

  test("that another start overtakes says by whom, where that is known", async () => {
    machine.writeModel("target.gguf");
    const lost = alreadyRunning();
    await expect(startProfile(makeOwn(), options({ runHere: () => Promise.reject(lost) }, service))).rejects.toBe(lost);
    let running: FakeSupervisor | undefined;
    const runHere = async () => {
      running = await FakeSupervisor.start(machine.paths);
      throw lost;
    };
    await expect(startProfile(makeOwn(), options({ runHere }, service))).rejects.toMatchObject({
      message: expect.stringContaining("pid 11") as string,
    });
    await running?.[Symbol.asyncDispose]();
  });
});

describe("a dependency of a service", () => {
  const restart = { backoff: "1s", backoff_max: "5s" };

  test("waits longer and longer for what may come, and holds the start as long as it waits", async () => {
    const held: string[] = [];
    const holdStart = (why: string) => (held.push(why), { close: () => void held.push("released") });
    whileAsleep = (time) => {
      if (time === 5) machine.writeModel("target.gguf");
    };
    const { launch } = await planPatiently(makeOwn({ restart }), options({ holdStart }));
    expect(launch.file).toBe(machine.build.server);
    expect(slept).toEqual([1000, 2000, 4000, 5000, 5000]);
    expect(events).toMatchObject(Array.from({ length: 5 }, () => ({ kind: "waiting", name: "p", cause: missing })));
    expect(held.filter((line) => line === "released")).toHaveLength(5);
    expect(held[0]).toMatch(/^"p", which it depends on, waits: .*target\.gguf/);
  });

  test("does not wait for what will not come", async () => {
    machine.write("target.gguf", "no model");
    await expect(planPatiently(makeOwn({ restart }), options())).rejects.toMatchObject({ code: "not-gguf" });
    expect(slept).toEqual([]);
  });

  test("releases the start when the wait is given up", async () => {
    const held: string[] = [];
    const holdStart = (why: string) => (held.push(why), { close: () => void held.push("released") });
    const given = new Error("given up");
    whileAsleep = () => Promise.reject(given);
    await expect(planPatiently(makeOwn({ restart }), options({ holdStart }))).rejects.toBe(given);
    expect(held.at(-1)).toBe("released");
  });
});
