import type { Profile } from "../../profiles/schema/schema.ts";
import { findLaunchCosts } from "../draft/launch-costs.ts";
import { commandLine, type Rendering } from "../render/render-command.ts";
import { describeConfigFiles, describeDroppedVariables } from "../render/flags-outside-profile.ts";
import { findOpenAccess } from "../server/api-key-checks.ts";
import { noDraftAsked } from "./draft-decision.ts";
import type { Findings } from "./finding.ts";
import { describeMissingDigests } from "./missing-digests.ts";
import { describeCosted, type Planning, type PreparedCommand, undecidedDraft } from "./prepare-command.ts";
import { findExceededLimits } from "./profile-limits.ts";
import { sealEnv } from "./seal-env.ts";

/** Warnings and notes that every plan gives: `plan`, `check` and `up` add them here and nowhere else. */
export async function addPlanWarnings(prepared: PreparedCommand, { session, findings }: Planning): Promise<void> {
  const { profile, program, target, trial } = prepared;
  addDraftWarnings(prepared, findings);
  if (program === "llama-server")
    for (const { code, ...opening } of findOpenAccess(profile)) findings.add("warning", code, opening);
  addRpcWarning(profile, findings);
  const limits = findExceededLimits(profile, { target: target.model, flags: trial?.rendering.flags ?? [] });
  for (const { code, ...limit } of limits) findings.add("warning", code, limit);
  for (const message of await describeMissingDigests(profile.values, session.paths))
    findings.add("note", "no-digest", { message });
  await addStrayFlags(prepared, { session, findings });
  if (program === "llama-server") await addUnseenLoss(prepared, { session, findings });
}

/** A note where `on_loss: restart` can hardly act, because nobody knows how fast the model is without a draft. */
async function addUnseenLoss(prepared: PreparedCommand, { session, findings }: Planning): Promise<void> {
  const { profile, build, draft } = prepared;
  const { draft: wanted, env } = profile.values;
  if (build === undefined || wanted?.on_loss !== "restart" || !draft.drafting.wanted) return;
  // Builds with the older name let a request turn drafting off, so the proof measures it.
  if (!build.catalogue.has("--spec-draft-n-max")) return;
  const dataDir = session.paths.data;
  const costed = describeCosted(prepared, await sealEnv(env, dataDir), session);
  if (costed === undefined || (await findLaunchCosts(costed, dataDir)).costs !== undefined) return;
  findings.add("note", "loss-unseen", {
    message:
      "the speed without a draft is not known, and this build cannot measure it beside one: " +
      "draft.on_loss only sees a draft of which no token is accepted",
    at: profile.at("draft", "on_loss"),
    fix: { before: "measure it:", run: ["bench", profile.name] },
  });
}

/** A warning about llama.cpp's RPC, whose authors call it fragile and insecure; of both of its sides. */
export function addRpcWarning(profile: Profile, findings: Findings): void {
  const isWorker = profile.values.kind === "rpc-worker";
  if (!isWorker && profile.values.rpc.workers === undefined) return;
  findings.add("warning", "rpc-unprotected", {
    message: "llama.cpp's RPC has neither passwords nor encryption: keep it on a private network",
    at: isWorker ? profile.at("server", "host") : profile.at("rpc", "workers"),
  });
}

function addDraftWarnings({ profile, draft }: PreparedCommand, findings: Findings): void {
  const at = profile.at("draft", "model");
  const { drafting, warnings } = draft;
  if (draft !== undecidedDraft && !drafting.wanted && drafting.reason !== noDraftAsked)
    findings.add("warning", "drafting-off", { message: `drafting is off: ${drafting.reason}`, at });
  for (const message of warnings) findings.add("warning", "draft-pair", { message, at });
}

async function addStrayFlags({ env, build, trial }: PreparedCommand, { session, findings }: Planning): Promise<void> {
  if (build === undefined) return;
  const args = commandLine(trial?.rendering ?? noFlags);
  const messages = [
    ...describeDroppedVariables(session.env, env, build.catalogue),
    ...describeConfigFiles(await session.findConfigFiles(env), args, build.catalogue),
  ];
  for (const message of messages) findings.add("warning", "stray-flags", { message });
}

const noFlags: Rendering = { flags: [], notes: [] };
