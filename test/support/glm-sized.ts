import { buildGguf } from "./gguf-builder.ts";

/** The values in the model cards of GLM-4.7 and GLM-4.5-Air. */
export const glm = { tokens: 151_552, merges: 318_088 };

/** A file whose header is as large as a GLM's, with almost no weights. @param edit Changes the token texts, by id. */
export function buildGlmSized(layers: number, edit: (tokens: string[]) => void = () => {}): Buffer {
  const letters = "abcdefghijklmnopqrstuvwxyz";
  const word = (index: number) => `Ġ${letters[index % 26]}${index.toString(36)}`;
  const tokens = Array.from({ length: glm.tokens }, (_, index) => word(index));
  edit(tokens);
  return buildGguf({
    metadata: {
      "general.architecture": "glm4moe",
      "glm4moe.block_count": layers + 1,
      "glm4moe.nextn_predict_layers": 1,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "glm4",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": tokens.map(() => 1),
      "tokenizer.ggml.merges": Array.from(
        { length: glm.merges },
        (_, index) => `${word(index >> 3)} ${letters[index % 26]}`,
      ),
      "tokenizer.ggml.eos_token_id": 151_329,
      "tokenizer.ggml.eot_token_id": 151_336,
    },
    tensors: Array.from({ length: layers * 18 }, (_, index) => ({
      name: `blk.${Math.floor(index / 18)}.part${index % 18}.weight`,
      ne: [32],
    })),
  });
}
