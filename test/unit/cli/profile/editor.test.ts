import { describe, expect, test } from "vitest";
import { editorArguments, findEditor } from "../../../../src/cli/profile/editor.ts";

describe("the editor", () => {
  test("is the one that the user has chosen, VISUAL first", () => {
    expect(findEditor({ VISUAL: "code -w", EDITOR: "vi" })).toBe("code -w");
    expect(findEditor({ VISUAL: "", EDITOR: "vi" })).toBe("vi");
  });

  test("that is missing is an error that says what to set", () => {
    expect(() => findEditor({ PATH: "/nowhere" })).toThrow(
      expect.objectContaining({ code: "editor-missing", fix: expect.stringContaining("EDITOR") }),
    );
  });

  test.each([
    ["vi", ["+7", "p.yaml"]],
    ["/usr/bin/nvim -n", ["+7", "p.yaml"]],
    ["nano", ["+7", "p.yaml"]],
    ["emacs -nw", ["+7", "p.yaml"]],
    ["code", ["--wait", "-g", "p.yaml:7"]],
    ["code --wait", ["-g", "p.yaml:7"]],
    ["subl -w", ["p.yaml:7"]],
    ["hx", ["p.yaml:7"]],
    ["my-own-editor", ["p.yaml"]],
  ])("%j goes to a line with %j", (editor, words) => {
    expect(editorArguments(editor, "p.yaml", 7)).toEqual(words);
  });

  test.each([
    ["vi", ["p.yaml"]],
    ["code", ["--wait", "p.yaml"]],
  ])("%j opens a file with %j", (editor, words) => {
    expect(editorArguments(editor, "p.yaml")).toEqual(words);
  });
});
