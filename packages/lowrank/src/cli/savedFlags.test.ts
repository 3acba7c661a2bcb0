import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import type { InspectResult } from '../jobs/inspect.js';
import type { PlanReport } from '../jobs/planning/planReport.js';
import { golden, readJson, runCli, scratch } from '../testing.js';

const data = join(golden, 'train/rows.jsonl');
const heldOut = join(golden, 'train/eval.jsonl');
const train = [
  'train',
  '--data',
  data,
  '--steps',
  '2',
  '--batch-size',
  '4',
  '--learning-rate',
  '0.01',
  '--r',
  '2',
  '--alpha',
  '4',
  '--eval-data',
  heldOut,
  '--device',
  'cpu',
  '--json',
];

async function loss(flags: readonly string[]): Promise<number> {
  const outcome = await runCli(['eval', '--data', heldOut, '--device', 'cpu', '--json', ...flags]);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  return outcome.json<EvaluateFolderResult>()[0]?.loss ?? NaN;
}

test.each<[string[], string, object, string[]]>([
  [
    ['--modules-to-save', 'lm_head,norm'],
    'untied',
    { modules_to_save: ['lm_head', 'norm'] },
    ['lm_head.weight', 'model.norm.weight'],
  ],
  [['--modules-to-save', 'embed_tokens'], 'tied', { modules_to_save: ['embed_tokens'] }, ['model.embed_tokens.weight']],
  [
    ['--modules-to-save', 'lm_head', '--ensure-weight-tying'],
    'tied',
    { modules_to_save: ['model.embed_tokens'], ensure_weight_tying: true },
    ['lm_head.weight', 'model.embed_tokens.weight'],
  ],
  [
    ['--trainable-tokens', '5,a', '--init-lora-weights', 'pissa'],
    'tied',
    { trainable_token_indices: [5, expect.any(Number)] },
    ['model.embed_tokens.token_adapter.trainable_tokens_delta'],
  ],
  [
    ['--target-modules', 'q_proj,lm_head', '--dropout', '0.1'],
    'tied',
    { target_modules: ['q_proj', 'lm_head'] },
    ['lm_head.lora_A.weight', 'lm_head.lora_B.weight'],
  ],
  [
    ['--target-modules', 'embed_tokens'],
    'tied',
    { target_modules: ['embed_tokens'] },
    ['model.embed_tokens.lora_embedding_A', 'model.embed_tokens.lora_embedding_B'],
  ],
  [
    ['--modules-to-save', 'norm', '--quantization', 'nf4'],
    'untied',
    { modules_to_save: ['norm'] },
    ['model.norm.weight'],
  ],
])('%j: trains, evaluates, is inspected, goes on and merges', async (flags, name, config, keys) => {
  using folder = scratch();
  const model = join(golden, name);
  const [adapter, merged] = [join(folder.path, 'adapter'), join(folder.path, 'merged')];
  const targets = flags.includes('--target-modules') ? [] : ['--target-modules', 'q_proj'];
  const trained = await runCli([...train, '--model', model, '--output', adapter, ...targets, ...flags]);
  expect([trained.code, trained.stderr]).toEqual([0, expect.anything()]);
  expect(readJson<object>(join(adapter, 'adapter_config.json'))).toMatchObject(config);
  const head = readFileSync(join(adapter, 'adapter_model.safetensors')).toString('latin1');
  for (const key of keys) expect(head).toContain(`"base_model.model.${key}"`);

  const codes = flags.includes('nf4') ? ['--quantization', 'nf4'] : [];
  const after = trained.json<{ eval_loss?: number }>().at(-1)?.eval_loss ?? NaN;
  const adapted = await loss(['--model', model, '--adapter', adapter, ...codes]);
  expect(Math.abs(adapted / after - 1)).toBeLessThan(1e-4);
  expect(Math.abs((await loss(['--model', model, ...codes])) - adapted)).toBeGreaterThan(1e-3);

  const report = (await runCli(['inspect', '--adapter', adapter, '--json'])).json<InspectResult>()[0];
  expect(report).toMatchObject({ problem: null, refused: [], warnings: [] });
  if (codes.length > 0) return;
  const outcome = await runCli(['merge', '--model', model, '--adapter', adapter, '--output', merged]);
  expect([outcome.code, outcome.stderr]).toEqual([0, expect.anything()]);
  expect(Math.abs((await loss(['--model', merged])) / adapted - 1)).toBeLessThan(1e-4);
  const again = await runCli(
    [...train, '--model', model, '--output', join(folder.path, 'more'), '--init-adapter', adapter].filter(
      (flag, at, all) => !['--r', '--alpha'].includes(flag) && !['--r', '--alpha'].includes(all[at - 1] ?? ''),
    ),
  );
  expect([again.code, again.stderr]).toEqual([0, expect.anything()]);
  expect(again.json<{ eval_loss?: number }>().at(-1)?.eval_loss ?? NaN).toBeLessThan(adapted);
});

test.each([
  [
    ['--modules-to-save', 'nothing'],
    'untied',
    /modules_to_save nothing: expected the end of some module’s path, got no match/,
  ],
  [
    ['--modules-to-save', 'layers', '--target-modules', 'lm_head'],
    'untied',
    /modules_to_save at model\.layers: expected a module with weights of its own/,
  ],
  [
    ['--modules-to-save', 'mlp', '--quantization', 'nf4'],
    'untied',
    /modules_to_save at model\.layers\.0\.mlp: expected weights.*codes at model\.layers\.0\.mlp\.gate_proj/,
  ],
  [['--modules-to-save', 'q_proj'], 'untied', /target modules q_proj.*no match/s],
  [['--trainable-tokens', '4000'], 'untied', /the trained token 4000: expected an id below the vocabulary's size, 96/],
  [['--trainable-tokens', '5,5'], 'untied', /--trainable-tokens: expected each token once, got 5 twice/],
  [
    ['--trainable-tokens', 'no such token'],
    'untied',
    /--trainable-tokens "no such token": expected one token of the tokenizer, got \d+ tokens/,
  ],
  [['--trainable-tokens', '[""]'], 'untied', /--trainable-tokens: expected token ids or texts/],
  [
    ['--trainable-tokens', '5', '--modules-to-save', 'embed_tokens'],
    'untied',
    /trainable_token_indices at model\.embed_tokens: expected a module that is not in modules_to_save/,
  ],
  [['--trainable-tokens', '5', '--method', 'full'], 'untied', /--trainable-tokens with --method full/],
  [['--target-modules', 'lm_head', '--use-dora'], 'untied', /a variant at lm_head: expected plain LoRA or rsLoRA/],
  [
    ['--target-modules', 'lm_head', '--trainable-tokens', '5'],
    'tied',
    /LoRA at lm_head: expected an output projection that follows the trained rows/,
  ],
])('%j is refused', async (flags, name, words) => {
  using folder = scratch();
  const targets = flags.includes('--target-modules') || flags.includes('full') ? [] : ['--target-modules', 'q_proj'];
  const given = flags.includes('full')
    ? train.filter(
        (flag, at, all) => !['--r', '--alpha'].includes(flag) && !['--r', '--alpha'].includes(all[at - 1] ?? ''),
      )
    : train;
  const outcome = await runCli([
    ...given,
    '--model',
    join(golden, name),
    '--output',
    join(folder.path, 'out'),
    ...targets,
    ...flags,
  ]);
  expect(outcome.stderr).toMatch(words);
  expect(outcome.code).toBe(2);
  expect(readdirSync(folder.path)).toEqual([]);
});

test(
  'settings that nobody knows are named on every command that reads an adapter, those that change the result ' +
    'are refused',
  async () => {
    using folder = scratch();
    const model = join(golden, 'tied');
    const adapter = join(folder.path, 'adapter');
    cpSync(join(golden, 'adapters/tied-qv'), adapter, { recursive: true });
    const config = readJson<Record<string, unknown>>(join(adapter, 'adapter_config.json'));
    const write = (more: Record<string, unknown>): void =>
      writeFileSync(join(adapter, 'adapter_config.json'), JSON.stringify({ ...config, ...more }));
    write({
      new_setting: { depth: 3 },
      quiet: null,
      off: false,
      empty: [],
      runtime_config: { ephemeral_gpu_offload: true },
    });
    const commands = [
      ['eval', '--model', model, '--adapter', adapter, '--data', heldOut, '--device', 'cpu'],
      [
        'generate',
        '--model',
        model,
        '--adapter',
        adapter,
        '--prompt',
        'name',
        '--max-new-tokens',
        '1',
        '--device',
        'cpu',
      ],
      ['merge', '--model', model, '--adapter', adapter, '--output', join(folder.path, 'merged')],
      ['combine', '--adapter', `${adapter}=1`, '--output', join(folder.path, 'combined')],
      [
        'convert',
        '--to',
        'gguf',
        '--model',
        model,
        '--adapter',
        adapter,
        '--output',
        join(folder.path, 'adapter.gguf'),
      ],
      [
        'train',
        '--model',
        model,
        '--data',
        data,
        '--output',
        join(folder.path, 'more'),
        '--steps',
        '1',
        '--init-adapter',
        adapter,
        '--device',
        'cpu',
      ],
      ['inspect', '--adapter', adapter],
    ];
    for (const command of commands) {
      const { code, stderr, stdout } = await runCli(command);
      const told = stderr + stdout;
      expect([command[0], code, stderr]).toEqual([command[0], 0, expect.anything()]);
      expect(told).toMatch(
        /warning: .*adapter_config\.json: new_setting = \{"depth":3\} is ignored: Lowrank does not know it/,
      );
      expect(told).toMatch(/runtime_config = .* is ignored: it says how PEFT runs/);
      expect(told).not.toMatch(/quiet|off =|empty/);
    }
    write({ layer_replication: [[0, 2]] });
    for (const command of commands.slice(0, 3)) {
      const { code, stderr } = await runCli(command[0] === 'merge' ? [...command, '--overwrite'] : command);
      expect([code, stderr]).toEqual([
        2,
        expect.stringMatching(/layer_replication.*expected a setting that Lowrank supports \(off\), got \[\[0,2\]\]/),
      ]);
    }
  },
);

test('plan counts modules saved whole and token rows, and tells the very bytes of the file', async () => {
  using folder = scratch();
  const model = join(golden, 'untied');
  const flags = ['--modules-to-save', 'lm_head', '--trainable-tokens', '5,6,9', '--target-modules', 'q_proj'];
  const plan = (
    await runCli(['plan', '--model', model, '--r', '2', '--max-length', '64', '--device', 'cpu', '--json', ...flags])
  ).json<PlanReport>()[0];
  const trained = await runCli([...train, '--model', model, '--output', join(folder.path, 'adapter'), ...flags]);
  expect([trained.code, trained.stderr]).toEqual([0, expect.anything()]);
  expect(plan?.trainable_parameters).toBe(2 * 2 * (24 + 24) + 96 * 24 + 3 * 24);
  expect(plan?.file_bytes.bits32).toBe(readFileSync(join(folder.path, 'adapter/adapter_model.safetensors')).byteLength);
});
