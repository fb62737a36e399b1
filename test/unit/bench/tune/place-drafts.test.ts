import { describe, expect, test } from "vitest";
import { placeDrafts } from "../../../../src/bench/tune/list-candidates.ts";
import { draft } from "../../../../src/profiles/schema/schema-draft.ts";

const values = { ...draft.parse({}), type: "draft-simple", model: "draft.gguf" };
const model = { label: "draft-simple", source: "model", draft: values } as const;
const ngram = { label: "ngram-mod", source: "ngram", draft: { ...draft.parse({}), type: "ngram-mod" } } as const;

describe("the place of a draft model", () => {
  test("is each device in turn, where there are several; one trace serves all", () => {
    expect(placeDrafts([model, ngram], ["CUDA0", "CUDA1"])).toEqual([
      { ...model, label: "draft-simple on CUDA0", draft: { ...values, devices: ["CUDA0"] } },
      {
        ...model,
        label: "draft-simple on CUDA1",
        draft: { ...values, devices: ["CUDA1"] },
        proposesAs: "draft-simple on CUDA0",
      },
      ngram,
    ]);
  });

  test.each([
    ["there is one device", ["CUDA0"], {}],
    ["there is none", [], {}],
    ["the profile names it", ["CUDA0", "CUDA1"], { devices: ["CUDA1"] }],
    ["the profile keeps it in RAM", ["CUDA0", "CUDA1"], { gpu_layers: 0 }],
  ])("is the build's choice or the profile's where %s", (_, devices, more) => {
    const proposal = { ...model, draft: { ...values, ...more } };
    expect(placeDrafts([proposal], devices)).toEqual([proposal]);
  });
});
