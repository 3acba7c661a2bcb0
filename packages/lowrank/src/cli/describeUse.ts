import type { FineTuneResult } from '../jobs/fineTune.js';
import type { TrainFlags } from './trainingFlags.js';

/** The commands that use what was learned. */
export function describeUse(
  { adapter, model }: FineTuneResult,
  { model: base, method, isTask }: Pick<TrainFlags, 'model' | 'method'> & { readonly isTask: boolean },
): string[] {
  if (adapter === null && model === null) return [];
  const chosen =
    model === null ? `--model ${quoted(base)} --adapter ${quoted(adapter ?? '')}` : `--model ${quoted(model)}`;
  const merge = adapter !== null && method === 'lora' ? [`lowrank merge ${chosen} --output ./merged`] : [];
  return [isTask ? `lowrank predict ${chosen} --data rows.jsonl` : `lowrank generate ${chosen} --prompt "…"`, ...merge];
}

/** As a shell takes it. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
