import { checkAddresses } from "./address-rules.ts";
import { needsDraftModel } from "./drafting-types.ts";
import { checkHostRules } from "./host-rules.ts";
import { quote } from "../yaml/quote-value.ts";
import { checkWorker, isWorker } from "./worker-rules.ts";
import {
  exclusiveKeys,
  type ProfileProblem,
  findLocated,
  type KeyPath,
  nearestPlace,
  showKey,
  type LocatedMap,
} from "../yaml/located.ts";

/**
 * Checks rules between keys, in a profile merged with everything that it extends. It works on the text of the files, so
 * that these problems are reported together with all others.
 */
export function checkRules(root: LocatedMap): ProfileProblem[] {
  return [
    ...(isWorker(root) ? checkWorker(root) : checkHasModel(root)),
    ...checkModelRef(root, ["model"]),
    ...checkModelRef(root, ["draft", "model"]),
    ...checkAddresses(root),
    ...checkHostRules(root),
    ...[[], ["draft"], ["llama"]].flatMap((path) => checkExclusivePair(root, path)),
    ...checkDraft(root),
  ];
}

/** The schema cannot require a model, since a worker has none. */
function checkHasModel(root: LocatedMap): ProfileProblem[] {
  if (root.entries.has("model")) return [];
  return [
    { message: `profile ${quote(root.place.source.name)} has no "model"`, place: root.place, fix: 'add "model"' },
  ];
}

function checkModelRef(root: LocatedMap, path: KeyPath): ProfileProblem[] {
  const model = findLocated(root, path);
  if (model?.value.kind !== "map" || !model.value.entries.has("hf")) return [];
  if (model.value.entries.has("quant") || model.value.entries.has("file")) {
    return [...checkExclusivePair(root, path), ...checkIsNoProjector(root, path)];
  }
  return [
    {
      message: `${quote(showKey(path))} has neither "quant" nor "file"`,
      place: model.place,
      fix: "add the quant to use, such as quant: Q4_K_M",
    },
  ];
}

function checkIsNoProjector(root: LocatedMap, path: KeyPath): ProfileProblem[] {
  const key = [...path, "file"];
  const file = findLocated(root, key);
  const name = file?.value.kind === "scalar" ? String(file.value.value) : "";
  if (file === undefined || !/mmproj/i.test(name.slice(name.lastIndexOf("/") + 1))) return [];
  return [
    {
      message: `${quote(showKey(key))} is a projector, ${quote(name)}, not a model`,
      place: file.place,
      fix: 'name it under "mmproj"',
    },
  ];
}

function checkExclusivePair(root: LocatedMap, path: KeyPath): ProfileProblem[] {
  const map = findLocated(root, path)?.value;
  if (map?.kind !== "map") return [];
  const owner = path.length === 0 ? `profile ${quote(root.place.source.name)}` : quote(showKey(path));
  return exclusiveKeys
    .filter((pair) => pair.every((key) => map.entries.has(key)))
    .map(([one, other]) => ({
      message: `${owner} has both ${quote(one)} and ${quote(other)}`,
      place: nearestPlace(root, [...path, other]),
      fix: "keep one of them",
    }));
}

function checkDraft(root: LocatedMap): ProfileProblem[] {
  const draft = findLocated(root, ["draft"]);
  if (draft?.value.kind !== "map") return [];
  const written = findLocated(draft.value, ["type"])?.value;
  const type = written?.kind === "scalar" && typeof written.value === "string" ? written.value : "draft-simple";
  const needsModel = type.split(",").filter((one) => needsDraftModel(one.trim()));
  const findings: ProfileProblem[] = [];
  if (needsModel.length > 0 && !draft.value.entries.has("model")) {
    findings.push({
      message: `"draft" has no "model", and drafting type ${quote(needsModel.join(","))} needs one`,
      place: draft.place,
      fix: 'add "model" under "draft", or choose a type without one, such as ngram-mod or draft-mtp',
    });
  }
  const most = readNumber(root, ["draft", "n_max"]);
  const fewest = readNumber(root, ["draft", "n_min"]);
  if (most !== undefined && fewest !== undefined && fewest > most) {
    findings.push({
      message: `"draft.n_min" is ${fewest}, which is more than "draft.n_max" (${most})`,
      place: nearestPlace(root, ["draft", "n_min"]),
      fix: `set n_min to ${most} or less`,
    });
  }
  return [...findings, ...checkLossIsSeen(root)];
}

/** Whether drafting loses is read from the traffic. */
function checkLossIsSeen(root: LocatedMap): ProfileProblem[] {
  const isWatched = readScalar(root, ["health", "watch_traffic"]) !== false;
  if (isWatched || readScalar(root, ["draft", "on_loss"]) !== "restart") return [];
  return [
    {
      message: '"draft.on_loss" is restart, and "health.watch_traffic" is false: nobody would see that drafting loses',
      place: nearestPlace(root, ["draft", "on_loss"]),
      fix: "remove one of them",
    },
  ];
}

function readScalar(root: LocatedMap, path: KeyPath): unknown {
  const found = findLocated(root, path)?.value;
  return found?.kind === "scalar" ? found.value : undefined;
}

function readNumber(root: LocatedMap, path: KeyPath): number | undefined {
  const value = readScalar(root, path);
  return typeof value === "number" ? value : undefined;
}
