import { readAdapterFolder } from '../adapterFolder.js';
import type { OpenedModel } from './openModel.js';

/** Puts what an adapter folder holds into a model, to be used: LoRA around layers, or whatever its method does. */
export async function loadMethod(
  { module }: OpenedModel,
  path: string,
  onWarning?: (text: string) => void,
): Promise<void> {
  const { method, stored } = await readAdapterFolder(path, { onWarning });
  const applied = await method.attach(module, stored, { onWarning });
  await applied.fold?.();
}
