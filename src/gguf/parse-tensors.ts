import type { Cursor } from "./cursor.ts";
import { findGgmlType } from "./ggml-types.ts";
import { GgufError, invalidFile, quoteName } from "./gguf-error.ts";
import { countElements, type GgufHeader, type TensorInfo } from "./gguf-header.ts";
import { limits } from "./limits.ts";

/** Parses the entry of one tensor. @param names Of the tensors so far; its own is added. */
export function parseNewTensor(cursor: Cursor, names: Set<string>): TensorInfo {
  const start = cursor.position;
  const tensor = parseTensor(cursor);
  if (names.has(tensor.name))
    throw invalidFile(cursor.name, `the tensor ${quoteName(tensor.name)} is there twice`, start);
  names.add(tensor.name);
  return tensor;
}

function parseTensor(cursor: Cursor): TensorInfo {
  const name = cursor.text("a tensor's name", limits.tensorNameBytes);
  const dimensions = cursor.u32();
  if (dimensions > limits.dimensions) {
    throw new GgufError(
      "limit-exceeded",
      `${cursor.name} has a tensor with ${dimensions} dimensions, more than ${limits.dimensions}`,
    );
  }
  const ne: number[] = [];
  for (let index = 0; index < dimensions; index += 1) ne.push(cursor.length());
  const type = cursor.u32();
  return { name, ne, type, offset: cursor.u64() };
}

/** Holds all tensor data against the file's size. A type that is not in the table counts with no bytes. */
export function checkTensorData(header: GgufHeader): void {
  let end = header.tensors.length === 0 ? 0 : header.dataOffset;
  for (const tensor of header.tensors)
    end = Math.max(end, header.dataOffset + tensor.offset + tensorBytes(header, tensor));
  if (end <= header.sizeBytes) return;
  throw new GgufError(
    "truncated",
    `${header.name} is truncated: tensor data runs to byte ${end}, the file has ${header.sizeBytes}`,
    {
      fix: "download the file again",
    },
  );
}

/**
 * Bytes of a tensor's data; 0 for a type that is not in the table.
 * @throws GgufError for a size that cannot be.
 */
export function tensorBytes(header: GgufHeader, tensor: TensorInfo): number {
  const elements = countElements(tensor);
  if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(tensor.offset)) {
    throw new GgufError(
      "limit-exceeded",
      `${header.name} claims a size above 2^53 for the tensor ${quoteName(tensor.name)}`,
    );
  }
  const type = findGgmlType(tensor.type);
  if (type === undefined) return 0;
  if ((tensor.ne[0] ?? 1) % type.block === 0) return (elements / type.block) * type.bytes;
  const rule = `rows of ${tensor.ne[0]} elements, ${type.name} needs a multiple of ${type.block}`;
  throw invalidFile(header.name, `the tensor ${quoteName(tensor.name)} has ${rule}`);
}
