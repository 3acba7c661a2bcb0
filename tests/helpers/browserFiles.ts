import { bytesSource } from '@lowrank/safetensors';
import { filesBy } from '@lowrank/models';
import type { ModelFiles } from '@lowrank/models';
import { server } from 'vitest/browser';

/** A file of the checkout, or of a folder beside it, as vite's server hands it to the page. */
export async function fetchFile(path: string): Promise<Uint8Array> {
  const { pathname } = new URL(`${server.config.root}/${path}`, 'file:///');
  const response = await fetch(`/@fs${pathname}`);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

export async function fetchText(path: string): Promise<string> {
  return new TextDecoder().decode(await fetchFile(path));
}

export async function fetchJson<T>(path: string): Promise<T> {
  return JSON.parse(await fetchText(path)) as T;
}

/** A model folder, as models' loadCausalModel takes it. */
export async function fetchModel(folder: string): Promise<ModelFiles> {
  const names = ['config.json', 'model.safetensors'];
  const sources = await Promise.all(
    names.map(async (name) => [name, bytesSource(await fetchFile(`${folder}/${name}`), name)] as const),
  );
  return filesBy(Object.fromEntries(sources), folder);
}
