import { describe, expect, test } from "vitest";
import { parseDraftCounters } from "../../../../src/llama/server/draft-counters.ts";

const metrics = `# TYPE llamacpp:spec_decode_num_drafts_total counter
llamacpp:n_busy_slots_per_decode 1
llamacpp:spec_decode_num_draft_tokens_total 27
llamacpp:spec_decode_num_accepted_tokens_total 18
llamacpp:spec_decode_num_drafts_total 4
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 3
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="2"} 2
`;

describe("the counters of drafting", () => {
  test("are read from the metrics", () => {
    expect(parseDraftCounters(metrics)).toEqual({
      drafts: 4,
      drafted: 27,
      accepted: 18,
      acceptedByPosition: [3, 0, 2],
    });
    expect(parseDraftCounters(metrics.replaceAll("\n", "\r\n"))).toEqual(parseDraftCounters(metrics));
  });

  test("may be so large that they are written with an exponent", () => {
    const large = metrics.replace("draft_tokens_total 27", "draft_tokens_total 1.25e+07");
    expect(parseDraftCounters(large)?.drafted).toBe(12_500_000);
  });

  test("are not known on builds without them, or when they are no counts", () => {
    expect(parseDraftCounters("llamacpp:n_decode_total 6\n")).toBeUndefined();
    expect(parseDraftCounters(metrics.replace("drafts_total 4", "drafts_total NaN"))).toBeUndefined();
  });

  test("of impossible positions are left out", () => {
    const hostile = `${metrics}llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="9999"} 1\n`;
    expect(parseDraftCounters(hostile)).toEqual(parseDraftCounters(metrics));
  });
});
