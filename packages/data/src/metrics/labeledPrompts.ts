import { LowrankError } from '@lowrank/errors';
import type { PromptGroup } from '../promptGroups.js';
import { scoredPrompts } from './scoredPrompts.js';

/** Answers that are compared; each costs a pass over every prompt. */
const mostLabels = 32;

/** A prompt, and the answers that its rows have, without white space around them. */
export interface LabeledPrompt {
  readonly prompt: string;
  readonly right: ReadonlySet<string>;
}

/** Prompts whose answers come from a fixed list, for `label-accuracy`. */
export interface LabeledPrompts {
  /** The answers to choose from. */
  readonly labels: readonly string[];
  readonly prompts: readonly LabeledPrompt[];
}

/**
 * The rows as questions with a few possible answers: the different completions of the rows, or `given`. What is given
 * is told from other text without the white space around it, and has that of the rows' completions.
 *
 * @throws LowrankError `metrics.labels` for fewer than 2 or more than 32 answers, and for a row whose completion is
 * none of those given; `metrics.prompts` for rows that are no prompt and completion
 */
export function labeledPrompts(groups: readonly PromptGroup[], given?: readonly string[]): LabeledPrompts {
  const asked = scoredPrompts(groups, ['label-accuracy']);
  const completions = [...new Set(asked.flatMap(({ references }) => references))];
  if (given !== undefined) checkGiven(groups, given);
  const labels = given === undefined ? completions : spelledAs(completions, given);
  const distinct = new Set(labels.map((label) => label.trim())).size;
  if (distinct < 2 || labels.length > mostLabels) throw wrongNumber(distinct < 2 ? distinct : labels.length);
  return {
    labels,
    prompts: asked.map(({ prompt, references }) => ({ prompt, right: new Set(references.map((text) => text.trim())) })),
  };
}

function checkGiven(groups: readonly PromptGroup[], given: readonly string[]): void {
  const known = new Set(given.map((label) => label.trim()));
  for (const row of groups.flat()) {
    if (!('completion' in row) || known.has(row.completion.trim())) continue;
    throw new LowrankError({
      code: 'metrics.labels',
      what: `the completion of line ${row.line}`,
      expected: `one of the labels ${[...known].join(', ')}`,
      got: JSON.stringify(row.completion),
      setting: 'labels',
    });
  }
}

/** Of each label every spelling of the rows, or else the label between the white space of the first completion. */
function spelledAs(completions: readonly string[], given: readonly string[]): string[] {
  const [first = ''] = completions;
  const before = first.slice(0, first.length - first.trimStart().length);
  const after = first.slice(first.trimEnd().length);
  return [...new Set(given.map((label) => label.trim()))].flatMap((label) => {
    const found = completions.filter((text) => text.trim() === label);
    return found.length > 0 ? found : [before + label + after];
  });
}

function wrongNumber(count: number): LowrankError {
  return new LowrankError({
    code: 'metrics.labels',
    what: 'the different completions, for the metric label-accuracy',
    expected: `from 2 to ${mostLabels} of them, as answers to choose from`,
    got: String(count),
    remedy: (names) => `Name all answers there are (${names('labels', 'yes,no')}), or use another metric.`,
    setting: 'labels',
  });
}
