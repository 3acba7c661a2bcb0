import { tokenLists } from '@lowrank/lora';
import type { InspectResult } from '../jobs/inspect.js';

/** `lowrank inspect` for people. */
export function describeAdapter(report: InspectResult): string {
  const { r, alpha, layers, others, refused, problem } = report;
  const facts: [string, string | null][] = [
    [
      'base model',
      report.base_model === null
        ? null
        : `${report.base_model}${report.revision === null ? '' : `@${report.revision}`}`,
    ],
    ['task', report.task_type],
    ['made by', report.peft_version === null ? null : `PEFT ${report.peft_version}`],
    [
      'rank',
      r === null
        ? null
        : `${report.ranks.join(', ')}${report.ranks.length === 1 && report.ranks[0] === r ? '' : ` (r = ${r})`}`,
    ],
    [
      'alpha',
      alpha === null
        ? null
        : `${number(alpha)}, a factor of ${distinct(layers.map(({ scaling }) => number(scaling)))} on BA`,
    ],
    ['dropout', report.dropout === null || report.dropout === 0 ? null : number(report.dropout)],
    ['began as', report.init === null || report.init === true ? null : String(report.init)],
    ['targets', targets(report)],
    [
      'whole',
      report.modules_to_save === null
        ? null
        : [
            ...report.modules_to_save,
            ...(report.ensure_weight_tying === true ? ['with tied weights kept tied'] : []),
          ].join(', '),
    ],
    ['token rows', tokenRows(report.trainable_token_indices)],
    ['parameters', report.parameters.toLocaleString('en')],
    ['file', `${report.bytes.toLocaleString('en')} bytes, ${report.dtypes.join(', ')}`],
  ];
  const lines = [
    `${report.adapter}: ${report.method}`,
    ...facts.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(12)}${value}`])),
  ];
  if (layers.length > 0) lines.push('', ...layerTable(layers));
  if (others.length > 0)
    lines.push(
      '',
      'other tensors',
      ...others.map(({ name, dtype, shape }) => `  ${name}  ${dtype} [${shape.join(', ')}]`),
    );
  if (report.warnings.length > 0) lines.push('', ...report.warnings.map((text) => `warning: ${text}`));
  if (refused.length > 0)
    lines.push(
      '',
      'settings that Lowrank does not have: ' +
        `${refused.map(({ setting, value }) => `${setting} = ${JSON.stringify(value)}`).join(', ')}`,
    );
  if (problem !== null) lines.push('', `Lowrank does not load it: ${problem}`);
  return lines.join('\n');
}

function targets({
  target_modules: names,
  exclude_modules: excluded,
  layers_to_transform: layers,
}: InspectResult): string | null {
  if (names === null) return null;
  const text = (value: readonly string[] | string): string =>
    typeof value === 'string'
      ? value
      : value.length > 12
        ? `${value.slice(0, 12).join(', ')} and ${value.length - 12} more`
        : value.join(', ');
  const without = excluded === null ? '' : `; without ${text(excluded)}`;
  return `${text(names)}${without}${layers === null ? '' : `; in layers ${layers.join(', ')}`}`;
}

function tokenRows(indices: InspectResult['trainable_token_indices']): string | null {
  if (indices === null || indices === undefined) return null;
  const shown = (ids: readonly number[]): string =>
    `${ids.slice(0, 12).join(', ')}${ids.length > 12 ? ` and ${ids.length - 12} more` : ''}`;
  return tokenLists(indices)
    .map(([name, ids]) => `${name === undefined ? '' : `${name}: `}${shown(ids)}`)
    .join('; ');
}

/** A line for each layer; singular values as the largest and the smallest of them. */
function layerTable(layers: InspectResult['layers']): string[] {
  const rows = layers.map(
    ({ path, kind, rank, in: inFeatures, out, norm, effective_rank: effective, singular_values: values }) => [
      path,
      `${kind === 'embedding' ? 'embedding ' : ''}[${out}, ${inFeatures}]`,
      String(rank),
      ...[norm, values[0] ?? null, values.at(-1) ?? null].map((value) =>
        value === null ? 'not finite' : number(value),
      ),
      effective === null ? 'not finite' : effective.toFixed(1),
    ],
  );
  const head = ['layer', 'ΔW', 'rank', '‖ΔW‖', 'σ first', 'σ last', 'effective rank'];
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  );
}

function distinct(values: readonly string[]): string {
  const each = [...new Set(values)];
  return each.length > 4 ? `${each.slice(0, 4).join(', ')} …` : each.join(', ');
}

function number(value: number): string {
  return String(Number(value.toPrecision(4)));
}
