import { saysSomething } from '@lowrank/settings';
import { describe, expect, test } from 'vitest';
import { settingWarnings } from './adapterConfig.js';
import { loraSettings } from './settings.js';

describe('settingWarnings', () => {
  const warnings = (given: Record<string, unknown>): string[] => settingWarnings(given, 'here');
  test.each([[null], [false], [''], [[]], [{}], [{ ephemeral_gpu_offload: false }], [undefined]])(
    '%j says nothing',
    (value) => {
      expect(saysSomething(value)).toBe(false);
      expect(warnings({ some_day: value, runtime_config: value })).toEqual([]);
    },
  );
  test.each([[true], [0], [1], ['x'], [['x']], [{ a: 1 }]])('%j of a setting that nobody knows is named', (value) =>
    expect(warnings({ some_day: value })).toEqual([expect.stringContaining(`some_day = ${JSON.stringify(value)}`)]),
  );
  test('what is over once the adapter is trained is named with the reason', () =>
    expect(warnings({ eva_config: { rho: 2 } })).toEqual([
      expect.stringMatching(/here: eva_config = .*says how the adapter began/),
    ]));
  test('a part of the base that PEFT drew at random is computed again, and that is told', () =>
    expect(warnings({ init_lora_weights: 'pissa_niter_16' })).toEqual([expect.stringContaining('drawn at random')]));
  test('EVA’s settings are read where it began so', () =>
    expect(warnings({ eva_config: { rho: 2 }, init_lora_weights: 'eva', lowrank_variant: 'gain' })).toEqual([]));
  test('what is read, what says where it comes from, and what is refused is not', () => {
    expect(
      warnings({
        r: 8,
        modules_to_save: ['lm_head'],
        peft_version: '0.21.2',
        auto_mapping: { base: 'x' },
        megatron_core: 'megatron.core',
        qalora_group_size: 16,
        inference_mode: true,
        ...loraSettings.refusedKeys,
      }),
    ).toEqual([]);
  });
  test('a long value is cut', () => expect(warnings({ some_day: 'x'.repeat(500) })[0]?.length).toBeLessThan(250));
});
