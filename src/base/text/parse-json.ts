/** Limits for JSON from others. */
export interface JsonLimits {
  /** Stops `[[[[…`: the code that walks over the value is recursive. */
  readonly depth: number;
  /** Stops `[[],[],…`: each value takes up to twenty times its bytes in memory. */
  readonly values: number;
}

/** Far above anything that llmctl reads: a page of the Hub's listing has some 20,000 values, a status some hundred. */
export const jsonLimits: JsonLimits = { depth: 64, values: 400_000 };

/** JSON beyond the limits. It is a SyntaxError because callers treat both in the same way. */
export class JsonLimitError extends SyntaxError {
  override readonly name = "JsonLimitError";
}

/**
 * As `JSON.parse`, for text from others; the caller limits its size. Node's own error quotes the text, which may be a
 * secret.
 * @throws SyntaxError, {@link JsonLimitError} before the text is parsed.
 */
export function parseJson(text: string, limits: JsonLimits = jsonLimits): unknown {
  checkLimits(text, limits);
  try {
    return JSON.parse(text);
  } catch {
    throw new SyntaxError("the text is not JSON");
  }
}

/**
 * As {@link parseJson}.
 * @returns undefined for text that is not JSON, and for JSON beyond the limits.
 */
export function parseJsonOrNothing(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

const [quote, comma, backslash] = [34, 44, 92];
const [openList, closeList, openMap, closeMap] = [91, 93, 123, 125];

function checkLimits(text: string, limits: JsonLimits): void {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (char === quote) {
      at = endOfString(text, at);
    } else if (char === openList || char === openMap) {
      depth += 1;
      values += 1;
      if (depth > limits.depth) throw new JsonLimitError(`the JSON nests more than ${limits.depth} deep`);
    } else if (char === closeList || char === closeMap) {
      depth -= 1;
    } else if (char === comma) {
      values += 1;
    }
    if (values > limits.values) throw new JsonLimitError(`the JSON holds more than ${limits.values} values`);
  }
}

/** The index of the quote that ends the string; the length of the text when there is none. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (char === quote) return at;
    if (char === backslash) at += 1;
  }
  return text.length;
}
