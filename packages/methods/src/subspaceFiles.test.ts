import { isLowrankError } from '@lowrank/errors';
import { bytesSource } from '@lowrank/safetensors';
import { setDefaultBackend, tensor } from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { injectSubspace } from './injectSubspace.js';
import { extractSubspace, loadSubspace, readSubspace, serializeSubspace } from './subspaceFiles.js';
import { moved, numbers, setZ, SmallModel } from './testing/subspace.js';

beforeAll(() => setDefaultBackend(new ReferenceBackend()));
afterAll(() => setDefaultBackend(undefined));

async function makeFiles(
  structureAware = false,
): Promise<{ files: ReturnType<typeof serializeSubspace>; delta: Float64Array }> {
  const subspace = injectSubspace(new SmallModel(), { dimension: 12, projection: 'fastfood', seed: 7, structureAware });
  setZ(subspace, numbers(1, subspace.z.tensor.size));
  if (subspace.scales !== undefined) subspace.scales.tensor = tensor([1, 2, 3, 4], [4]);
  return {
    files: serializeSubspace(await extractSubspace(subspace, { baseModel: 'a/base' })),
    delta: await moved(subspace),
  };
}

type Config = Record<string, unknown>;
const configOf = (files: ReturnType<typeof serializeSubspace>): Config =>
  JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as Config;

test.each([false, true])('the files make the same weights again (structure-aware: %s)', async (structureAware) => {
  const { files, delta } = await makeFiles(structureAware);
  const config = configOf(files);
  expect(config).toMatchObject({
    peft_type: 'LOWRANK_SUBSPACE',
    base_model_name_or_path: 'a/base',
    dimension: 12,
    projection: 'fastfood',
    seed: 7,
    size: 113,
    structure_aware: structureAware,
  });
  expect(files['adapter_model.safetensors'].length).toBeLessThan(400);
  const stored = await readSubspace({
    config,
    weights: bytesSource(files['adapter_model.safetensors'], 'file'),
    name: 'folder',
  });
  expect(await moved(loadSubspace(new SmallModel(), stored))).toEqual(delta);
});

test.each<[string, Config, string]>([
  ['another method', { peft_type: 'LORA' }, 'peft_type'],
  ['a projection that there is not', { projection: 'dense' }, 'projection'],
  ['another dimension', { dimension: 13 }, 'subspace.z'],
  ['no seed', { seed: -1 }, 'seed'],
  ['scales that are not there', { structure_aware: true }, 'subspace.scales'],
])('refuses %s', async (_, wrong, named) => {
  const { files } = await makeFiles();
  const error: unknown = await readSubspace({
    config: { ...configOf(files), ...wrong },
    weights: bytesSource(files['adapter_model.safetensors'], 'file'),
    name: 'folder',
  }).catch((thrown: unknown) => thrown);
  expect(isLowrankError(error) && error.code).toBe('methods.subspaceFile');
  expect(String(error)).toContain(named);
});

test('refuses a model of other weights, and leaves it as it was', async () => {
  const { files } = await makeFiles();
  const stored = await readSubspace({
    config: { ...configOf(files), size: 114 },
    weights: bytesSource(files['adapter_model.safetensors'], 'file'),
    name: 'folder',
  });
  const model = new SmallModel();
  expect(() => loadSubspace(model, stored)).toThrow(
    /expected the model it was made for, a\/base: 6 weights of 114 elements, got 6 weights of 113/,
  );
  expect([...model.namedParameters()].some(([, parameter]) => parameter.isDerived)).toBe(false);
});
