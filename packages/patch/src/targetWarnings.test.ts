import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import { addAdapter } from './addAdapter.js';
import { targetWarnings } from './targetWarnings.js';
import { TinyModel } from './testing.js';

type Given = Parameters<typeof loraConfig>[0];
const warnings = (given: Given): string[] => targetWarnings(new TinyModel(), loraConfig(given));

test.each<[string, Given, RegExp]>([
  ['a rank', { targetModules: ['q_proj'], rankPattern: { q_prj: 16, q_proj: 4 } }, /^rank_pattern: q_prj matches no/],
  ['an alpha', { targetModules: ['q_proj'], alphaPattern: { down_proj: 16 } }, /^alpha_pattern: down_proj/],
  ['an exclude', { targetModules: ['q_proj'], excludeModules: ['v_proj'] }, /^exclude_modules: v_proj/],
  ['a layer', { targetModules: ['q_proj'], layersToTransform: [0, 77] }, /^layers_to_transform: 77/],
])('%s that matches nothing is told', (_, given, message) => {
  expect(warnings(given)).toEqual([expect.stringMatching(message)]);
});

test('what matches is silent, and addAdapter passes on what does not', async () => {
  const given: Given = {
    targetModules: ['q_proj', 'v_proj'],
    excludeModules: ['v_proj'],
    rankPattern: { q_proj: 2 },
    layersToTransform: [0, 1],
  };
  expect(warnings(given)).toEqual([]);
  const said: string[] = [];
  const config = loraConfig({ ...given, rankPattern: { nothing: 2 } });
  await addAdapter(new TinyModel(), config, { onWarning: (text) => said.push(text) });
  expect(said).toEqual([expect.stringMatching(/rank_pattern: nothing/)]);
});
