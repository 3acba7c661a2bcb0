import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { selectedRows } from './files.js';
import type { RowKind } from './rowForms.js';
import type { TextRow } from './textRow.js';

const demo = fileURLToPath(new URL('../../../../shared/data/datasets/demo-formats/', import.meta.url));

describe.runIf(existsSync(demo))('LLaMA-Factory’s sample files', () => {
  it.each<[string, [RowKind, string, number], (row: TextRow) => unknown]>([
    ['identity.json', ['sft', 'Alpaca', 91], (row) => 'completion' in row && row.prompt.includes('### Instruction:\n')],
    ['glaive_toolcall_en_demo.json', ['sft', 'ShareGPT', 300], (row) => 'messages' in row && Array.isArray(row.tools)],
    [
      'v1_sft_demo.jsonl',
      ['sft', 'messages', 500],
      (row) => 'messages' in row && typeof row.messages[0]?.content === 'string',
    ],
    [
      'kto_en_demo.json',
      ['kto', 'messages with label', 300],
      (row) => 'messages' in row && typeof row.label === 'boolean',
    ],
    ['dpo_en_demo.json', ['preference', 'preference', 300], (row) => 'chosen' in row && row.prompt.length > 0],
    [
      'v1_dpo_demo.jsonl',
      ['preference', 'preference (LLaMA-Factory)', 10],
      (row) => 'chosen' in row && row.prompt.length === 2,
    ],
  ])('%s has %s', async (file, [kind, form, count], holds) => {
    const { rows, forms } = await selectedRows(demo + file, { kind });
    expect([...forms]).toEqual([[form, count]]);
    expect(rows.filter((row) => !holds(row)).map(({ line }) => line)).toEqual([]);
  });
});
