import { createCpuBackend } from '@lowrank/cpu';
import { expect, test } from 'vitest';
import { agreementOf, prepareOurs } from './block.mjs';
import { makeBlock } from './blockModel.mjs';
import { openJaxJs } from './peers/jaxJs.mjs';

test('jax-js trains the same block as Lowrank, and another block is told apart', async () => {
  const block = makeBlock({ batch: 2, length: 8 });
  const { peer } = await openJaxJs('wasm');
  const backend = await createCpuBackend({ threads: 1 });
  const [ours, theirs, other] = [
    { name: 'ours', prepared: await prepareOurs(backend, block) },
    { name: 'jax-js', prepared: await peer.prepareBlock(block) },
    { name: 'another', prepared: await peer.prepareBlock({ ...block, model: { ...block.model, alpha: 16.1 } }) },
  ];
  const [{ loss, gradient }] = await agreementOf([ours, theirs]);
  expect(loss).toBeLessThan(2e-5);
  expect(gradient).toBeLessThan(2e-5);
  await expect(agreementOf([ours, other])).rejects.toThrow(/another: losses differ by .*not the same step \(/);
  for (const { prepared } of [ours, theirs, other]) await prepared.dispose();
  backend.dispose();
});
