import { countElements, type GgufHeader, type TensorInfo } from "./gguf-header.ts";
import { readModelFacts } from "./model-facts.ts";
import { tensorBytes } from "./parse-tensors.ts";
import type { GgufModel } from "./read-model.ts";

/** Weights that are read for one token. */
interface WeightSum {
  readonly parameters: number;
  /** 0 where a tensor type is newer than our table. */
  readonly bytes: number;
}

export interface ActiveWeights {
  /** One token of the model itself. */
  readonly token: WeightSum;
  /** One token of its NextN (MTP) layers, with the output that they share; undefined where the files have none. */
  readonly nextn: WeightSum | undefined;
}

/** @see llama.cpp src/llama-arch.cpp, LLM_TENSOR_FFN_GATE_EXPS and those beside it */
const expertTensor = /_(?:ch)?exps\.(?:weight|bias)$/;
const outputTensor = /^output\.(?:weight|bias)$/;
const blockNumber = /^blk\.(\d+)\./;

/**
 * What a model reads for one token, from its headers: of expert tensors the share of the experts that are used, and
 * of the embeddings nothing, since one row is read, unless they are the output, too.
 */
export function readActiveWeights(model: GgufModel): ActiveWeights {
  const { layers = 0, nextnLayers, experts = 0, expertsUsed = 0 } = readModelFacts(model);
  const expertShare = experts > 0 && expertsUsed > 0 ? Math.min(1, expertsUsed / experts) : 1;
  const all = model.shards.flatMap((header) => header.tensors.map((tensor) => ({ header, tensor })));
  const isTied = !all.some(({ tensor }) => tensor.name === "output.weight");
  const isOutput = ({ name }: TensorInfo) => outputTensor.test(name) || (isTied && name === "token_embd.weight");
  const isNextn = ({ name }: TensorInfo) => {
    const block = blockNumber.exec(name)?.[1];
    return block !== undefined && Number(block) >= layers - nextnLayers && nextnLayers > 0;
  };
  const sum = (isCounted: (tensor: TensorInfo) => boolean) => {
    const counted = all.filter(({ tensor }) => isCounted(tensor) && (isOutput(tensor) || !isEmbedding(tensor)));
    return sumWeights(counted, expertShare);
  };
  const hasNextn = all.some(({ tensor }) => isNextn(tensor));
  return {
    token: sum((tensor) => !isNextn(tensor)),
    nextn: hasNextn ? sum((tensor) => isNextn(tensor) || isOutput(tensor)) : undefined,
  };
}

function isEmbedding({ name }: TensorInfo): boolean {
  return /(?:^|\.)(?:token_embd|embed_tokens)\.weight$/.test(name);
}

function sumWeights(
  tensors: readonly { readonly header: GgufHeader; readonly tensor: TensorInfo }[],
  expertShare: number,
): WeightSum {
  let parameters = 0;
  let bytes = 0;
  let isKnown = true;
  for (const { header, tensor } of tensors) {
    const share = expertTensor.test(tensor.name) ? expertShare : 1;
    const size = tensorBytes(header, tensor);
    isKnown &&= size > 0 || countElements(tensor) === 0;
    parameters += share * countElements(tensor);
    bytes += share * size;
  }
  return { parameters, bytes: isKnown ? bytes : 0 };
}
