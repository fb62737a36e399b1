import type { Paths } from "../../base/files/paths.ts";
import { readHubSettings } from "../../hub/http/hub-settings.ts";
import { modelLockFolder } from "../../hub/find/model-lock.ts";
import { planLaunch } from "../../llama/plan/plan-launch.ts";
import { listModelRefs } from "../../profiles/model-refs.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import {
  fetchModels,
  findHere,
  planModels,
  type CompleteModel,
  type FetchModelsOptions,
} from "../../models/fetch-models.ts";
import { interruptible } from "../screen/interruptible.ts";
import { TerminalReporter } from "./pull-reporter.ts";
import { noteNotFetched, toNotFetched } from "../../models/unfit-drafts.ts";
import { holdStart } from "../run/systemd-reporter.ts";
import { settleModels } from "../../models/settle-models.ts";

interface PrepareOptions {
  readonly paths: Paths;
  readonly fetch: boolean;
  readonly verify: boolean;
}

/**
 * Before a start: fetches what the profile's models lack, and reads once what another program has fetched. Shows both
 * on stderr, and tells systemd that the start goes on. Does nothing but look at sizes when all is here and known.
 * @throws LlmctlError of what would keep the profile from starting, before anything is fetched; as {@link planModels},
 *   {@link fetchModels} and {@link settleModels}.
 */
export async function prepareModels(profile: Profile, { paths, fetch, verify }: PrepareOptions): Promise<void> {
  if (listModelRefs(profile.values).every(({ ref }) => typeof ref === "string")) return;
  const start = holdStart(process.env);
  const reporter = new TerminalReporter(process.stderr, start.status);
  const onEvent = reporter.show;
  try {
    await interruptible(async (signal) => {
      const fetching = {
        paths,
        env: process.env,
        hub: readHubSettings(process.env),
        signal,
        onEvent,
        believeNotes: true,
      };
      const models = fetch ? await fetchLacking(profile, fetching) : await findHere([profile], fetching);
      await settleModels(models, { lockFolder: modelLockFolder(paths.state), onEvent, signal, verify });
    });
  } finally {
    reporter.clear();
    start.close();
  }
}

async function fetchLacking(profile: Profile, fetching: FetchModelsOptions): Promise<readonly CompleteModel[]> {
  const { paths, onEvent } = fetching;
  const plan = await planModels([profile], fetching);
  if (plan.models.some((one) => one.plan.kind === "fetch")) await checkRest(profile, paths);
  const models = await fetchModels(plan, fetching);
  for (const skipped of plan.skipped) {
    await noteNotFetched(skipped, paths);
    onEvent({ kind: "not-fetched", ...toNotFetched(skipped) });
  }
  return models;
}

/** Nobody wants to learn after 200 GB that the build is missing or refuses a flag. */
async function checkRest(profile: Profile, paths: Paths): Promise<void> {
  const { refused } = await planLaunch(profile, { paths, env: process.env, lacking: "mark" });
  if (refused[0] !== undefined) throw refused[0].error;
}
