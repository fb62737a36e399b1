import { isDeepStrictEqual } from "node:util";
import { LlmctlError } from "../base/errors.ts";
import { printableSentence } from "../base/text/printable.ts";
import { readProfileText } from "./find.ts";
import { type LoadOptions, resolveProfile } from "./load.ts";
import type { ProfileValues } from "./schema/schema.ts";
import { readPlain, setInYaml, unsetInYaml } from "./yaml/edit-yaml.ts";
import type { KeyPath, SourceText } from "./yaml/located.ts";
import { quote } from "./yaml/quote-value.ts";
import { commentOutDraft, putTunedComment, replaceTunedComment, withoutTunedComment } from "./yaml/tuned-comment.ts";
import { spellValue } from "./yaml/value-argument.ts";

/** The keys of a loaded profile's `draft`. */
export type DraftKeys = Partial<NonNullable<ProfileValues["draft"]>>;
type PlainMap = Readonly<Record<string, unknown>>;

/** What a draft is without saying it. */
const draftDefaults: PlainMap = { type: "draft-simple", on_mismatch: "disable", on_loss: "warn" };

/** A draft to be written into a profile, and what the profile has now. */
export interface TunedDraft {
  /** Undefined for no drafting. */
  readonly draft: DraftKeys | undefined;
  /** Of the profile as it is. */
  readonly present: DraftKeys | undefined;
  /** What the profile would have by `extends` if it had no `draft` of its own. */
  readonly inherited: DraftKeys | undefined;
  /** From {@link tunedComment}. */
  readonly comment: string;
}

/**
 * The line above `draft:`, without its `#`; a later one takes its place.
 * @param result Such as `1.31 × (1.24 to 1.38) against no draft`.
 */
export function tunedComment(at: Date, build: string, result: string): string {
  return printableSentence(`tuned ${at.toISOString().slice(0, 10)} on ${build}: ${result}; llmctl tune`);
}

/**
 * Writes a draft into a profile's text. A key whose value stays keeps its spelling, and comments of the user stay. No
 * drafting is `draft: null` where one is inherited; the lines of the profile's own draft stay as comments.
 * @throws LlmctlError `profile-invalid`, `profile-uneditable`.
 */
export function writeTunedDraft(text: string, source: SourceText, tuned: TunedDraft): string {
  const own = ownDraft(text, source);
  if (tuned.draft === undefined) return withoutDraft(text, source, { ...tuned, own });
  const edited = withDraft(withoutTunedComment(text), source, { ...tuned, draft: tuned.draft, own });
  return ownDraft(edited, source) === undefined ? edited : putTunedComment(edited, tuned.comment);
}

/**
 * The text of a profile's file with this draft, checked: loaded, it gives exactly this draft.
 * @param wanted As {@link TunedDraft}; keys that it lacks get llmctl's default. `from` is the text to start from where
 *   there is no file yet, as for an own profile that extends a shipped one.
 * @returns both texts, for `diffText`, and for `replaceText` or `createProfile`.
 * @throws LlmctlError as loading does; `profile-uneditable`.
 */
export async function planTunedDraft(
  source: SourceText,
  { from, ...wanted }: Pick<TunedDraft, "draft" | "comment"> & { readonly from?: string },
  load: LoadOptions,
): Promise<{ readonly before: string; readonly after: string }> {
  const before = from ?? (await readProfileText(source));
  const bare = unsetInYaml(before, ["draft"], source) ?? before;
  const present = await draftOf(source, before, load);
  const after = writeTunedDraft(before, source, {
    ...wanted,
    present,
    inherited: await draftOf(source, bare, load),
  });
  const written = await draftOf(source, after, load);
  const meant = wanted.draft === undefined ? undefined : { ...draftDefaults, ...defined(wanted.draft) };
  if (!isDeepStrictEqual(written, meant)) throw uneditable(source);
  return { before, after };
}

async function draftOf(source: SourceText, text: string, load: LoadOptions): Promise<DraftKeys | undefined> {
  const { profile } = await resolveProfile(source.path, { ...load, instead: { path: source.path, text } });
  return profile.values.draft;
}

function ownDraft(text: string, source: SourceText): unknown {
  return (readPlain(text, source) as PlainMap)["draft"];
}

type Edit = TunedDraft & { readonly own: unknown };

function withoutDraft(text: string, source: SourceText, { own, inherited, comment }: Edit): string {
  const off = inherited === undefined ? [] : ["draft: null"];
  if (isPlainMap(own)) {
    const cleared = withoutTunedComment(text);
    const edited = commentOutDraft(cleared, [`# ${comment}`, ...off]);
    if (edited !== undefined && isDeepStrictEqual(ownDraft(edited, source), off.length === 0 ? undefined : null))
      return edited;
    const bare = off.length === 0 ? unsetInYaml(cleared, ["draft"], source) : setNull(cleared, ["draft"], source);
    return putTunedComment(bare ?? cleared, comment);
  }
  if (own === undefined && off.length === 0) return replaceTunedComment(text, comment);
  const cleared = withoutTunedComment(text);
  return putTunedComment(own === undefined ? setNull(cleared, ["draft"], source) : cleared, comment);
}

function withDraft(text: string, source: SourceText, edit: Edit & { readonly draft: DraftKeys }): string {
  const { own, present } = edit;
  const ownKeys: PlainMap = isPlainMap(own) ? own : {};
  const base: PlainMap = edit.inherited ?? draftDefaults;
  const wanted: PlainMap = { ...draftDefaults, ...defined(edit.draft) };
  const now = (key: string) => (Object.hasOwn(ownKeys, key) ? (present as PlainMap | undefined)?.[key] : base[key]);
  // What is to be set comes first: a map that is empty meanwhile would be removed.
  const keys = [...new Set([...Object.keys(wanted), ...Object.keys(ownKeys), ...Object.keys(base)])];
  const changed = keys.filter((key) => !isDeepStrictEqual(now(key), wanted[key]));
  const values = changed.map((key) => [key, valueOver(wanted[key], base[key])] as const);
  if (own !== undefined && !isPlainMap(own)) {
    // Over `draft: null` everything is new, and one value takes the place of the other.
    if (values.length === 0) return unsetInYaml(text, ["draft"], source) ?? text;
    return setInYaml(text, ["draft"], spellValue(Object.fromEntries(values)), source);
  }
  return values.reduce((edited, [key, value]) => {
    if (value !== undefined) return setInYaml(edited, ["draft", key], spellValue(value), source);
    return unsetInYaml(edited, ["draft", key], source) ?? edited;
  }, text);
}

/** The value to write so that it is this one over an inherited one; undefined to write none. */
function valueOver(wanted: unknown, inherited: unknown): unknown {
  if (wanted === undefined) return inherited === undefined ? undefined : null;
  if (!isPlainMap(wanted) || !isPlainMap(inherited)) return wanted;
  const removed = Object.keys(inherited).filter((key) => wanted[key] === undefined);
  return { ...wanted, ...Object.fromEntries(removed.map((key) => [key, null])) };
}

function setNull(text: string, path: KeyPath, source: SourceText): string {
  return setInYaml(text, path, spellValue(null), source);
}

function defined(map: PlainMap): PlainMap {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== undefined));
}

function isPlainMap(value: unknown): value is PlainMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function uneditable(source: SourceText): LlmctlError {
  return new LlmctlError("profile-uneditable", `the draft of profile ${quote(source.name)} cannot be set by llmctl`, {
    exit: "config",
    at: source.shown,
    fix: { run: ["profile", "edit", source.name] },
  });
}
