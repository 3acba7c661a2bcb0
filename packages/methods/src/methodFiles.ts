import { LowrankError } from '@lowrank/errors';
import type { ByteSource, TensorEntry } from '@lowrank/safetensors';
import { openSafetensors, safetensorsBytes, serializeSafetensors } from '@lowrank/safetensors';
import { toFloat32 } from '@lowrank/tensor';
import type { MethodAdapter, MethodTensor, Tuning } from './method.js';
import { methodOf } from './tuningMethods.js';

/**
 * Reads what another method than LoRA has saved.
 *
 * @throws LowrankError `methods.config` (no configuration of these methods), `methods.dtype`, and safetensors' codes
 */
export async function readMethod({
  config,
  weights,
  name,
}: {
  readonly config: unknown;
  readonly weights: ByteSource;
  readonly name: string;
}): Promise<MethodAdapter> {
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new LowrankError({
      code: 'methods.config',
      what: `the content of ${name}/adapter_config.json`,
      expected: 'a JSON object',
      got: JSON.stringify(config),
    });
  methodOf(config as MethodAdapter['config'], name);
  const file = await openSafetensors(weights);
  const tensors = new Map<string, MethodTensor>();
  for (const [key, { dtype, shape }] of file.tensors)
    tensors.set(key, { shape, data: numbers(await file.read(key), dtype, key) });
  return { config: config as MethodAdapter['config'], tensors };
}

function numbers(bytes: Uint8Array, dtype: string, key: string): Float32Array {
  // A copy in any case: `slice` of Node's Buffer is none.
  const { buffer } = new Uint8Array(bytes);
  if (dtype === 'F32') return new Float32Array(buffer);
  if (dtype === 'F16' || dtype === 'BF16') return toFloat32(new Uint16Array(buffer), dtype === 'F16' ? 'f16' : 'bf16');
  throw new LowrankError({ code: 'methods.dtype', what: key, expected: 'F32, F16 or BF16', got: dtype });
}

/** The files of an adapter folder, by name. */
export function serializeMethod({ config, tensors }: MethodAdapter): Record<string, Uint8Array> {
  const sorted = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
  const entries = [...tensors].sort(byName).map(([name, { shape, data }]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }));
  const text = new TextEncoder();
  return {
    'adapter_config.json': text.encode(`${JSON.stringify(sorted, null, 2)}\n`),
    'adapter_model.safetensors': serializeSafetensors(entries, { format: 'pt' }),
    'README.md': text.encode(readme(config)),
  };
}

/** The bytes of adapter_model.safetensors, to be known before there is one. */
export function methodFileBytes({ stored }: Pick<Tuning, 'stored'>, dtype: TensorEntry['dtype'] = 'F32'): number {
  return safetensorsBytes(
    [...stored].sort(byName).map(([name, shape]) => ({ name, dtype, shape })),
    { format: 'pt' },
  );
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** PEFT writes a model card beside an adapter; hubs read its header. */
function readme(config: MethodAdapter['config']): string {
  const { base_model_name_or_path: base, peft_type: type } = config;
  const { title, inPeft } = {
    inPeft: ['PROMPT_TUNING', 'PREFIX_TUNING', 'BEFT'].includes(String(type)),
    ...methodOf(config, 'adapter'),
  };
  const origin = typeof base === 'string' ? `base_model: ${JSON.stringify(base)}\n` : '';
  const loads = inPeft
    ? 'It loads with PEFT: `PeftModel.from_pretrained(model, folder)`.'
    : 'PEFT has no such method: it loads with Lowrank.';
  return (
    `---\n${origin}library_name: ${inPeft ? 'peft' : 'lowrank'}\ntags:\n- ${title.replaceAll(' ', '-')}\n- ` +
    `lowrank\n---\n\nWhat ${title} has learned, trained with Lowrank. ${loads}\n`
  );
}
