import { constants } from "node:fs";
import { access, copyFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LlmctlError, type Problem, systemErrorCode } from "../../base/errors.ts";
import { printableLine } from "../../base/text/printable.ts";
import { expectSafeForRoot } from "../../base/files/trusted-path.ts";
import { checkProfileText, replaceText } from "../../profiles/change-profile.ts";
import { readProfileText } from "../../profiles/find.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import type { SourceText } from "../../profiles/yaml/located.ts";
import { askFor, canAsk } from "../screen/ask.ts";
import { findEditor, openEditor } from "./editor.ts";
import { findOwnProfile, noteRunning, type OwnProfile } from "./own-profile.ts";
import { formatProblem } from "../screen/report-error.ts";
import { ensureSchemaFile, schemaFileName } from "./schema-file.ts";
import { print, printError } from "../screen/print.ts";

/** How an edit ended. */
type Outcome =
  | { readonly kind: "valid"; readonly text: string }
  | { readonly kind: "discarded" }
  /** The text is wrong, or may be wrong: it stays in the copy. */
  | { readonly kind: "kept"; readonly why: LlmctlError };

/**
 * `profile edit NAME`: opens the user's editor on a copy beside the profile. The copy replaces the profile only if it
 * is valid.
 * @throws LlmctlError with the problem and the place of the user's text, if the profile was not replaced.
 */
export async function profileEdit(nameOrPath: string): Promise<void> {
  const editor = findEditor();
  const own = await findOwnProfile(nameOrPath);
  const { source } = own;
  const before = await readProfileText(source);
  const copy = await makeCopy(source);
  // With a schema of an older version the editor would call new keys wrong.
  if (before.includes(schemaFileName)) await ensureSchemaFile(own.paths, source.path);
  const outcome = await editUntilValid(editor, { copy, before, own });
  if (outcome.kind === "kept") throw keptAt(copy.path, outcome.why);
  const isChanged = outcome.kind === "valid" && outcome.text !== before;
  if (isChanged) await putInPlace(source, { before, after: outcome.text, copy });
  await rm(copy.path, { force: true });
  const shown = printableLine(source.shown);
  print(isChanged ? `wrote ${shown}\n` : `${shown} is unchanged\n`);
  if (isChanged) await noteRunning(own);
}

/**
 * The copy is hidden and has another name, so that no list of profiles shows it. It is in the same folder, so that the
 * editor finds the schema.
 */
async function makeCopy(source: SourceText): Promise<SourceText> {
  const path = join(dirname(source.path), `.${source.name}.edit-${process.pid}.yaml`);
  try {
    expectSafeForRoot(dirname(source.path));
    await access(source.path, constants.W_OK);
    await copyFile(source.path, path, constants.COPYFILE_EXCL);
    return { ...source, path };
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === undefined) throw cause; // for example an LlmctlError: the folder belongs to another user
    throw new LlmctlError("profile-unwritable", `profile ${quote(source.name)} cannot be edited (${code})`, {
      exit: ["EACCES", "EPERM", "EROFS"].includes(code) ? "permission" : "io",
      at: source.path,
      fix: {
        before: "use a user who may write there, or run",
        run: ["profile", "new", "--extends", source.name],
        after: "to make your own profile",
      },
      cause,
    });
  }
}

interface Edit {
  /** Messages about it name the path of the profile. */
  readonly copy: SourceText;
  readonly before: string;
  readonly own: OwnProfile;
}

async function editUntilValid(editor: string, edit: Edit): Promise<Outcome> {
  for (let line: number | undefined; ;) {
    const code = await openEditor(editor, edit.copy.path, line);
    const text = await readEdited(edit);
    if (code !== 0) return giveUp(edit, text, editorFailed(editor, code));
    if (typeof text === "string") return { kind: "valid", text };
    for (const problem of text.problems) printError(`${formatProblem(problem)}\n`);
    const wish = canAsk() ? await askWish() : "keep";
    if (wish === "discard") return { kind: "discarded" };
    if (wish === "keep") return { kind: "kept", why: notInPlace(text) };
    line = findLine(text.problems, edit.own.source);
  }
}

/** @returns the edited text if it is a valid profile, else its problems. */
async function readEdited({ copy, own: { source, load } }: Edit): Promise<string | LlmctlError> {
  try {
    const text = await readProfileText(copy);
    await checkProfileText(source, text, load);
    return text;
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
}

/** An editor that fails, such as vim with `:cq`, cancels the edit. Text that was saved before is kept all the same. */
async function giveUp({ copy, before }: Edit, text: string | LlmctlError, why: LlmctlError): Promise<Outcome> {
  if (text !== before) return { kind: "kept", why };
  await rm(copy.path, { force: true });
  throw why;
}

function editorFailed(editor: string, code: number): LlmctlError {
  return new LlmctlError(
    "editor-failed",
    `the editor ${quote(editor)} ended with code ${code}, the profile is unchanged`,
    {
      exit: "failed",
      ...(code === 127 ? { fix: "set EDITOR to an editor that is installed" } : {}),
    },
  );
}

async function askWish(): Promise<"again" | "keep" | "discard"> {
  try {
    return await askFor("[e]dit again, [k]eep the text aside, or [d]iscard it: ", readWish);
  } catch (error) {
    // Ctrl-C at the question must not cost the work.
    if (error instanceof LlmctlError && error.code === "interrupted") return "keep";
    throw error;
  }
}

function readWish(answer: string): "again" | "keep" | "discard" {
  if (/^(?:e|edit|)$/i.test(answer)) return "again";
  if (/^(?:k|keep)$/i.test(answer)) return "keep";
  if (/^(?:d|discard)$/i.test(answer)) return "discard";
  throw new LlmctlError("usage", "write e, k or d", { exit: "usage" });
}

/** The first line of this file with a problem. A problem of a file that it extends is somewhere else. */
function findLine(problems: readonly Problem[], source: SourceText): number | undefined {
  const places = problems.flatMap(({ at }) =>
    at?.startsWith(`${source.shown}:`) ? [at.slice(source.shown.length + 1)] : [],
  );
  const line = Number.parseInt(places[0] ?? "", 10);
  return Number.isNaN(line) ? undefined : line;
}

/** Only counts the problems: they have been printed already. */
function notInPlace({ code, exit, problems }: LlmctlError): LlmctlError {
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  return new LlmctlError(code, `the edited text has ${count}, the profile is unchanged`, { exit });
}

async function putInPlace(
  source: SourceText,
  { before, after, copy }: { before: string; after: string; copy: SourceText },
): Promise<void> {
  try {
    await replaceText(source, before, after);
  } catch (error) {
    throw error instanceof LlmctlError ? keptAt(copy.path, error) : error;
  }
}

function keptAt(path: string, error: LlmctlError): LlmctlError {
  const fix = `your text is in ${path}`;
  return new LlmctlError(error.code, error.message, {
    exit: error.exit,
    ...(error.at === undefined ? {} : { at: error.at }),
    fix,
    cause: error,
  });
}
