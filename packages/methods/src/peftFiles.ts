import { LowrankError, shown } from '@lowrank/errors';
import { openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import type { KeyTable, SettingTable } from '@lowrank/settings';
import { unlistedKey, unlistedKeys } from '@lowrank/settings';
import { toFloat32 } from '@lowrank/tensor';
import { byName } from './appliedMethod.js';
import type { AdapterSource, Method, MethodAdapter, MethodFiles, MethodTensor } from './method.js';
import { badConfig } from './methodConfig.js';
import { sharedPeftKeys } from './peftKeys.js';

interface PeftMethod extends Pick<Method, 'title' | 'peftTypes' | 'settings'> {
  /** The `peft_type`s of its files that PEFT loads; default: all. */
  readonly inPeft?: readonly string[];
  /** What becomes of the keys of its adapter_config.json, besides those of all methods. */
  readonly peftKeys: KeyTable;
}

/** The files of a method whose adapter is a configuration under PEFT's keys, and tensors in f32. */
export function peftFiles(
  method: PeftMethod,
): Pick<Method<readonly SettingTable[], MethodAdapter>, 'read' | 'write' | 'optionsOf'> {
  return {
    async read(source, { onWarning } = {}) {
      const adapter = await readTensors(source, method.peftTypes);
      const keys = unlistedKeys(adapter.config, { ...sharedPeftKeys, ...method.peftKeys });
      for (const key of keys) onWarning?.(unlistedKey(key, `${source.name}/adapter_config.json`));
      return adapter;
    },
    write: (adapter) => serialize(adapter, method),
    optionsOf: ({ config }) => optionsIn(config, method.settings),
  };
}

/** @throws LowrankError `methods.config`, `methods.dtype`, and safetensors' codes */
async function readTensors(
  { config, weights, name }: AdapterSource,
  peftTypes: readonly string[],
): Promise<MethodAdapter> {
  const given = jsonObject(config, name);
  if (!peftTypes.includes(String(given['peft_type'])))
    badConfig(`peft_type of ${name}`, peftTypes.join(' or '), given['peft_type']);
  const file = await openSafetensors(weights);
  const tensors = new Map<string, MethodTensor>();
  for (const [key, { dtype, shape }] of file.tensors)
    tensors.set(key, { shape, data: numbers(await file.read(key), dtype, key) });
  return { config: given, tensors };
}

/** @throws LowrankError `methods.config` */
export function jsonObject(config: unknown, name: string): MethodAdapter['config'] {
  if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config as MethodAdapter['config'];
  throw new LowrankError({
    code: 'methods.config',
    what: `the content of ${name}/adapter_config.json`,
    expected: 'a JSON object',
    got: shown(config),
  });
}

function numbers(bytes: Uint8Array, dtype: string, key: string): Float32Array {
  // A copy is aligned; `slice` of Node's Buffer makes none.
  const { buffer } = new Uint8Array(bytes);
  if (dtype === 'F32') return new Float32Array(buffer);
  if (dtype === 'F16' || dtype === 'BF16') return toFloat32(new Uint16Array(buffer), dtype === 'F16' ? 'f16' : 'bf16');
  throw new LowrankError({ code: 'methods.dtype', what: key, expected: 'F32, F16 or BF16', got: dtype });
}

/** The configuration last, so that only complete folders look like adapters. */
function serialize({ config, tensors }: MethodAdapter, method: PeftMethod): MethodFiles {
  const sorted = Object.fromEntries(Object.entries(config).sort(byName));
  const entries = [...tensors].sort(byName).map(([name, { shape, data }]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }));
  return {
    'README.md': readme(config, method),
    'adapter_model.safetensors': serializeSafetensors(entries, { format: 'pt' }),
    'adapter_config.json': `${JSON.stringify(sorted, null, 2)}\n`,
  };
}

/** PEFT writes a model card into an adapter's folder; hubs read its header. */
function readme(config: MethodAdapter['config'], { title, peftTypes, inPeft = peftTypes }: PeftMethod): string {
  const { base_model_name_or_path: base, peft_type: type } = config;
  const isKnown = inPeft.includes(String(type));
  const origin = typeof base === 'string' ? `base_model: ${JSON.stringify(base)}\n` : '';
  const loads = isKnown
    ? 'It loads with PEFT: `PeftModel.from_pretrained(model, folder)`.'
    : 'PEFT has no such method: it loads with Lowrank.';
  return (
    `---\n${origin}library_name: ${isKnown ? 'peft' : 'lowrank'}\ntags:\n- ${title.replaceAll(' ', '-')}\n- ` +
    `lowrank\n---\n\nWhat ${title} has learned, trained with Lowrank. ${loads}\n`
  );
}

function optionsIn(config: MethodAdapter['config'], tables: readonly SettingTable[]): Record<string, unknown> {
  const settings = tables.flatMap((table) => Object.entries(table.settings));
  return Object.fromEntries(
    settings.flatMap(([name, { key }]) => (key === undefined || !(key in config) ? [] : [[name, config[key]]])),
  );
}
