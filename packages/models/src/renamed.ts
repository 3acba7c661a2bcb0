import type { SafetensorsFile, TensorInfo } from '@lowrank/safetensors';

/** A checkpoint under other names: `rename` gives each tensor's, or undefined for one that is no weight. */
export function renamed(file: SafetensorsFile, rename: (name: string) => string | undefined): SafetensorsFile {
  const stored = new Map<string, string>();
  const tensors = new Map<string, TensorInfo>();
  for (const [name, info] of file.tensors) {
    const wanted = rename(name);
    if (wanted === undefined) continue;
    stored.set(wanted, name);
    tensors.set(wanted, info);
  }
  const nameOf = (wanted: string): string => stored.get(wanted) ?? wanted;
  return {
    name: file.name,
    metadata: file.metadata,
    tensors,
    read: (name) => file.read(nameOf(name)),
    readRange: (name, start, end) => file.readRange(nameOf(name), start, end),
  };
}

/**
 * Names for a model whose body is `body`: checkpoints of the body alone leave that word out, as GPT-2's own do. `heads`
 * are the modules outside the body; `isBuffer` says which tensors the code makes itself.
 */
export function bodyNames(
  file: SafetensorsFile,
  {
    body,
    heads,
    isBuffer = () => false,
  }: { readonly body: string; readonly heads: readonly string[]; readonly isBuffer?: (name: string) => boolean },
): SafetensorsFile {
  const whole = [...file.tensors.keys()].some((name) => name.startsWith(`${body}.`));
  const isBeside = (name: string): boolean => heads.some((head) => name.startsWith(`${head}.`));
  return renamed(file, (name) => (isBuffer(name) ? undefined : whole || isBeside(name) ? name : `${body}.${name}`));
}

/**
 * Names for an encoder whose body is `root`: of a checkpoint of the body alone, with the buffers of old ones left out,
 * and with the names that TensorFlow had for a norm's weight and bias. `others` are heads beside the usual ones.
 */
export function encoderNames(file: SafetensorsFile, root: string, others: readonly string[] = []): SafetensorsFile {
  const heads = ['classifier', 'pre_classifier', 'qa_outputs', 'cls', 'lm_head', ...others];
  const isBuffer = (name: string): boolean => /(^|\.)embeddings\.(position_ids|token_type_ids)$/.test(name);
  const named = renamed(file, (name) =>
    name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias'),
  );
  return bodyNames(named, { body: root, heads, isBuffer });
}
