import { markRaw } from 'vue';
import type { AdapterFiles } from '../engine/session';

/** An adapter that the page has: trained here, or brought along. */
export interface Adapter {
  readonly id: string;
  name: string;
  readonly files: AdapterFiles;
  readonly from: 'trained' | 'imported';
  /** Of the model that it was made for, as far as its files say so. */
  readonly model: string | undefined;
  readonly rank: number | undefined;
  readonly heldLoss: number | undefined;
  /** Whether it has a part in what the model writes. */
  isOn: boolean;
  /** 1 as it was trained. */
  strength: number;
}

export function adapterOf(
  files: AdapterFiles,
  about: Pick<Adapter, 'id' | 'name' | 'from'> & { readonly heldLoss?: number | undefined },
): Adapter {
  const config = configOf(files);
  const { base_model_name_or_path: model, r } = config;
  return {
    ...about,
    // Bytes are no state that a page could follow.
    files: markRaw(files),
    heldLoss: about.heldLoss,
    model: typeof model === 'string' ? model : undefined,
    rank: typeof r === 'number' ? r : undefined,
    isOn: true,
    strength: 1,
  };
}

function configOf(files: AdapterFiles): Readonly<Record<string, unknown>> {
  try {
    const text = new TextDecoder().decode(files['adapter_config.json']);
    const config: unknown = JSON.parse(text);
    return typeof config === 'object' && config !== null ? (config as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

export function bytesOf(files: AdapterFiles): number {
  return Object.values(files).reduce((sum, { byteLength }) => sum + byteLength, 0);
}
